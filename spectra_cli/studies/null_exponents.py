"""What power of the number of layers the spread or the extremes of chance values follow by themselves. Knows arrays.

The range of independent Gaussian values over 8 to 36 layers follows L^0.26 with R² 0.99.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.regression import CORRELATIONS, correlated

Array = NDArray[np.float64]
Spread = Callable[[Array], Array]

DRAWS = 500
STATIONARY = 0.92  # the largest correlation of neighbouring layers that is tried


def spread_range(values: Array) -> Array:
    """Return largest minus smallest of each column, (n, …)."""
    return np.asarray(np.ptp(values, axis=0))


def deviation(values: Array) -> Array:
    """Return the standard deviation of each column, (n, …)."""
    return np.asarray(values.std(axis=0, ddof=1))


def largest(logarithms: Array) -> Array:
    """Return the largest of the values whose logarithms each column holds, (n, …)."""
    return np.asarray(np.exp(logarithms.max(axis=0)))


def smallest(logarithms: Array) -> Array:
    """Return the smallest of the values whose logarithms each column holds, (n, …)."""
    return np.asarray(np.exp(logarithms.min(axis=0)))


def null_exponents(profiles: Sequence[Array], sizes: Array, spread: Spread) -> tuple[float, float]:
    """Return the smallest and the largest power of size that a spread over depth follows where nothing grows.

    profiles: the values over depth of each model. sizes: (models,), what the power is of. One power is that of these
    very values, exchanged between all layers of all models, each about its model's mean and in units of its deviation;
    the other is that of Gaussian values whose neighbours are as alike as these, less a parabola, are. Both have the
    mean and the deviation of these models, which extremes depend on and spreads do not.
    """
    mean = float(np.mean([values.mean() for values in profiles]))
    scale = float(np.mean([values.std(ddof=1) for values in profiles]))

    def scaled(draws: Array) -> Array:
        return spread(mean + scale * draws)

    powers = (_exchanged(profiles, sizes, scaled), _alike(profiles, sizes, scaled))
    return min(powers), max(powers)


def _exchanged(profiles: Sequence[Array], sizes: Array, spread: Spread) -> float:
    pool = np.concatenate([(values - values.mean()) / values.std(ddof=1) for values in profiles])
    draws = np.random.default_rng(0).permuted(np.repeat(pool[:, None], DRAWS, axis=1), axis=0)
    ends = np.cumsum([len(values) for values in profiles])
    parts = np.split(draws, ends[:-1])
    return _power(sizes, [spread(part) for part in parts])


def _alike(profiles: Sequence[Array], sizes: Array, spread: Spread) -> float:
    depths = [len(values) for values in profiles]
    random = np.random.default_rng(0)
    drawn = {depth: random.standard_normal((depth, DRAWS)) for depth in sorted(set(depths))}
    lags, powers = [], []
    for correlation in CORRELATIONS[CORRELATIONS <= STATIONARY]:
        series = {depth: correlated(draws, float(correlation)) for depth, draws in drawn.items()}
        unit = float(np.mean([deviation(series[depth]).mean() for depth in depths]))  # less than 1 where they are alike
        lags.append(float(np.mean([_lag(series[depth]).mean() for depth in depths])))
        powers.append(_power(sizes, [spread(series[depth] / unit) for depth in depths]))
    observed = float(np.mean([_lag(values[:, None])[0] for values in profiles]))
    return float(np.interp(observed, lags, powers))


def _lag(values: Array) -> Array:
    """Return the lag-1 correlation of each column, (n, T), about a parabola."""
    n = len(values)
    powers = np.vander(np.linspace(-1, 1, n), min(3, n - 1))
    rest = values - powers @ np.linalg.lstsq(powers, values, rcond=None)[0]
    squares = np.maximum(np.sum(rest**2, axis=0), np.finfo(float).tiny)
    return np.asarray(np.sum(rest[1:] * rest[:-1], axis=0) / squares)


def _power(sizes: Array, spreads: Sequence[Array]) -> float:
    """Return the mean slope of ln spread on ln size. spreads: those of each model's draws, all positive."""
    means = [float(np.log(np.maximum(values, np.finfo(float).tiny)).mean()) for values in spreads]
    return float(np.polyfit(np.log(sizes), means, 1)[0])
