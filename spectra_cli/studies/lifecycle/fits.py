"""The fits behind the Lifecycle study, on plain arrays: layers × checkpoints. Knows nothing of tables or of people.

Every p-value that is compared with CHANCE was corrected for the tests beside it (Benjamini and Hochberg).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

Array = NDArray[np.float64]
Interval = tuple[float, float]

CHANCE = 0.05
DRAWS = 400
FEWEST_LAYERS = 4
EXACT_LAYERS = 7  # up to here every order of the layers is tried
PERMUTATIONS = 2000
FEWEST_POINTS = 6
AROUND = 4  # checkpoints on each side through which a turn is placed


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
class Arrival:
    """When each layer has half of its largest compression, and whether that goes through the depth as a wave.

    half_steps: (L,) NaN where a layer never compresses. rho, p: Spearman's rank correlation with the layer. velocity:
    slope of layer on step, layers per step, with a 90% bootstrap interval; start: the layer at which that line is at
    step 0. n: layers with an arrival.
    """

    half_steps: Array
    rho: float
    p: float
    velocity: float
    velocity_interval: Interval
    start: float
    n: int


@dataclass(frozen=True)
class Decay:
    """x(t) = end + (start − end)·exp(−t/τ), with the standard error of ln τ, a 90% interval of τ and R².

    residual: root mean square of what the fit leaves, in the unit of x. n: points.
    """

    tau: float
    tau_interval: Interval
    log_error: float
    start: float
    end: float
    r2: float
    residual: float
    n: int

    def at(self, steps: Array) -> Array:
        """Give x at some steps."""
        return _approach(steps, self.start, self.end, math.log(self.tau))


@dataclass(frozen=True)
class SpreadRatio:
    """How much farther one group of roles spreads over depth than another, with a 95% interval. n: layers."""

    ratio: float
    interval: Interval
    p: float
    n: int


def correct(p_values: Sequence[float]) -> Array:
    """Give Benjamini–Hochberg p-values; NaN stays NaN and is not counted.

    >>> correct([0.01, float("nan"), 0.04]).round(3)
    array([0.02,  nan, 0.04])
    """
    found = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(found)
    if known.any():
        found = found.copy()
        found[known] = multipletests(found[known], method="fdr_bh")[1]
    return found


def compression(stable_rank: Array) -> Array:
    """100·(1 − R_s(t,l)/R_s(0,l)) in %. stable_rank: (L, T), its first column the start.

    >>> compression(np.array([[40.0, 30.0, 10.0]]))
    array([[ 0., 25., 75.]])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100.0 * (1.0 - stable_rank / stable_rank[:, :1]))


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


def is_inverted_u(one: Trend | None, p: float | None) -> bool:
    """Say whether a parabola opens downwards, significantly, with its vertex inside. p: corrected, of the curvature."""
    return one is not None and one.peak is not None and p is not None and p < CHANCE and 0 < one.peak < 1


def turns(steps: Array, slopes: Array, p_values: Array) -> list[float]:
    """Give the steps at which a gradient over depth changes its sign, between checkpoints where it is significant.

    steps, slopes, p_values: (T,), the p-values corrected. There must be two significant ones on each side: a lone one
    is no turn. The place is where a straight line in ln(1 + step) through AROUND checkpoints on each side is zero.
    """
    sure = np.flatnonzero(p_values < CHANCE)
    x = np.log1p(steps)
    found = []
    for place in range(1, len(sure)):
        before, after = sure[place - 1], sure[place]
        stays = place + 1 < len(sure) and np.sign(slopes[sure[place + 1]]) == np.sign(slopes[after])
        held = place > 1 and np.sign(slopes[sure[place - 2]]) == np.sign(slopes[before])
        if np.sign(slopes[before]) == np.sign(slopes[after]) or not (stays and held):
            continue
        span = slice(max(0, before - AROUND + 1), after + AROUND)
        slope, intercept = np.polyfit(x[span], slopes[span], 1)
        at = -intercept / slope if slope else x[before]
        found.append(float(np.expm1(np.clip(at, x[before], x[after]))))
    return found


def arrival(steps: Array, compressed: Array, *, least: float = 5.0, seed: int = 0) -> Arrival:
    """Find when each layer has half of its largest compression. compressed: (L, T) in %.

    A layer that never compresses by `least` per cent has no arrival. Between checkpoints ln(1 + step) is interpolated.
    The p-value is that of a permutation test: exact up to EXACT_LAYERS layers, PERMUTATIONS random orders beyond.
    """
    halves = np.array([_half(steps, line, least) for line in compressed])
    known = np.isfinite(halves)
    layers, times = np.flatnonzero(known).astype(np.float64), halves[known]
    n = len(times)
    nothing = Arrival(halves, np.nan, np.nan, np.nan, (np.nan, np.nan), np.nan, n)
    if n < 3 or len(np.unique(times)) < 2:
        return nothing
    rho = float(stats.spearmanr(layers, times).statistic)
    many = np.inf if n <= EXACT_LAYERS else PERMUTATIONS
    centred = layers - layers.mean()  # of ranks, so that their products go with Spearman's correlation
    test = stats.permutation_test(
        (stats.rankdata(times) - (n + 1) / 2,), lambda order, axis: (centred * order).sum(axis=axis),
        permutation_type="pairings", n_resamples=many, rng=np.random.default_rng(seed), vectorized=True,
    )  # fmt: skip
    velocity, start = map(float, np.polyfit(times, layers, 1))
    return Arrival(halves, rho, float(test.pvalue), velocity, _velocities(layers, times, seed), start, n)


def _half(steps: Array, line: Array, least: float) -> float:
    largest = np.nanmax(line) if np.isfinite(line).any() else np.nan
    if not largest >= least:
        return float("nan")
    at = int(np.flatnonzero(line >= largest / 2)[0])
    if at == 0 or not np.isfinite(line[at - 1]):
        return float(steps[at])
    share = (largest / 2 - line[at - 1]) / (line[at] - line[at - 1])
    x = np.log1p(steps[at - 1]) + share * (np.log1p(steps[at]) - np.log1p(steps[at - 1]))
    return float(np.expm1(x))


def _velocities(layers: Array, times: Array, seed: int) -> Interval:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        chosen = random.integers(len(times), size=len(times))
        if len(np.unique(times[chosen])) > 1:
            found.append(np.polyfit(times[chosen], layers[chosen], 1)[0])
    return (float(np.quantile(found, 0.05)), float(np.quantile(found, 0.95))) if found else (np.nan, np.nan)


def decay(steps: Array, values: Array) -> Decay | None:
    """Fit an exponential approach. None where there are fewer than six points, or it does not converge on one.

    steps, values: (T,), NaN left out. τ is sought between a tenth of the smallest positive step and ten times the last
    one; a fit at either end is none. The interval is that of ln τ, from the fit's covariance and Student's t.
    """
    known = np.isfinite(values)
    t, y = np.asarray(steps, dtype=np.float64)[known], values[known]
    if len(t) < FEWEST_POINTS or np.ptp(y) == 0 or not (t > 0).any():
        return None
    positive = t[t > 0]
    low, high = float(positive.min()) / 10, float(t.max()) * 10
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optimize.OptimizeWarning)
            found, covariance = optimize.curve_fit(
                _approach, t, y, p0=(y[0], y[-1], np.log(np.median(positive))),
                bounds=((-np.inf, -np.inf, np.log(low)), (np.inf, np.inf, np.log(high))),
            )  # fmt: skip
    except RuntimeError:
        return None
    start, end, log_tau = map(float, found)
    error = float(np.sqrt(covariance[2, 2]))
    if not (1.01 * low < np.exp(log_tau) < high / 1.01 and np.isfinite(error)):
        return None
    residuals = y - _approach(t, *found)
    r2 = 1.0 - float(residuals @ residuals) / float(((y - y.mean()) ** 2).sum())
    reach = float(stats.t.ppf(0.95, len(t) - 3)) * error
    interval = float(np.exp(log_tau - reach)), float(np.exp(log_tau + reach))
    residual = math.sqrt(float(np.mean(residuals**2)))
    return Decay(float(np.exp(log_tau)), interval, error, start, end, r2, residual, len(t))


def _approach(t: Array, start: float, end: float, log_tau: float) -> Array:
    return np.asarray(end + (start - end) * np.exp(-t / np.exp(log_tau)))


def ratio_of(slow: Decay, fast: Decay) -> tuple[float, Interval]:
    """Give τ_slow/τ_fast with its 98% interval: the two fits are taken for independent."""
    reach = float(stats.t.ppf(0.99, min(slow.n, fast.n) - 3)) * float(np.hypot(slow.log_error, fast.log_error))
    middle = float(np.log(slow.tau / fast.tau))
    return float(np.exp(middle)), (float(np.exp(middle - reach)), float(np.exp(middle + reach)))


def spread_ratio(first: Array, second: Array, *, seed: int = 0) -> SpreadRatio:
    """Compare how far two groups of roles spread over depth.

    first, second: (roles, L) each. Spread is the root mean square of a role's values about the role's own mean. Where
    the groups do not differ, within a layer any role's value may stand for any other's: the p-value is the share of
    such exchanges that give a ratio at least as far from 1. The interval is from layers drawn anew.
    """
    both = np.vstack([first, second])
    both = both[:, np.isfinite(both).all(axis=0)]
    centred = both - both.mean(axis=1, keepdims=True)
    roles, n = centred.shape
    if n < 3 or not centred.any():
        return SpreadRatio(np.nan, (np.nan, np.nan), np.nan, n)
    split = len(first)

    def log_ratio(values: Array) -> Array:
        values = values - values.mean(axis=-1, keepdims=True)
        one, other = (np.square(part).mean(axis=(-2, -1)) for part in (values[..., :split, :], values[..., split:, :]))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(one / other) / 2)

    seen = float(log_ratio(both))
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.broadcast_to(centred, (PERMUTATIONS, roles, n)), axis=1)
    p = (1 + int((np.abs(log_ratio(shuffled)) >= abs(seen) - 1e-12).sum())) / (PERMUTATIONS + 1)
    drawn = log_ratio(both[:, random.integers(n, size=(PERMUTATIONS, n))].swapaxes(0, 1))
    drawn = drawn[np.isfinite(drawn)]
    reach = np.exp(np.quantile(drawn, (0.025, 0.975))) if len(drawn) else (np.nan, np.nan)
    return SpreadRatio(float(np.exp(seen)), (float(reach[0]), float(reach[1])), p, n)


def mean_interval(values: Array) -> Interval:
    """Give the 95% interval of the mean of independent values, by Student's t; NaN for fewer than two.

    >>> [round(end, 3) for end in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return np.nan, np.nan
    middle, reach = float(known.mean()), float(stats.t.ppf(0.975, len(known) - 1) * stats.sem(known))
    return middle - reach, middle + reach
