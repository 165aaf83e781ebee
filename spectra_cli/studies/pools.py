"""Runs that differ by seed alone, taken together: their numbers' spread, their verdicts' agreement, pools compared.

Knows numbers and words and nothing of what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
ROUNDING = 1e-12  # relative: equal values may differ by that


@dataclass(frozen=True)
class OverSeeds:
    """A number of several runs. group: of matrices, `all` where it is the whole model's; quantity: what it is.

    values: one a run, None where a run has none. geometric: whether it is told as a factor, and mean is geometric.
    interval: 95% of the mean, by Student's t over the seeds; None with fewer than two values.
    """

    group: str
    quantity: str
    values: tuple[float | None, ...]
    geometric: bool
    mean: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Agreement:
    """What each run is said to show. claim: what is judged. verdicts: one a run, in words; None where it cannot be."""

    claim: str
    verdicts: tuple[str | None, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are said to show what, the most frequent first."""
        given = [verdict for verdict in self.verdicts if verdict is not None]
        return {verdict: given.count(verdict) for verdict in sorted(dict.fromkeys(given), key=given.count)[::-1]}


@dataclass(frozen=True)
class Pool:
    """Runs of one label. runs: what each is called. numbers, agreements: what they show."""

    label: str
    runs: tuple[str, ...]
    numbers: tuple[OverSeeds, ...]
    agreements: tuple[Agreement, ...]

    def number(self, group: str, quantity: str) -> OverSeeds | None:
        """Return a number by what it is of; None where no run has it."""
        return next((each for each in self.numbers if (each.group, each.quantity) == (group, quantity)), None)


@dataclass(frozen=True)
class Contrast:
    """A quantity of one pool against that of the first: a ratio where it is geometric, else a difference.

    interval: 95% over seeds; None where there is but one run of either. counts: how many runs of either pool have the
    quantity, of this one first.
    """

    label: str
    against: str
    group: str
    quantity: str
    geometric: bool
    value: float
    interval: Interval | None
    counts: tuple[int, int]

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out that the two are equal."""
        equal = 1.0 if self.geometric else 0.0
        return self.interval is not None and not self.interval[0] <= equal <= self.interval[1]


def members(labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of the runs of each label, in the order of their first.

    >>> members(["adam", "muon", "adam"])
    {'adam': [0, 2], 'muon': [1]}
    """
    return {label: [at for at, other in enumerate(labels) if other == label] for label in dict.fromkeys(labels)}


def over_seeds(
    group: str, quantity: str, values: Sequence[float | None], *, geometric: bool = False
) -> OverSeeds | None:
    """Return a number of several runs; None where none of them has it.

    >>> over_seeds("all", "peak", (1.0, 4.0, None), geometric=True).mean
    2.0
    """
    finite = tuple(value if value is not None and math.isfinite(value) else None for value in values)
    known = _known(finite, geometric=geometric)
    if not len(known):
        return None
    mean, reach = float(known.mean()), None
    if len(known) > 1:
        reach = float(stats.t.ppf((1 + LEVEL) / 2, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    back = math.exp if geometric else float
    interval = None if reach is None else (back(mean - reach), back(mean + reach))
    return OverSeeds(group, quantity, finite, geometric, back(mean), interval)


def contrasts(pools: Sequence[Pool], quantities: Sequence[str] | None = None) -> tuple[Contrast, ...]:
    """Return numbers of each later pool against those of the first, where both have them. quantities: only these."""
    return tuple(
        _contrast(pool.label, pools[0].label, number, base)
        for pool in pools[1:]
        for number in pool.numbers
        if (base := pools[0].number(number.group, number.quantity)) is not None
        and (quantities is None or number.quantity in quantities)
    )


def _contrast(label: str, against: str, number: OverSeeds, base: OverSeeds) -> Contrast:
    """Return a contrast with Welch's interval.

    Of two pools of three Gaussian values whose seeds alone differ it leaves out that they are equal in 3 of 100, and in
    5 where one's spread three times as far; the interval of one common spread would in 5 and 7. A single run is taken
    to spread as the other pool does.
    """
    first, second = (_known(each.values, geometric=base.geometric) for each in (number, base))
    counts = len(first), len(second)
    back = math.exp if base.geometric else float
    value = float(first.mean() - second.mean())
    interval = None
    if max(counts) > 1:
        error, freedom = _error(first, second)
        reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error + ROUNDING * abs(float(second.mean()))
        interval = back(value - reach), back(value + reach)
    return Contrast(label, against, number.group, number.quantity, base.geometric, back(value), interval, counts)


def _error(first: Array, second: Array) -> tuple[float, float]:
    """Return the standard error of a difference of means, and its degrees of freedom."""
    counts = len(first), len(second)
    squares = [float(np.sum((some - some.mean()) ** 2)) for some in (first, second)]
    if min(counts) < 2:
        freedom = sum(counts) - 2.0
        return math.sqrt(sum(squares) / freedom * (1 / counts[0] + 1 / counts[1])), freedom
    parts = [square / (count * (count - 1)) for square, count in zip(squares, counts, strict=True)]
    spread = sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    return math.sqrt(sum(parts)), sum(parts) ** 2 / spread if spread > 0 else 1.0


def _known(values: Sequence[float | None], *, geometric: bool) -> Array:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    return np.asarray(np.log(known[known > 0]) if geometric else known)
