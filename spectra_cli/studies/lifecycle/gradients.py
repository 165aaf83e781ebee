"""Trends of a quantity over depth, at each checkpoint and over training. Knows arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.lifecycle.significance import CHANCE, correct
from spectra_cli.studies.regression import estimate

Array = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 1 - CHANCE
FIRST = "q"  # the role whose gradient is looked at first
FEWEST_LAYERS = 4
AROUND = 4  # checkpoints on each side through which the step of a turn is fitted


@dataclass(frozen=True, eq=False)
class Trend:
    """A quantity over normalised depth l/(L−1) at one checkpoint.

    slope: of a straight line, with its interval of a level, 95% where none is said, and two-sided p-value. curvature:
    coefficient of the square in a parabola; its p-value is that of opening downwards, one-sided, and its interval goes
    with that: 90% where the slope's is 95%. peak: depth of the parabola's vertex, None where it opens upwards. spread:
    largest minus smallest value. terms: of the parabola, or of the line where there are too few layers for one:
    constant, then ascending powers. n: layers.
    """

    slope: float
    slope_interval: Interval
    slope_p: float
    curvature: float | None
    curvature_interval: Interval | None
    curvature_p: float | None
    peak: float | None
    spread: float
    terms: tuple[float, ...]
    n: int
    level: float = LEVEL


@dataclass(frozen=True, eq=False)
class Gradient:
    """A quantity's trend over depth at every checkpoint, and what it is at the last.

    values: (L, T), mean over a layer's matrices. trends: one for each step, None where there were too few layers, each
    tested by itself: what the last says does not depend on what was saved before. turns: steps where the slope changes
    its sign, corrected for how many steps there are. inverted_u: at the last checkpoint; None where the layers are too
    few to tell.
    """

    steps: NDArray[np.int64]
    values: Array
    trends: tuple[Trend | None, ...]
    turns: tuple[float, ...]
    inverted_u: bool | None

    @property
    def last(self) -> Trend | None:
        """The trend at the last checkpoint."""
        return self.trends[-1]

    @property
    def slope_p(self) -> Array:
        """The p-value of the slope at each checkpoint by itself, (T,); NaN where there is no trend."""
        return np.array([fit.slope_p if fit else np.nan for fit in self.trends])


def gradient(steps: NDArray[np.int64], values: Array, *, tests: int = 1) -> Gradient:
    """Fit a trend over depth at every checkpoint. steps: (T,). values: (L, T). tests: as for `trend`."""
    fits = trends(values, tests=tests)
    slopes = np.array([fit.slope if fit else np.nan for fit in fits])
    slope_p = correct([fit.slope_p if fit else np.nan for fit in fits])
    last = fits[-1]
    inverted = None if last is None or last.curvature_p is None else is_inverted_u(last, last.curvature_p)
    return Gradient(steps, values, fits, tuple(turns(steps.astype(float), slopes, slope_p)), inverted)


def gradients_by_role(steps: NDArray[np.int64], grids: Mapping[str, Array]) -> dict[str, Gradient]:
    """Return the gradient of each role. steps: (T,). grids: (L, T) by role.

    First q's, tested by itself: the inverted U that the paper draws is q's. The others' p-values and intervals are
    corrected for how many they are (Bonferroni), so that an interval leaves out zero where the p-value is small.
    """
    others = [role for role in grids if role != FIRST]
    first = {FIRST: gradient(steps, grids[FIRST])} if FIRST in grids else {}
    return first | {role: gradient(steps, grids[role], tests=len(others)) for role in others}


def trend(values: Array, *, tests: int = 1) -> Trend | None:
    """Fit a quantity over depth: a line, and a parabola where there are layers enough. None for fewer than three.

    values: (L,), NaN left out. tests: how many such fits are looked at beside each other.
    """
    return trends(values[:, None], tests=tests)[0]


def trends(values: Array, *, tests: int = 1) -> tuple[Trend | None, ...]:
    """Fit each column of values, (L, T), as `trend` does."""
    depth = np.arange(len(values)) / max(1, len(values) - 1)
    known = np.isfinite(values)
    fits: list[Trend | None] = [None] * values.shape[1]
    for layers in np.unique(known, axis=1).T:
        if layers.sum() < 3:
            continue
        columns = np.flatnonzero((known == layers[:, None]).all(axis=0))
        of_columns = _fit(depth[layers], values[np.ix_(layers, columns)], tests)
        for column, fit in zip(columns, of_columns, strict=True):
            fits[column] = fit
    return tuple(fits)


def _fit(x: Array, y: Array, tests: int) -> list[Trend]:
    """Fit lines and parabolas. x: (n,) depths. y: (n, T)."""
    level = 1 - CHANCE / tests
    powers = np.vander(x, 3, increasing=True)
    line = estimate(powers[:, :2], np.array([0.0, 1.0]), y, level=level)
    spreads = np.ptp(y, axis=0)
    fits = []
    bent = None
    if len(x) >= FEWEST_LAYERS:
        bent = estimate(powers, np.array([0.0, 0.0, 1.0]), y, level=2 * level - 1)
    terms = np.linalg.lstsq(powers if bent else powers[:, :2], y, rcond=None)[0]
    for at in range(y.shape[1]):
        curvature, interval, p, peak = None, None, None, None
        if bent is not None:
            curvature, interval = float(bent.value[at]), (float(bent.low[at]), float(bent.high[at]))
            beyond = float(bent.p[at]) / 2
            p = min(1.0, tests * (beyond if curvature < 0 else 1 - beyond))
            peak = float(-terms[1, at] / (2 * curvature)) if curvature < 0 else None
        slope, slope_interval = float(line.value[at]), (float(line.low[at]), float(line.high[at]))
        slope_p, spread = min(1.0, tests * float(line.p[at])), float(spreads[at])
        fits.append(
            Trend(
                slope, slope_interval, slope_p, curvature, interval, p, peak, spread,
                tuple(map(float, terms[:, at])), len(x), level,
            )
        )  # fmt: skip
    return fits


def is_inverted_u(fit: Trend | None, p: float | None) -> bool:
    """Whether a parabola opens downwards, significantly, with its vertex inside. p: one-sided, of the curvature."""
    return fit is not None and fit.peak is not None and p is not None and p < CHANCE and 0 < fit.peak < 1


def turns(steps: Array, slopes: Array, p_values: Array) -> list[float]:
    """Return the steps at which a gradient over depth changes its sign, between checkpoints where it is significant.

    steps, slopes, p_values: (T,), the p-values corrected. There must be two significant ones on each side: a single one
    is no turn. The step is where a straight line in ln(1 + step) through AROUND checkpoints on each side is zero.
    """
    sure = np.flatnonzero(p_values < CHANCE)
    x = np.log1p(steps)
    signs = np.sign(slopes[sure])
    changes = []
    for index in range(2, len(sure) - 1):
        turned = signs[index - 1] != signs[index]
        if not (turned and signs[index - 2] == signs[index - 1] and signs[index + 1] == signs[index]):
            continue
        before, after = sure[index - 1], sure[index]
        window = slice(max(0, before - AROUND + 1), after + AROUND)
        slope, intercept = np.polyfit(x[window], slopes[window], 1)
        at = -intercept / slope if slope else x[before]
        changes.append(float(np.expm1(np.clip(at, x[before], x[after]))))
    return changes
