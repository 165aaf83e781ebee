"""Phase II: the onset of the study of stability, asked for again at each checkpoint while a run trains."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.studies.events.event import PHASE_TWO, Event
from spectra_cli.studies.events.measurement import Measurement
from spectra_cli.studies.stability.breakpoints import forget_points
from spectra_cli.studies.stability.findings import Onset
from spectra_cli.studies.stability.onset import FEWEST, find_onset

AGREEING = 3  # checkpoints in a row: to ask at each finds by chance what to ask once does not


class Settling:
    """Remembers how fast the spectra moved at each checkpoint, and the last onsets; phase II is entered once."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._steps: list[int] = []
        self._gaps: list[int] = []
        self._rates: list[float] = []
        self._before: int | None = None
        self._onsets: dict[int, Onset | None] = {}
        self.entered = False

    def see(self, now: Measurement, *, look: bool = True) -> tuple[Event, ...]:
        """Return the event where this checkpoint is the last of AGREEING that place the onset well before themselves.

        look: whether the event is wanted; the checkpoint is remembered in any case.
        """
        before, self._before = self._before, now.step
        if now.step is None or before is None or not now.rate > 0 or not math.isfinite(now.rate):
            return ()
        self._steps.append(now.step)
        self._gaps.append(now.step - before)
        self._rates.append(now.rate)
        if self.entered or not look:
            return ()
        count = len(self._steps)
        onsets = []
        for points in range(count, count - AGREEING, -1):
            onset = self._onset(points)
            if onset is None:
                return ()
            onsets.append(onset)
        if not _agree(onsets):
            return ()
        self.entered = True
        interval = onsets[0].interval or (math.nan, math.nan)
        numbers = {"onset": onsets[0].step, "low": interval[0], "high": interval[1], "phase": onsets[0].phase}
        return (Event(PHASE_TWO, now.revision, now.step, (), numbers),)

    def _onset(self, points: int) -> Onset | None:
        """Return the onset seen in the first so many checkpoints; None where its interval holds the last of them.

        A series that rises after its last breakpoint has not settled.
        """
        if points not in self._onsets:
            self._onsets = {key: onset for key, onset in self._onsets.items() if key > points - AGREEING}
            self._onsets[points] = self._fitted(points)
        return self._onsets[points]

    def _fitted(self, points: int) -> Onset | None:
        top = int(np.argmax(self._rates[:points])) + 1 if points else 0
        if points - top < FEWEST:
            return None
        steps, rates, gaps = (np.array(every[top:points]) for every in (self._steps, self._rates, self._gaps))
        if (steps <= 0).any() or (gaps <= 0).any():
            return None
        onset = find_onset(steps, rates, gaps=gaps)
        forget_points()
        settled = onset.interval is not None and onset.interval[1] < steps[-1] and onset.phase != "rise"
        return onset if settled else None


def _agree(onsets: list[Onset]) -> bool:
    """Whether the intervals have a step in common."""
    intervals = [onset.interval for onset in onsets if onset.interval is not None]
    return max(low for low, _ in intervals) <= min(high for _, high in intervals)
