"""How fast the stable rank and an exponent approach their ends, and whether that takes two clocks. Knows arrays."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from spectra_cli.studies.lifecycle.grids import over_layers
from spectra_cli.studies.regression import estimate

Array = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_POINTS = 6
LEVEL = 0.9
STATIONARY = 0.92  # the largest correlation of neighbouring checkpoints: what wanders farther approaches nothing
LEAST_R2 = 0.9  # of both fits, before their timescales are compared
EVIDENCE = 2.0  # by how much the criterion must prefer α's own exponential to a curve over the stable rank


@dataclass(frozen=True)
class Decay:
    """x(t) = end + (start − end)·exp(−t/τ), with a 90% interval of τ and R². reach: half of the interval of ln τ.

    residual: root mean square of what the fit leaves, in the unit of x. n: points.
    """

    tau: float
    tau_interval: Interval
    reach: float
    start: float
    end: float
    r2: float
    residual: float
    n: int

    def at(self, steps: Array) -> Array:
        """Return x at some steps."""
        return _approach(steps, self.start, self.end, math.log(self.tau))


@dataclass(frozen=True, eq=False)
class Timescales:
    """How fast the stable rank and α approach their ends. ratio: τ_α/τ_R with a 90% interval.

    rank, alpha: fitted to the means over layers, rank_series and alpha_series, (T,). by_layer: α of each layer by
    itself. clock_ratio: τ_α over the τ of ln R_s, with its interval. curve_r2: of the best parabola of α over R_s or
    ln R_s, which knows no time. gain: by how much the criterion prefers α's own exponential to it.
    """

    rank_series: Array
    alpha_series: Array
    rank: Decay | None
    alpha: Decay | None
    by_layer: tuple[Decay | None, ...]
    ratio: float | None = None
    ratio_interval: Interval | None = None
    clock_ratio: float | None = None
    clock_interval: Interval | None = None
    curve_r2: float | None = None
    gain: float | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the two are approaches at all whose timescales differ: the ratio's interval leaves out 1."""
        return self._fit and not _holds_one(self.ratio_interval)

    @property
    def two_clocks(self) -> bool:
        """Whether they differ by more than α's being a function of the stable rank explains."""
        if not self.told_apart or self.ratio is None or self.clock_ratio is None or self.gain is None:
            return False
        same_way = (self.ratio > 1) == (self.clock_ratio > 1)
        return same_way and not _holds_one(self.clock_interval) and self.gain >= EVIDENCE

    @property
    def _fit(self) -> bool:
        return self.rank is not None and self.alpha is not None and min(self.rank.r2, self.alpha.r2) >= LEAST_R2


def _holds_one(interval: Interval | None) -> bool:
    return interval is None or interval[0] <= 1 <= interval[1]


def timescales(steps: NDArray[np.int64], ranks: Array, exponents: Array) -> Timescales:
    """Fit both approaches. steps: (T,). ranks, exponents: (L, T), means over a layer's matrices."""
    t = steps.astype(float)
    return compare(t, over_layers(ranks), over_layers(exponents), tuple(decay(t, line) for line in exponents))


def compare(t: Array, ranks: Array, exponents: Array, by_layer: tuple[Decay | None, ...] = ()) -> Timescales:
    """Fit and compare the approaches of two series, (T,). NaN, and ranks without a logarithm, are left out."""
    rank, alpha = decay(t, ranks), decay(t, exponents)
    if rank is None or alpha is None:
        return Timescales(ranks, exponents, rank, alpha, by_layer)
    ratio, interval = ratio_of(alpha, rank)
    known = np.isfinite(exponents) & (ranks > 0) & (ranks < np.inf)
    if known.sum() < FEWEST_POINTS or np.ptp(exponents[known]) == 0:
        return Timescales(ranks, exponents, rank, alpha, by_layer, ratio, interval)
    smooth = np.maximum(rank.at(t), ranks[known].min())  # without the noise of the ranks; a fit may end below zero
    logarithm = decay(t, np.log(smooth))
    clock_ratio, clock_interval = None, None
    if logarithm:
        as_well_known = replace(logarithm, reach=rank.reach)  # its own fit has no noise to judge by
        clock_ratio, clock_interval = ratio_of(alpha, as_well_known)
    left = min(
        _left_by_parabola(function(series[known]), exponents[known])
        for series in (ranks, smooth) for function in (np.log, np.asarray)
    )  # fmt: skip
    own = float(np.sum((exponents - alpha.at(t))[known] ** 2))
    whole = float(np.sum((exponents[known] - exponents[known].mean()) ** 2))
    tiny = np.finfo(float).tiny
    gain = int(known.sum()) * math.log(max(left, tiny) / max(own, tiny))
    return Timescales(
        ranks, exponents, rank, alpha, by_layer, ratio, interval, clock_ratio, clock_interval, 1 - left / whole, gain
    )


def _left_by_parabola(x: Array, y: Array) -> float:
    """Return the sum of squares that a parabola in x leaves of y."""
    scaled = (x - x.mean()) / max(float(x.std()), np.finfo(float).tiny)
    powers = np.vander(scaled, 3)
    return float(np.sum((y - powers @ np.linalg.lstsq(powers, y, rcond=None)[0]) ** 2))


def decay(steps: Array, values: Array) -> Decay | None:
    """Fit an exponential approach. None where there are fewer than six points, or it does not converge on one.

    steps, values: (T,), NaN left out. τ is sought between a tenth of the smallest positive step and ten times the last
    one; a fit at either end is none. The interval is that of ln τ in the fit's tangent, for errors that neighbouring
    checkpoints share.
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
            fitted, covariance = optimize.curve_fit(
                _approach, t, y, p0=(y[0], y[-1], np.log(np.median(positive))),
                bounds=((-np.inf, -np.inf, np.log(low)), (np.inf, np.inf, np.log(high))),
            )  # fmt: skip
    except RuntimeError:
        return None
    start, end, log_tau = map(float, fitted)
    if not (1.01 * low < np.exp(log_tau) < high / 1.01 and np.isfinite(covariance[2, 2])):
        return None
    tau = math.exp(log_tau)
    residuals = y - _approach(t, *fitted)
    r2 = 1.0 - float(residuals @ residuals) / float(((y - y.mean()) ** 2).sum())
    faded = np.exp(-t / tau)
    tangent = np.column_stack([faded, 1 - faded, (start - end) * faded * t / tau])
    change = estimate(tangent, np.array([0.0, 0.0, 1.0]), residuals[:, None], level=LEVEL, most=STATIONARY)
    reach = float(change.high[0] - change.low[0]) / 2
    return Decay(tau, _around(log_tau, reach), reach, start, end, r2, math.sqrt(float(np.mean(residuals**2))), len(t))


def _approach(t: Array, start: float, end: float, log_tau: float) -> Array:
    return np.asarray(end + (start - end) * np.exp(-t / np.exp(log_tau)))


def ratio_of(slow: Decay, fast: Decay) -> tuple[float, Interval]:
    """Return τ_slow/τ_fast with its 90% interval: the two fits are taken for independent."""
    return slow.tau / fast.tau, _around(math.log(slow.tau / fast.tau), math.hypot(slow.reach, fast.reach))


def _around(logarithm: float, reach: float) -> Interval:
    """The interval of a number from that of its logarithm: Inf where it says nothing."""
    with np.errstate(over="ignore"):
        return float(np.exp(logarithm - reach)), float(np.exp(logarithm + reach))
