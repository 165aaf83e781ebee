"""Reads a learning-rate schedule: its mean between checkpoints, and where it is lowered, at once or gradually."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_FALL = 1.25  # a change of the learning rate by less than this factor is none
ABRUPT = 5.0  # a drop falls so many times faster, per step, than the schedule does right before and after


@dataclass(frozen=True)
class Lowering:
    """The learning rate goes from `before` to `after`, between the steps `start` and `end`.

    kind: `drop` where it does so between two logged steps, `decay` where it takes more.
    """

    kind: str
    start: int
    end: int
    before: float
    after: float


def mean_rate(steps: Array, rates: Array, starts: Array, ends: Array) -> Array:
    """Return the mean of the learning rate over each interval of steps, NaN where it was not logged.

    steps, rates: the log, ascending. starts, ends: (n,). Between logged steps the rate is taken as linear.
    """
    area = np.concatenate([[0.0], np.cumsum(np.diff(steps) * (rates[1:] + rates[:-1]) / 2)])

    def integral(where: Array) -> Array:
        index = np.clip(np.searchsorted(steps, where, side="right") - 1, 0, len(steps) - 1)
        beyond = where - steps[index]
        return area[index] + beyond * (rates[index] + np.interp(where, steps, rates)) / 2

    known = (starts >= steps[0]) & (ends <= steps[-1]) & (ends > starts)
    width = np.where(known, ends - starts, 1.0)
    return np.where(known, (integral(ends) - integral(starts)) / width, np.nan)


def lowerings(steps: Array, rates: Array) -> list[Lowering]:
    """Return where the learning rate is lowered by a factor of at least 1.25, in the order of steps.

    >>> lowerings(np.array([0.0, 10, 20, 30, 40]), np.array([1.0, 1.0, 0.1, 0.1, 0.1]))
    [Lowering(kind='drop', start=10, end=20, before=1.0, after=0.1)]
    """
    positive = rates > 0
    steps, rates = steps[positive], rates[positive]
    if len(steps) < 2:
        return []
    falls = -np.diff(np.log(rates))
    speed = np.append(falls / np.diff(steps), 0.0)
    lowered: list[Lowering] = []
    begun: int | None = None
    for index in range(len(falls) + 1):
        drop = index < len(falls) and _is_drop(falls, speed, index)
        falling = index < len(falls) and falls[index] > 1e-9
        if begun is not None and (drop or not falling):
            lowered += _lowering("decay", steps, rates, begun, index)
            begun = None
        if drop:
            lowered += _lowering("drop", steps, rates, index, index + 1)
        elif falling and begun is None:
            begun = index
    return lowered


def _is_drop(falls: Array, speed: Array, index: int) -> bool:
    beside = [speed[other] for other in (index - 1, index + 1) if 0 <= other < len(falls)]
    return bool(falls[index] >= np.log(LEAST_FALL) and speed[index] >= ABRUPT * max(0.0, *beside, 0.0))


def _lowering(kind: str, steps: Array, rates: Array, start: int, end: int) -> list[Lowering]:
    before, after = float(rates[start]), float(rates[end])
    if before / after < LEAST_FALL:
        return []
    return [Lowering(kind, int(steps[start]), int(steps[end]), before, after)]
