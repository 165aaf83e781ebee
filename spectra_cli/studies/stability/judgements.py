"""What a claim of the theory gets for an answer: a verdict with its numbers, or why there is none. Knows no claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.regression import estimate

Array = NDArray[np.float64]
Interval = tuple[float, float]

HOLDS, FAILS, UNTOLD = "borne out", "not borne out", "cannot be told"
INSEPARABLE, UNJUDGED = "cannot be separated", "cannot be judged"
FEWEST = 7  # checkpoints from the peak on, or at the end, that an exponent rests on


@dataclass(frozen=True)
class Quantity:
    """A number that a verdict rests on, with its 95% interval; None where it is only what was seen."""

    name: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Answer:
    """A verdict: HOLDS, FAILS, UNTOLD, INSEPARABLE or UNJUDGED. reason: why it is none, or what it means, in words."""

    verdict: str
    numbers: tuple[Quantity, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Judgement:
    """A claim, named, what it says, and its answer."""

    claim: str
    says: str
    answer: Answer


def unjudged(reason: str) -> Answer:
    """Return that a claim cannot be judged, and why."""
    return Answer(UNJUDGED, reason=reason)


def without(metric: str) -> Answer:
    """Return that a metric is missing."""
    return unjudged(f"no matrix has a {metric} at every checkpoint of the table")


def too_few(points: int, fewest: int, noun: str = "checkpoints from the peak on") -> Answer:
    """Return that there are too few points."""
    return unjudged(f"there are only {points} {noun}, and at least {fewest} are needed")


def exponent(columns: Sequence[Array], y: Array, name: str) -> Quantity:
    """Return the last column's coefficient beside the others and a constant, its noise of any correlation.

    Intervals are those of `regression.estimate`, which hold at every correlation up to a random walk's.
    """
    design = np.column_stack([np.ones(len(y)), *columns])
    estimated = estimate(design, np.eye(design.shape[1])[-1], y[:, None])
    return Quantity(name, float(estimated.value[0]), (float(estimated.low[0]), float(estimated.high[0])))


def above_zero(quantity: Quantity, *others: Quantity, otherwise: str) -> Answer:
    """Return whether a number is above zero. otherwise: what it means that it is below."""
    low, high = quantity.interval or (-np.inf, np.inf)
    verdict = HOLDS if low > 0 else FAILS if high < 0 else UNTOLD
    return Answer(verdict, (quantity, *others), otherwise if verdict == FAILS else None)


def equal_to(claimed: float, quantity: Quantity) -> Answer:
    """Return whether a number is the one that is claimed, which a zero must not be as well.

    >>> equal_to(1.0, Quantity("exponent", 0.9, (0.7, 1.1))).verdict
    'borne out'
    >>> equal_to(1.0, Quantity("exponent", 0.4, (-0.3, 1.1))).verdict
    'cannot be told'
    """
    low, high = quantity.interval or (-np.inf, np.inf)
    if not low <= claimed <= high:
        return Answer(FAILS, (quantity,))
    return Answer(UNTOLD if low <= 0 <= high else HOLDS, (quantity,))


def drift(x: Array) -> list[Array]:
    """Return what the passing of steps may do by itself, beside a constant: an exponent that drifts. x: (n,) ln step.

    With one exponent alone, a rate that only bends seemed to follow the norm in 27 of 100 runs whose weight decay is
    switched on the way; so it does in 1.
    """
    centred = x - x.mean()
    return [centred, centred**2]
