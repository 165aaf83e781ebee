"""Matrices whose largest singular value grows faster than its own past allows, and the loss's jump beside it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from statistics import median

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.events.event import SPIKE, Event
from spectra_cli.studies.events.measurement import Measurement
from spectra_cli.studies.inputs.training_logs import Losses

PAST, FEWEST = 12, 8  # measurements that a growth is compared with, at most and at least
LIMIT = 6.0  # robust standard deviations
LEAST = 0.02  # growth of ln σ₁ beyond the usual one: less is no spike, however steady matrices are
LOSSES_BEFORE = 50
NEAR = 3  # steps between measurements within which a jump of the loss is beside a spike
ReadLosses = Callable[[], Losses | None]


class Spikes:
    """Remembers how σ₁ of each matrix grew, and which spiked at the measurement before: a spike is seen once."""

    def __init__(self, losses: ReadLosses = lambda: None) -> None:
        """Nothing has been seen. losses: reads what the run has logged so far; called where there is a spike."""
        self._losses = losses
        self._past: dict[str, deque[tuple[float, int]]] = {}
        self._before: Measurement | None = None
        self._spiking: set[str] = set()

    def see(self, now: Measurement) -> tuple[Event, ...]:
        """Return the spikes that this checkpoint shows, all matrices in one event."""
        before, self._before = self._before, now
        if before is None:
            return ()
        gap = (now.step - before.step) if now.step is not None and before.step is not None else 1
        growths = _growths(before.of("spectral_norm"), now.of("spectral_norm"))
        spiking = self._spiking_now(growths, gap)
        for matrix, growth in growths.items():
            self._past.setdefault(matrix, deque(maxlen=PAST)).append((growth, gap))
        new = {matrix: z for matrix, z in spiking.items() if matrix not in self._spiking}
        self._spiking = set(spiking)
        if not new:
            return ()
        numbers = {"z": [round(z, 1) for z in new.values()], "growth": [math.exp(growths[matrix]) for matrix in new]}
        beside = loss_spike(self._losses(), now.step, NEAR * gap) if now.step is not None else {}
        return (Event(SPIKE, now.revision, now.step, tuple(new), {**numbers, **beside}),)

    def _spiking_now(self, growths: Mapping[str, float], gap: int) -> dict[str, float]:
        """Return the matrices beyond the limit, with their z.

        A matrix whose past is steadier than most counts as steady as the median one: a few growths can be alike by
        chance.
        """
        known = {matrix: past for matrix, past in self._past.items() if len(past) >= FEWEST}
        usual = {matrix: _middle([_over(gap, *growth) for growth in past]) for matrix, past in known.items()}
        floor = max(median(spread for _, spread in usual.values()), LEAST / LIMIT) if usual else 0.0
        excess = {matrix: growths[matrix] - centre for matrix, (centre, _) in usual.items() if matrix in growths}
        all_z = {matrix: beyond / max(usual[matrix][1], floor) for matrix, beyond in excess.items()}
        return {matrix: z for matrix, z in all_z.items() if z > LIMIT}


def _over(gap: int, growth: float, past_gap: int) -> float:
    """Return what a past growth would be over this gap: as a walk's, where the gap is longer now; else as it was.

    Saves further apart than before make growths larger, which is no news.
    """
    return growth * math.sqrt(max(1.0, gap / past_gap)) if past_gap > 0 else growth


def _growths(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Return the growth of ln σ₁ of each matrix; none of those that are zero, NaN or Inf."""
    both = {matrix: (before[matrix], sigma) for matrix, sigma in now.items() if matrix in before}
    return {
        matrix: math.log(late / early)
        for matrix, (early, late) in both.items()
        if early > 0 and late > 0 and math.isfinite(early) and math.isfinite(late)
    }


def _middle(values: Collection[float]) -> tuple[float, float]:
    """Return the median, and the robust standard deviation about it."""
    centre = median(values)
    return centre, 1.4826 * median(abs(value - centre) for value in values)


def loss_spike(losses: Losses | None, step: int, distance: int) -> dict[str, float]:
    """Return where the loss jumps most within so many steps of one, as `loss_step` and `loss_z`; nothing if nowhere.

    A jump is a loss more than LIMIT robust standard deviations above those logged before it.
    """
    if losses is None:
        return {}
    frame = losses.frame.dropna(subset="loss")
    steps: NDArray[np.int64] = frame["step"].to_numpy(np.int64)
    values = frame["loss"].to_numpy(float)
    best: tuple[float, int] | None = None
    for index in np.flatnonzero(np.abs(steps - step) <= distance):
        earlier = values[max(0, index - LOSSES_BEFORE) : index]
        if len(earlier) < FEWEST:
            continue
        centre, spread = _middle(earlier.tolist())
        z = (values[index] - centre) / spread if spread > 0 else 0.0
        if z > LIMIT and (best is None or z > best[0]):
            best = (z, int(steps[index]))
    return {} if best is None else {"loss_step": best[1], "loss_z": round(best[0], 1)}
