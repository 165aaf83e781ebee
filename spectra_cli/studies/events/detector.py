"""All events of a run, a checkpoint at a time. What it remembers comes from the rows alone, so a table rebuilds it."""

from __future__ import annotations

from collections.abc import Iterable

from spectra_cli.studies.events.broken import Broken
from spectra_cli.studies.events.collapse import Collapse
from spectra_cli.studies.events.event import PHASE_TWO, Event
from spectra_cli.studies.events.measurement import Measurement
from spectra_cli.studies.events.settling import AGREEING, Settling
from spectra_cli.studies.events.spikes import ReadLosses, Spikes


class Detector:
    """Sees the checkpoints of a run in their order, and returns the events of each once.

        detector = Detector()
        for rows in row_groups("run.parquet"):
            for event in detector.see(measurement_of(rows)):
                print(event.as_line())

    losses: reads what the run has logged so far, for the loss beside a spike.
    """

    def __init__(self, losses: ReadLosses = lambda: None) -> None:
        """Nothing has been seen."""
        self._broken, self._collapse, self._spikes, self._settling = Broken(), Collapse(), Spikes(losses), Settling()

    def see(self, now: Measurement, *, settling: bool = True) -> tuple[Event, ...]:
        """Return the events that this checkpoint shows. settling: also look for phase II, which takes 0.1 s or so."""
        return (
            *self._broken.see(now),
            *self._collapse.see(now),
            *self._spikes.see(now),
            *self._settling.see(now, look=settling),
        )

    def rebuild(self, measurements: Iterable[Measurement], written: Iterable[Event] = ()) -> tuple[Event, ...]:
        """See the checkpoints of a table that is there, and return their events that are not among those written.

        A process that ended between a checkpoint and its events left these out. Phase II is looked for at the last
        checkpoints alone: it takes the longest, and earlier ones were looked at when they came.
        """
        known, past = tuple(written), list(measurements)
        self._settling.entered = any(event.kind == PHASE_TWO for event in known)
        events = [
            event
            for index, measurement in enumerate(past)
            for event in self.see(measurement, settling=index >= len(past) - AGREEING)
        ]
        marks = {_mark(event) for event in known}
        return tuple(event for event in events if _mark(event) not in marks)


def _mark(event: Event) -> tuple[object, ...]:
    """Return what makes two events the same one; not the loss beside it, of which more may be known by now."""
    return event.kind, event.revision, event.step, event.matrices, event.numbers.get("what")
