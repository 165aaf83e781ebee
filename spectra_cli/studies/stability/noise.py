"""What autocorrelated noise does to fits with breakpoints: how often it bends a straight line, and how far knots move.

Neighbouring checkpoints of a run share what chance did to them. In straight series of 40 checkpoints whose noise has a
lag-1 correlation of 0.3, 0.5 and 0.8, the criterion alone saw breakpoints in 10, 25 and 67 of 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability.autocorrelation import CORRELATIONS, correlated, cost, whitened
from spectra_cli.studies.stability.breakpoints import PiecewiseLinearFit, Search, criterion, search_over, slopes_between

Array = NDArray[np.float64]

SIMULATED = 200  # straight series for each correlation, to read off how large it is
COARSE = 2  # knots tried between two points where series by the thousand are searched
LINES, BATCH = 400, 50  # straight series at the one that suits, to see what chance gains
TENFOLD = 10.0
MIDDLE = 0.35  # quantile of the residuals' correlation at which the noise's is read off


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of one series.

    correlation: lag-1, from one checkpoint to the next. left: (3,) the share of the variance that fits with 0, 1 and 2
    breakpoints leave.
    """

    correlation: float
    left: Array


def noise_of(x: Array, y: Array, *, beside: Array | None = None) -> Noise:
    """Return the noise of a series, whatever breakpoints it has: from the residuals of the most that may be fitted."""
    table = _simulated(tuple(x), None if beside is None else tuple(beside))
    lag, _ = _residuals(search_over(x, beside), y[:, None])
    correlation = float(np.interp(lag[0], table[:, 0], CORRELATIONS))
    return Noise(correlation, np.array([np.interp(correlation, CORRELATIONS, table[:, k]) for k in (1, 2, 3)]))


def chance(x: Array, y: Array, *, beside: Array | None = None, enough: float = 1.0) -> float:
    """Return how often a straight line with correlated noise gains from breakpoints as much as this series does.

    The gain is that of the criterion, from a straight line to the best with breakpoints, each with the correlation of
    its noise that suits it best; so a line whose noise wanders competes with a bend whose noise does not. The lines are
    made with the correlation that suits the straight one, and no more of them once it is sure to exceed enough.
    """
    gain, correlation = _gains(x, y[:, None], beside)
    random, above, tried = np.random.default_rng(0), 1, 1
    while tried <= LINES and above <= enough * (1 + LINES):
        lines = correlated(random.standard_normal((len(x), BATCH)), correlation)
        above, tried = above + int(np.sum(_gains(x, lines, beside)[0] >= gain[0])), tried + BATCH
    return above / tried


def chance_of_constant(x: Array, y: Array) -> float:
    """Return how often a constant with correlated noise gains from a line with breakpoints as much as this series."""
    gain, correlation = _gains(x, y[:, None], None, level=True)
    lines = correlated(np.random.default_rng(0).standard_normal((len(x), LINES)), correlation)
    return float((1 + np.sum(_gains(x, lines, None, level=True)[0] >= gain[0])) / (1 + LINES))


def rises_and_falls(logs: Array) -> bool:
    """Whether ln rates rise to a peak and fall from it TENFOLD: noise of 30% about a constant never does, correlated or
    not, while a smooth rise and fall over few checkpoints is what noise of any size and correlation may look like.

    >>> rises_and_falls(np.log([0.1, 1.5, 0.12])), rises_and_falls(np.log([1.0, 1.5, 0.1]))
    (True, False)
    """
    return bool(logs.max() - max(logs[0], logs[-1]) >= np.log(TENFOLD))


def resample(
    line: PiecewiseLinearFit, noise: Noise, count: int, *, beside: Array | None = None, seed: int = 0
) -> tuple[Array, Array]:
    """Return knots, (count, k), and slopes, (count, k+1), of fits to the line with such noise, made anew."""
    n, knots = len(line.x), len(line.knots)
    random = np.random.default_rng(seed)
    rho = noise.correlation
    size = np.sqrt(float(np.mean(line.residuals**2)) / max(float(noise.left[knots]), 1e-9))
    innovations = line.residuals[1:] - rho * line.residuals[:-1]
    innovations = (innovations - innovations.mean()) / max(float(innovations.std()), np.finfo(float).tiny)
    draws = random.choice(innovations, size=(n, count))
    series = line.values[:, None] + size * correlated(draws, rho)
    knots_again = search_over(line.x, beside).best(series, knots)
    return knots_again, slopes_between(line.x, series, knots_again, beside)


def _gains(x: Array, y: Array, beside: Array | None, *, level: bool = False) -> tuple[Array, float]:
    """Return the criterion's gain by breakpoints for each column, and the correlation that suits the first line.

    level: the gain from a constant instead of a straight line, by a slope and breakpoints.
    """
    null, best = [], []
    for correlation in CORRELATIONS:
        search = search_over(x, beside, correlation=correlation, fineness=COARSE)
        white = whitened(y, correlation)
        squares = np.sum((white - search.basis @ (search.basis.T @ white)) ** 2, axis=0)
        left = [squares, *(squares - search.choose(white, count)[1] for count in (1, 2) if search.allows(count))]
        fits = [criterion(some, len(x), search.terms + 2 * count) for count, some in enumerate(left)]
        if level:
            ones = whitened(np.ones(len(x)), correlation)
            around = np.sum(white**2, axis=0) - (ones @ white) ** 2 / (ones @ ones)
            fits.insert(0, criterion(around, len(x), 1))
        null.append(fits[0] + cost(correlation))
        best.append(np.min(fits[1:], axis=0) + cost(correlation))
    return np.min(null, axis=0) - np.min(best, axis=0), CORRELATIONS[int(np.argmin([line[0] for line in null]))]


@lru_cache(maxsize=64)
def _simulated(points: tuple[float, ...], beside: tuple[float, ...] | None) -> Array:
    """Return a row for each of CORRELATIONS: a low quantile of the residuals', and the shares that fits leave."""
    search = search_over(np.array(points), None if beside is None else np.array(beside))
    draws = np.random.default_rng(0).standard_normal((len(points), SIMULATED))
    rows = []
    for correlation in CORRELATIONS:
        lag, squares = _residuals(search, correlated(draws, correlation))
        rows.append([np.quantile(lag, MIDDLE), *(squares.mean(axis=1) / len(points))])
    table = np.array(rows)
    table[:, 0] = np.maximum.accumulate(table[:, 0] + 1e-9 * np.arange(len(table)))
    return table


def _residuals(search: Search, y: Array) -> tuple[Array, Array]:
    """Return the lag-1 correlation of what the most breakpoints leave, (columns,), and the RSS of 0, 1 and 2."""
    rest = y - search.basis @ (search.basis.T @ y)
    squares = [np.sum(rest**2, axis=0)] * 3
    residuals = rest
    for count in (1, 2):
        if search.allows(count):
            chosen, gains = search.choose(y, count)
            squares[count:] = [squares[0] - gains] * (3 - count)
            residuals = rest - _explained(search, chosen, rest)
    lag = np.sum(residuals[1:] * residuals[:-1], axis=0) / np.maximum(np.sum(residuals**2, axis=0), 1e-300)
    return lag, np.stack(squares)


def _explained(search: Search, chosen: NDArray[np.intp], rest: Array) -> Array:
    """Return what the chosen hinges explain of each column."""
    hinges = search.hinges[chosen]  # (count, columns, n)
    products = np.einsum("kcn,nc->kc", hinges, rest)
    gram = np.einsum("kcn,lcn->ckl", hinges, hinges)
    weights = np.linalg.solve(gram, products.T[:, :, None])[:, :, 0]
    return np.asarray(np.einsum("ck,kcn->nc", weights, hinges), dtype=np.float64)
