"""What autocorrelated noise does to fits with breakpoints: how often it bends a straight line, and how far knots move.

Neighbouring checkpoints of a run share what chance did to them. In straight series of 40 checkpoints whose noise has a
lag-1 correlation of 0.3, 0.5 and 0.8, the criterion alone saw breakpoints in 10, 25 and 67 of 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability.breakpoints import PiecewiseLinearFit, Search, criterion, search_over

Array = NDArray[np.float64]

CORRELATIONS = np.array([0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92])
SIMULATED = 200  # straight series for each of them
CAUTION, MIDDLE = (
    0.1,
    0.35,
)  # quantiles of the residuals' correlation at which the noise's is read off: to judge, to draw
RARE = 0.97  # of what noise alone gains, the quantile that a breakpoint must exceed


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of one series.

    correlation: lag-1, from one checkpoint to the next. gain: what chance may gain at most, at the largest correlation
    that the residuals leave likely. left: (3,) the share of the variance that fits with 0, 1 and 2 breakpoints leave.
    """

    correlation: float
    gain: float
    left: Array


def noise_of(x: Array, y: Array, *, beside: Array | None = None) -> Noise:
    """Return the noise of a series, whatever breakpoints it has: from the residuals of the most that may be fitted."""
    search = search_over(x, beside)
    table = _simulated(tuple(x), None if beside is None else tuple(beside))
    _, lag, _ = _fits(search, y[:, None])
    most, likely = (float(np.interp(lag[0], table[:, column], CORRELATIONS)) for column in (0, 1))
    gain = float(np.interp(most, CORRELATIONS, table[:, 2]))
    left = np.array([np.interp(likely, CORRELATIONS, table[:, column]) for column in range(3, 6)])
    return Noise(likely, max(gain, 0.0), left)


def gain_of(x: Array, y: Array, *, beside: Array | None = None) -> float:
    """Return by how much the criterion falls from a straight fit to the best with breakpoints."""
    return float(_fits(search_over(x, beside), y[:, None])[0][0])


def resample(
    line: PiecewiseLinearFit, noise: Noise, count: int, *, beside: Array | None = None, seed: int = 0
) -> Array:
    """Return the knots, (count, k), of fits to the line with noise of its size and correlation, made anew."""
    n, knots = len(line.x), len(line.knots)
    random = np.random.default_rng(seed)
    rho = noise.correlation
    size = np.sqrt(float(np.mean(line.residuals**2)) / max(float(noise.left[knots]), 1e-9))
    innovations = line.residuals[1:] - rho * line.residuals[:-1]
    innovations = (innovations - innovations.mean()) / max(float(innovations.std()), np.finfo(float).tiny)
    draws = random.choice(innovations, size=(n, count))
    return search_over(line.x, beside).best(line.values[:, None] + size * _correlated(draws, rho), knots)


def _correlated(draws: Array, rho: float) -> Array:
    """Return AR(1) series of variance 1, (n, columns), from independent draws of variance 1."""
    series = np.empty_like(draws)
    series[0] = draws[0]
    for index in range(1, len(draws)):
        series[index] = rho * series[index - 1] + np.sqrt(1 - rho**2) * draws[index]
    return series


@lru_cache(maxsize=64)
def _simulated(points: tuple[float, ...], beside: tuple[float, ...] | None) -> Array:
    """Return a row for each of CORRELATIONS: two low quantiles of the residuals', chance's gain, and shares left."""
    search = search_over(np.array(points), None if beside is None else np.array(beside))
    random = np.random.default_rng(0)
    draws = random.standard_normal((len(points), SIMULATED))
    rows = []
    for rho in CORRELATIONS:
        gain, lag, squares = _fits(search, _correlated(draws, float(rho)))
        low = np.quantile(lag, [CAUTION, MIDDLE])
        rows.append([*low, np.quantile(gain, RARE), *(squares.mean(axis=1) / len(points))])
    table = np.array(rows)
    table[:, :2] = np.maximum.accumulate(table[:, :2] + 1e-9 * np.arange(len(table))[:, None], axis=0)
    return table


def _fits(search: Search, y: Array) -> tuple[Array, Array, Array]:
    """Return the criterion's gain by breakpoints, the lag-1 correlation of the last residuals, and (3, columns) RSS."""
    n = len(y)
    rest = y - search.basis @ (search.basis.T @ y)
    squares = [np.sum(rest**2, axis=0)] * 3
    residuals = rest
    for count in (1, 2):
        if search.allows(count):
            chosen, gains = search.choose(y, count)
            squares[count:] = [squares[0] - gains] * (3 - count)
            residuals = rest - _explained(search, chosen, rest)
    values = [criterion(squares[count], n, search.terms + 2 * count) for count in range(3) if search.allows(count)]
    lag = np.sum(residuals[1:] * residuals[:-1], axis=0) / np.maximum(np.sum(residuals**2, axis=0), 1e-300)
    return values[0] - np.min(values[1:], axis=0), lag, np.stack(squares)


def _explained(search: Search, chosen: NDArray[np.intp], rest: Array) -> Array:
    """Return what the chosen hinges explain of each column."""
    hinges = search.hinges[chosen]  # (count, columns, n)
    products = np.einsum("kcn,nc->kc", hinges, rest)
    gram = np.einsum("kcn,lcn->ckl", hinges, hinges)
    weights = np.linalg.solve(gram, products.T[:, :, None])[:, :, 0]
    return np.asarray(np.einsum("ck,kcn->nc", weights, hinges), dtype=np.float64)
