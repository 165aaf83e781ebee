"""The file of events beside a table: a JSON object a line, each event once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.storage.parts import write_text_whole
from spectra_cli.studies.events.event import Event

LARGEST = 64 * 2**20  # bytes


class EventFile:
    """The events of a table that is being written, in `FILE.events.jsonl`; only the holder of its lock writes them."""

    def __init__(self, table: Path) -> None:
        """Read what is there. Raises SpectraError where that are no events."""
        self.path = table.with_name(f"{table.name}.events.jsonl")
        self.events: list[Event] = []
        if not self.path.exists():
            return
        try:
            if self.path.stat().st_size > LARGEST:
                raise ValueError
            self.events = [Event.from_line(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise SpectraError(
                f"{self.path} cannot be read as events", hint="move it away: what can be seen in the table comes again"
            ) from None

    def add(self, events: Sequence[Event]) -> None:
        """Write more events. Raises SpectraError where they cannot be written; then none of them is."""
        if events:
            self._write([*self.events, *events])

    def drop_from(self, revisions: Sequence[str]) -> None:
        """Remove the events of checkpoints that are no longer in the table."""
        kept = [event for event in self.events if event.revision not in revisions]
        if len(kept) < len(self.events):
            self._write(kept)

    def _write(self, events: list[Event]) -> None:
        write_text_whole(self.path, "".join(f"{event.as_line()}\n" for event in events))
        self.events = events
