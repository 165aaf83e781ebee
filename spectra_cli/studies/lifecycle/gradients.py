"""Trends of a quantity over depth, at each checkpoint and over training. Knows arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.regression.linear_model import OLS

from spectra_cli.studies.lifecycle.significance import CHANCE, correct

Array = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_LAYERS = 4
AROUND = 4  # checkpoints on each side through which the step of a turn is fitted


@dataclass(frozen=True, eq=False)
class Trend:
    """A quantity over normalised depth l/(L−1) at one checkpoint.

    slope: of a straight line, with its 95% interval and p-value. curvature: coefficient of the square in a parabola,
    likewise. peak: depth of the parabola's vertex, None where it opens upwards. spread: largest minus smallest value.
    terms: of the parabola, or of the line where there are too few layers for one: constant, then ascending powers.
    n: layers.
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


@dataclass(frozen=True, eq=False)
class Gradient:
    """A quantity's trend over depth at every checkpoint, and what it is at the last.

    values: (L, T), mean over a layer's matrices. trends: one for each step, None where there were too few layers.
    slope_p, curvature_p: corrected. turns: steps where the slope changes its sign. inverted_u: at the last checkpoint;
    None where the layers are too few to tell.
    """

    steps: NDArray[np.int64]
    values: Array
    trends: tuple[Trend | None, ...]
    slope_p: Array
    curvature_p: Array
    turns: tuple[float, ...]
    inverted_u: bool | None

    @property
    def last(self) -> Trend | None:
        """The trend at the last checkpoint."""
        return self.trends[-1]


def gradient(steps: NDArray[np.int64], values: Array) -> Gradient:
    """Fit a trend over depth at every checkpoint. steps: (T,). values: (L, T)."""
    trends = tuple(trend(column) for column in values.T)
    slope_p = correct([fit.slope_p if fit else np.nan for fit in trends])
    curvature_p = correct([np.nan if fit is None or fit.curvature_p is None else fit.curvature_p for fit in trends])
    slopes = np.array([fit.slope if fit else np.nan for fit in trends])
    last = trends[-1]
    inverted = None if last is None or last.curvature_p is None else is_inverted_u(last, float(curvature_p[-1]))
    changes = tuple(turns(steps.astype(float), slopes, slope_p))
    return Gradient(steps, values, trends, slope_p, curvature_p, changes, inverted)


def trend(values: Array) -> Trend | None:
    """Fit a quantity over depth: a line, and a parabola where there are layers enough. None for fewer than three.

    values: (L,), NaN left out.
    """
    depth = np.arange(len(values)) / max(1, len(values) - 1)
    known = np.isfinite(values)
    x, y = depth[known], values[known]
    if len(x) < 3:
        return None
    line = OLS(y, np.column_stack([np.ones_like(x), x])).fit()
    low, high = line.conf_int()[1]
    curvature: float | None = None
    interval: Interval | None = None
    p: float | None = None
    peak: float | None = None
    terms = tuple(map(float, line.params))
    if len(x) >= FEWEST_LAYERS:
        parabola = OLS(y, np.column_stack([np.ones_like(x), x, x * x])).fit()
        terms = tuple(map(float, parabola.params))
        curvature, p = float(parabola.params[2]), float(parabola.pvalues[2])
        lowest, highest = parabola.conf_int()[2]
        interval = float(lowest), float(highest)
        peak = float(-parabola.params[1] / (2 * parabola.params[2])) if curvature < 0 else None
    spread = float(y.max() - y.min())
    slope, slope_p = float(line.params[1]), float(line.pvalues[1])
    return Trend(slope, (float(low), float(high)), slope_p, curvature, interval, p, peak, spread, terms, len(x))


def is_inverted_u(fit: Trend | None, p: float | None) -> bool:
    """Whether a parabola opens downwards, significantly, with its vertex inside. p: corrected, of the curvature."""
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
