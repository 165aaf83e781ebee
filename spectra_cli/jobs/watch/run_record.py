"""What has been measured of a run: the table that grows, and the events beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.jobs import training_log
from spectra_cli.measure.metadata import notes_of, scan_metadata, settings
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.results import CheckpointResult, unique
from spectra_cli.records import Checkpoint, Problem
from spectra_cli.storage.appended import AppendedCheckpoint, AppendedTable
from spectra_cli.storage.table import WITHOUT_VECTORS, row_groups, to_arrow
from spectra_cli.studies.events import Detector, Event, EventFile, Measurement, measurement_of
from spectra_cli.studies.inputs.training_logs import Losses, read_losses


class RunRecord:
    """The table and the events of a run that is watched; use it in a `with` block, which holds the table's lock.

    plan: what is asked for; its checkpoints do not matter. losses: the log that the user named, None where none was.
    problems: what goes into the metadata beside what the checkpoints' own notes say. over: whether the run has ended.
    """

    def __init__(
        self, path: Path, plan: Plan, device: str, *, restart: bool = False, losses: Path | None = None
    ) -> None:
        """Open nothing yet."""
        self.path, self.plan, self.device, self.losses = path, plan, device, losses
        self.problems: list[Problem] = []
        self.over = False
        self.table = AppendedTable(path, settings(plan, device), self._describe, restart)
        self._restart = restart
        self._closing = ExitStack()

    def __enter__(self) -> RunRecord:
        """Read what an earlier process left, and write the events that it no longer could."""
        self._closing.enter_context(self.table)
        try:
            self.events = EventFile(self.path)
            if self._restart:
                self.events.drop_from([event.revision for event in self.events.events])
            self._detect_again()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self._closing.close()

    @property
    def entries(self) -> Sequence[AppendedCheckpoint]:
        """The checkpoints in the table, in their order."""
        return self.table.checkpoints

    @property
    def last(self) -> AppendedCheckpoint | None:
        """The checkpoint measured last."""
        return self.table.checkpoints[-1] if self.table.checkpoints else None

    def measurements(self) -> Iterator[Measurement]:
        """Yield what the events need of each checkpoint in the table."""
        if self.entries:
            yield from map(measurement_of, row_groups(self.path, WITHOUT_VECTORS))

    def append(
        self, checkpoint: Checkpoint, result: CheckpointResult, files: str
    ) -> tuple[Measurement, tuple[Event, ...]]:
        """Add a checkpoint to the table and its events to their file; return what was added."""
        rows = to_arrow(result.rows)
        self.table.append(AppendedCheckpoint(checkpoint, notes_of(result), files), rows)
        self._write_log(checkpoint)
        measurement = measurement_of(rows)
        events = self._detector.see(measurement)
        self.events.add(events)
        return measurement, events

    def rewind(self, count: int) -> None:
        """Keep the first checkpoints only, with their events."""
        dropped = [entry.checkpoint.revision for entry in self.entries[count:]]
        self.table.keep(count)
        self.events.drop_from(dropped)
        self._detect_again()

    def finish(self, *, over: bool) -> None:
        """Write into the metadata whether the run is over, and what went wrong."""
        self.over = over
        self.table.describe_again()

    def all_problems(self) -> tuple[Problem, ...]:
        """Return what could not be read, of the checkpoints in the table and of those that are not."""
        return unique([*self.problems, *(problem for entry in self.entries for problem in entry.notes.problems)])

    def _detect_again(self) -> None:
        self._detector = Detector(self._read_losses)
        self.events.add(self._detector.rebuild(self.measurements(), self.events.events))

    def _write_log(self, checkpoint: Checkpoint) -> None:
        """Leave the trainer's own history beside the table; the table stands without it."""
        try:
            training_log.write_beside(self.path, replace(self.plan, checkpoints=(checkpoint,)))
        except SpectraError as error:
            self.problems = [*unique([*self.problems, Problem(error.message, error.hint)])]

    def _read_losses(self) -> Losses | None:
        """Read what the run has logged so far; nothing where that cannot be read while it is written."""
        try:
            beside = training_log.companion(self.path)
            path = self.losses or (beside if beside.exists() else None)
            return read_losses(path) if path is not None else None
        except SpectraError:
            return None

    def _describe(self, entries: Sequence[AppendedCheckpoint]) -> dict[str, Any]:
        plan = replace(self.plan, checkpoints=tuple(entry.checkpoint for entry in entries))
        notes = [(entry.checkpoint, entry.notes) for entry in entries]
        problems = unique([*self.problems, *(problem for entry in entries for problem in entry.notes.problems)])
        return {**scan_metadata(plan, None, self.device, notes, problems), "unfinished": not self.over}
