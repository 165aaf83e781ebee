"""Least squares whose errors are correlated from one point to the next: estimates, intervals and p-values.

Layers, and checkpoints, share with their neighbours what chance did to them. Of 300 random walks over 12 layers,
ordinary least squares called 194 a slope. Knows arrays, and nothing of what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CORRELATIONS = np.array([0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 1.0])  # lag-1; the last is a random walk
ROUNDING = 1e-13  # relative to the largest value: what is smaller is zero
CAUTION = 0.1  # the quantile of the residuals' correlation at which the errors' is read off
USUAL = 0.95  # the quantile of |t| that a correlation's critical value is
SERIES, FEWEST_SERIES, NUMBERS = 4000, 400, 60_000  # simulated for each correlation; fewer where they are long


@dataclass(frozen=True, eq=False)
class Estimates:
    """A coefficient for each of T series. value: of ordinary least squares. p: two-sided, that it is zero."""

    value: Array
    low: Array
    high: Array
    p: Array


def estimate(design: Array, contrast: Array, values: Array, *, level: float = 0.95, most: float = 1.0) -> Estimates:
    """Estimate one combination of the coefficients of each series, its errors an AR(1) of unknown correlation.

    design: (n, k), n > k. contrast: (k,) weights of the coefficients. values: (n, T) finite. most: the largest
    correlation that the errors may have; 1, a random walk, allows no constant among the combinations. The critical
    value is that of the largest correlation that the residuals leave likely; intervals and p-values are such that at
    none of CORRELATIONS more Gaussian series than promised are missed.
    """
    known = _simulated(np.asarray(design, np.float64).tobytes(), design.shape, tuple(contrast), most)
    value, error, lag = _ordinary(design, contrast, values)
    critical = known.critical(lag)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(value == 0, 0.0, np.abs(value) / (error * critical))
    reach = known.multiple(level) * critical * error
    return Estimates(value, value - reach, value + reach, known.share_beyond(size))


@dataclass(frozen=True, eq=False)
class _Simulated:
    """What noise does to one design. lags, criticals: (m,) at each correlation. sizes: (m, series), each row sorted.

    A size is |t| over the critical value of the series' own residuals.
    """

    lags: Array
    criticals: Array
    sizes: Array

    def critical(self, lag: Array) -> Array:
        """Return the critical value of |t| for the residuals' correlations."""
        return np.asarray(np.interp(lag, self.lags, self.criticals), dtype=np.float64)

    def multiple(self, level: float) -> float:
        """Return the size that so large a share of series does not exceed at any correlation."""
        count = self.sizes.shape[1]
        return float(self.sizes[:, min(count - 1, int(np.ceil(level * count)))].max())

    def share_beyond(self, size: Array) -> Array:
        """Return the largest share of series, over the correlations, whose size is at least that; never zero."""
        count = self.sizes.shape[1]
        below = np.min([np.searchsorted(row, size * (1 - 1e-12)) for row in self.sizes], axis=0)
        return np.asarray((1 + count - below) / (1 + count), dtype=np.float64)


@lru_cache(maxsize=128)
def _simulated(design: bytes, shape: tuple[int, int], contrast: tuple[float, ...], most: float) -> _Simulated:
    matrix, weights = np.frombuffer(design).reshape(shape), np.array(contrast)
    fits = [_ordinary(matrix, weights, _noise(shape[0], float(rho))) for rho in CORRELATIONS if rho <= most]
    ratios = [np.abs(value / error) for value, error, _ in fits]
    lags = np.maximum.accumulate([np.quantile(lag, CAUTION) for _, _, lag in fits])
    criticals = np.maximum.accumulate([np.quantile(ratio, USUAL) for ratio in ratios])
    table = _Simulated(lags + 1e-9 * np.arange(len(lags)), criticals, np.empty((0, 0)))
    sizes = [ratio / table.critical(lag) for ratio, (_, _, lag) in zip(ratios, fits, strict=True)]
    return _Simulated(table.lags, criticals, np.sort(sizes, axis=1))


@lru_cache(maxsize=2 * len(CORRELATIONS))
def _noise(count: int, correlation: float) -> Array:
    """Return the simulated series of a length, (count, series)."""
    series = max(FEWEST_SERIES, min(SERIES, NUMBERS // count))
    return correlated(np.random.default_rng(0).standard_normal((count, series)), correlation)


def correlated(drawn: Array, correlation: float) -> Array:
    """Return AR(1) series of variance 1, (n, T), from independent draws of variance 1; at 1, their random walks."""
    if correlation >= 1:
        return np.cumsum(drawn, axis=0)
    series = np.array(drawn)
    for index in range(1, len(series)):
        series[index] = correlation * series[index - 1] + np.sqrt(1 - correlation**2) * drawn[index]
    return series


def _ordinary(design: Array, contrast: Array, values: Array) -> tuple[Array, Array, Array]:
    """Return the value, its standard error were the errors independent, and the residuals' lag-1 correlation."""
    spare = design.shape[0] - design.shape[1]
    inverse = np.linalg.pinv(design)
    weights = contrast @ inverse
    rounding = ROUNDING * np.abs(values).max(axis=0, initial=0.0)
    value, residuals = weights @ values, values - design @ (inverse @ values)
    value = np.where(np.abs(value) <= rounding * np.abs(weights).sum(), 0.0, value)
    residuals[np.abs(residuals) <= rounding] = 0.0
    squares = np.sum(residuals**2, axis=0)
    error = np.sqrt(squares / spare * float(weights @ weights))
    lag = np.sum(residuals[1:] * residuals[:-1], axis=0) / np.where(squares > 0, squares, 1.0)
    return value, error, lag
