"""Noise that is correlated from one point to the next, AR(1): made, and taken out. Knows nothing of what it lies on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92)  # lag-1, those that are tried


def correlated(draws: Array, correlation: float) -> Array:
    """Return AR(1) series of variance 1, (n, columns), from independent draws of variance 1."""
    series = np.empty_like(draws)
    series[0] = draws[0]
    for index in range(1, len(draws)):
        series[index] = correlation * series[index - 1] + np.sqrt(1 - correlation**2) * draws[index]
    return series


def whitened(series: Array, correlation: float) -> Array:
    """Return series, (n, …), in which AR(1) noise is independent and its variance what its innovations' is.

    >>> whitened(np.array([1.0, 1.0, 0.5]), 0.5).round(3)
    array([0.866, 0.5  , 0.   ])
    """
    white = series.copy()
    white[1:] -= correlation * series[:-1]
    white[0] *= np.sqrt(1 - correlation**2)
    return white


def cost(correlation: float) -> float:
    """Return what a correlation adds to −2 ln likelihood beside n·ln(RSS/n) of whitened residuals."""
    return float(-np.log(1 - correlation**2))
