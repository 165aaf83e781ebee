"""How fast the stable rank and an exponent approach their ends: exponential fits. Knows arrays over checkpoints."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from spectra_cli.studies.lifecycle.grids import over_layers

Array = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_POINTS = 6


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
        """Return x at some steps."""
        return _approach(steps, self.start, self.end, math.log(self.tau))


@dataclass(frozen=True, eq=False)
class Timescales:
    """How fast the stable rank and α approach their ends. ratio: τ_α/τ_R with a 98% interval.

    rank, alpha: fitted to the means over layers, rank_series and alpha_series, (T,). by_layer: α of each layer by
    itself.
    """

    rank_series: Array
    alpha_series: Array
    rank: Decay | None
    alpha: Decay | None
    by_layer: tuple[Decay | None, ...]
    ratio: float | None
    ratio_interval: Interval | None


def timescales(steps: NDArray[np.int64], ranks: Array, exponents: Array) -> Timescales:
    """Fit both approaches. steps: (T,). ranks, exponents: (L, T), means over a layer's matrices."""
    t = steps.astype(float)
    rank_series, alpha_series = over_layers(ranks), over_layers(exponents)
    rank, alpha = decay(t, rank_series), decay(t, alpha_series)
    ratio, interval = ratio_of(alpha, rank) if rank and alpha else (None, None)
    by_layer = tuple(decay(t, line) for line in exponents)
    return Timescales(rank_series, alpha_series, rank, alpha, by_layer, ratio, interval)


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
            fitted, covariance = optimize.curve_fit(
                _approach, t, y, p0=(y[0], y[-1], np.log(np.median(positive))),
                bounds=((-np.inf, -np.inf, np.log(low)), (np.inf, np.inf, np.log(high))),
            )  # fmt: skip
    except RuntimeError:
        return None
    start, end, log_tau = map(float, fitted)
    error = float(np.sqrt(covariance[2, 2]))
    if not (1.01 * low < np.exp(log_tau) < high / 1.01 and np.isfinite(error)):
        return None
    residuals = y - _approach(t, *fitted)
    r2 = 1.0 - float(residuals @ residuals) / float(((y - y.mean()) ** 2).sum())
    reach = float(stats.t.ppf(0.95, len(t) - 3)) * error
    interval = _around(log_tau, reach)
    residual = math.sqrt(float(np.mean(residuals**2)))
    return Decay(float(np.exp(log_tau)), interval, error, start, end, r2, residual, len(t))


def _approach(t: Array, start: float, end: float, log_tau: float) -> Array:
    return np.asarray(end + (start - end) * np.exp(-t / np.exp(log_tau)))


def ratio_of(slow: Decay, fast: Decay) -> tuple[float, Interval]:
    """Return τ_slow/τ_fast with its 98% interval: the two fits are taken for independent."""
    reach = float(stats.t.ppf(0.99, min(slow.n, fast.n) - 3)) * float(np.hypot(slow.log_error, fast.log_error))
    middle = float(np.log(slow.tau / fast.tau))
    return float(np.exp(middle)), _around(middle, reach)


def _around(logarithm: float, reach: float) -> Interval:
    """The interval of a number from that of its logarithm: Inf where it says nothing."""
    with np.errstate(over="ignore"):
        return float(np.exp(logarithm - reach)), float(np.exp(logarithm + reach))
