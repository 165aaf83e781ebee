"""Breakpoints of a noisy series: continuous piecewise-linear fits, how many of them there are, and how sure that is.

Knows points (x, y) and nothing of what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from spectra_cli.studies.stability.autocorrelation import whitened

Array = NDArray[np.float64]

FINENESS = 4  # knots tried between two neighbouring points
ENDS = (2, 3)  # points that the first and the last piece must have at least; a piece between them two
LEAST_SEEN = 1e-6  # of a hinge's squares, what must be left of it beside a straight fit
BLOCK = 16_384  # gains of pairs of knots that are computed at once: they stay in the processor's cache
MOST_KNOTS = 160  # pairs of them grow with the square: a thousand checkpoints would take minutes


@dataclass(frozen=True, eq=False)
class PiecewiseLinearFit:
    """A continuous piecewise-linear fit. knots: (k,) its breakpoints. slopes: (k+1,) of its pieces.

    values: (n,) the fit at the points. start: the line at the first point, without what was fitted beside. terms: the
    parameters of a straight fit. tried: the knots that were tried.
    """

    x: Array
    knots: Array
    slopes: Array
    values: Array
    residuals: Array
    start: float
    terms: int
    tried: Array

    def criterion(self, *, corrected: bool = True) -> float:
        """Return the information criterion of the fit, as `criterion` gives it."""
        squares = float(np.sum(self.residuals**2))
        parameters = self.terms + 2 * len(self.knots)
        value = criterion(squares, len(self.x), parameters, corrected=corrected)
        return float(value) if len(self.knots) or np.isfinite(value) else float(np.finfo(float).max)

    def pieces(self) -> Array:
        """Return how much of x lies on each piece, (n, k+1): the slopes are what these columns are multiplied by."""
        ends = np.array([self.x[0], *self.knots, self.x[-1]])
        return np.asarray(np.clip(self.x[:, None], ends[:-1], ends[1:]) - ends[:-1], dtype=np.float64)

    def at(self, where: Array) -> Array:
        """Return the fit at other points."""
        vertices = np.array([self.x[0], *self.knots, self.x[-1]])
        steps = np.concatenate([[0.0], np.cumsum(self.slopes * np.diff(vertices))])
        return np.asarray(np.interp(where, vertices, self.start + steps), dtype=np.float64)


def criterion(squares: ArrayLike, n: int, parameters: int, *, corrected: bool = True) -> Array:
    """Return n·ln(RSS/n) + p·ln n, the Bayesian information criterion up to a constant. squares: RSS, one or many.

    corrected: the penalty times n/(n − p − 2), for few points (McQuarrie 1999, Statistics & Probability Letters 44),
    infinite where there are too few. In straight series of 14, 25 and 40 checkpoints with 15% noise the plain one
    flattened 26, 9 and 8 of 100, the corrected one 0, 0 and 2.
    """
    spare = n - parameters - 2 if corrected else n
    least = np.maximum(np.asarray(squares, dtype=np.float64), np.finfo(float).tiny)
    if spare <= 0:
        return np.full_like(least, np.inf)
    return np.asarray(n * np.log(least / n) + parameters * np.log(n) * n / spare)


def fit(
    x: Array, y: Array, most: int = 2, *, beside: Array | None = None, corrected: bool = True
) -> PiecewiseLinearFit:
    """Return the fit of least criterion with 0 … most breakpoints, the best of all knots tried being refined.

    x: (n,) ascending. y: (n,). n must be at least 3. beside: (n,) another cause of y, whose share is fitted with it.

    >>> x = np.arange(12.0)
    >>> fit(x, np.minimum(x, 6.0) + 0.01 * np.cos(9 * x)).knots.round(1)
    array([6.])
    """
    search = search_over(x, beside)
    tried = [search.best(y[:, None], count)[0] for count in range(most + 1) if search.allows(count)]
    fits = [_fit(x, y, _refined(x, y, knots, search.knots, beside), beside) for knots in tried]
    return min(fits, key=lambda line: line.criterion(corrected=corrected))


def interval(line: PiecewiseLinearFit, draws: Array, level: float) -> tuple[float, float]:
    """Return the quantiles of a knot's draws that hold the level between them, out to the middle of the gap beyond.

    A knot stands for all that lies nearer to it than to the next one that was tried: without that, 85 of 100 intervals
    held a planted breakpoint instead of 90.
    """
    knots = line.tried
    middles = np.concatenate([knots[:1], (knots[1:] + knots[:-1]) / 2, knots[-1:]])
    low = np.quantile(draws, (1 - level) / 2, method="inverted_cdf")
    high = np.quantile(draws, (1 + level) / 2, method="inverted_cdf")
    return float(middles[np.searchsorted(knots, low)]), float(middles[np.searchsorted(knots, high) + 1])


def _refined(x: Array, y: Array, knots: Array, tried: Array, beside: Array | None) -> Array:
    """Return the knots moved to the best point between their neighbours among those that were tried.

    Where noise is small, a breakpoint between two of them would otherwise look like two.
    """
    if len(knots) == 0:
        return knots
    index = np.searchsorted(tried, knots)
    low, high = tried[np.maximum(index - 1, 0)], tried[np.minimum(index + 1, len(tried) - 1)]

    def squares(moved: Array) -> float:
        return float(np.sum(_fit(x, y, np.sort(moved), beside).residuals ** 2))

    better = np.sort(optimize.minimize(squares, knots, method="Powell", bounds=list(zip(low, high, strict=True))).x)
    return better if squares(better) < squares(knots) else knots


def _fit(x: Array, y: Array, knots: Array, beside: Array | None) -> PiecewiseLinearFit:
    n = len(x)
    others = [] if beside is None else [beside - beside.mean()]
    columns = np.column_stack([np.ones(n), x, *(np.maximum(x - knot, 0.0) for knot in knots), *others])
    coefficients = np.linalg.lstsq(columns, y, rcond=None)[0]
    values = columns @ coefficients
    terms = 2 + len(others)
    slopes = np.cumsum(coefficients[1 : 2 + len(knots)])
    start = float(coefficients[0] + coefficients[1] * x[0])
    return PiecewiseLinearFit(x, knots, slopes, values, y - values, start, terms, search_over(x, beside).knots)


def slopes_between(x: Array, series: Array, knots: Array, beside: Array | None = None) -> Array:
    """Return the slopes, (columns, k+1), of a fit to each column of series, (n, columns). knots: (columns, k)."""
    hinges = np.maximum(x[:, None] - knots[:, None, :], 0.0)
    straight = [np.ones(len(x)), x] if beside is None else [np.ones(len(x)), x, beside - beside.mean()]
    columns = np.concatenate(
        [np.broadcast_to(np.column_stack(straight), (len(knots), len(x), len(straight))), hinges], axis=2
    )
    coefficients = np.linalg.pinv(columns) @ series.T[:, :, None]
    changes = np.concatenate([coefficients[:, 1:2], coefficients[:, len(straight) :]], axis=1)
    return np.asarray(np.cumsum(changes[:, :, 0], axis=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Search:
    """What a search for the best knots over given points needs again and again.

    basis: (n, terms) orthonormal, of a straight fit. hinges: (knots, n) max(x − knot, 0) without what a straight fit
    explains. pairs: (2, p) indices of knots that may go together. gram: (3, p) the inner products aa, ab, bb of their
    hinges. Where noise of a correlation is taken out, all of them are without it, and so must y be.
    """

    basis: Array
    knots: Array
    hinges: Array
    pairs: NDArray[np.intp]
    gram: Array

    @property
    def terms(self) -> int:
        """How many parameters a straight fit has."""
        return int(self.basis.shape[1])

    def allows(self, count: int) -> bool:
        """Whether so many breakpoints can be placed."""
        return count == 0 or (len(self.knots) > 0 if count == 1 else self.pairs.shape[1] > 0)

    def best(self, y: Array, count: int) -> Array:
        """Return the knots, (columns, count), that leave the least residual for each column of y, (n, columns)."""
        return self.knots[self.choose(y, count)[0]].T if count else np.empty((y.shape[1], 0))

    def choose(self, y: Array, count: int) -> tuple[NDArray[np.intp], Array]:
        """Return the best knots' indices, (count, columns), and by how much they lessen the squares, (columns,)."""
        products = self.hinges @ y
        columns = np.arange(y.shape[1])
        of_one = products**2 / np.sum(self.hinges**2, axis=1)[:, None]
        if count == 1:
            index = np.argmax(of_one, axis=0)
            return index[None, :], of_one[index, columns]
        first, second = self.pairs
        aa, ab, bb = self.gram[:, :, None]
        share, scale = ab / aa, 1 / (bb - ab**2 / aa)
        chosen, gains = np.zeros(len(columns), dtype=np.intp), np.full(len(columns), -np.inf)
        step = max(1, BLOCK // max(1, len(columns)))
        for start in range(0, len(first), step):
            some = slice(start, start + step)
            a, every = products.take(first[some], axis=0), products.take(second[some], axis=0)
            every -= np.multiply(a, share[some], out=a)
            every *= every
            every *= scale[some]
            every += of_one.take(first[some], axis=0)  # the first hinge, and what the second adds to it
            index = np.argmax(every, axis=0)
            gain = every[index, columns]
            better = ~(gain <= gains)
            chosen[better], gains[better] = start + index[better], gain[better]
        return np.stack([first[chosen], second[chosen]]), gains


def search_over(x: Array, beside: Array | None = None, *, correlation: float = 0.0, fineness: int = FINENESS) -> Search:
    """Return the search over points, noise of a correlation taken out; it is kept for more series over the same."""
    return _search(tuple(x), None if beside is None else tuple(beside), correlation, fineness)


def forget_points() -> None:
    """Drop the searches that are kept: a series that grows by a point at a time never comes back to its points."""
    _search.cache_clear()


@lru_cache(maxsize=32)
def _search(points: tuple[float, ...], beside: tuple[float, ...] | None, correlation: float, fineness: int) -> Search:
    x = np.array(points)
    knots = _tried(x, fineness)
    columns = [np.ones(len(x)), x] if beside is None else [np.ones(len(x)), x, np.array(beside)]
    basis = np.linalg.qr(whitened(np.column_stack(columns), correlation))[0]
    hinges = whitened(np.maximum(x[:, None] - knots, 0.0), correlation).T
    left = hinges - (hinges @ basis) @ basis.T
    seen = np.sum(left**2, axis=1) > LEAST_SEEN * np.sum(hinges**2, axis=1)  # else it is all but what is fitted beside
    knots, hinges = knots[seen], left[seen]
    first, second = np.triu_indices(len(knots), 1)
    apart = np.searchsorted(x, knots[second], "left") - np.searchsorted(x, knots[first], "right") >= 1
    inner_products = hinges @ hinges.T
    pairs = np.stack([first[apart], second[apart]])
    a, b = pairs
    gram = np.stack([inner_products[i, j] for i, j in ((a, a), (a, b), (b, b))])
    return Search(basis, knots, hinges, pairs, gram)


def _tried(x: Array, fineness: int) -> Array:
    """Return the knots that are tried: the points between the ends, and some between two neighbours."""
    n = len(x)
    least, most = x[ENDS[0] - 1 : ENDS[0]], x[n - ENDS[1] - 1 : n - ENDS[1]] if n > ENDS[1] else x[:0]
    if n < sum(ENDS) or least[0] > most[0]:
        return np.empty(0)
    inner = x[(x >= least[0]) & (x <= most[0])]
    inner = inner[np.unique(np.linspace(0, len(inner) - 1, min(len(inner), MOST_KNOTS)).round().astype(int))]
    fineness = max(1, min(fineness, MOST_KNOTS // len(inner)))
    shares = np.arange(fineness) / fineness
    return np.append((inner[:-1, None] + np.diff(inner)[:, None] * shares).ravel(), inner[-1])
