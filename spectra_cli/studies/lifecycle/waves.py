"""Compression of the stable rank, and whether it goes through the depth as a wave. Knows arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectra_cli.studies.regression import estimate

Array = NDArray[np.float64]
Interval = tuple[float, float]

EXACT_LAYERS = 7  # up to here every order of the layers is tried
PERMUTATIONS = 2000


@dataclass(frozen=True, eq=False)
class Arrival:
    """When each layer has half of its largest compression, and whether that goes through the depth as a wave.

    half_steps: (L,) NaN where a layer never compresses. rho: Spearman's rank correlation with the layer; p: of the
    wave. velocity: slope of layer on step, layers per step; its 90% interval is that of a layer's steps, of which it is
    the inverse. start: the layer at which that line is at step 0. n: layers with an arrival.
    """

    half_steps: Array
    rho: float
    p: float
    velocity: float
    velocity_interval: Interval
    start: float
    n: int


def compression(stable_rank: Array) -> Array:
    """Return 100·(1 − R_s(t,l)/R_s(0,l)) in %. stable_rank: (L, T), its first column the start.

    >>> compression(np.array([[40.0, 30.0, 10.0]]))
    array([[ 0., 25., 75.]])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100.0 * (1.0 - stable_rank / stable_rank[:, :1]))


def arrival(steps: Array, compressed: Array, *, least: float = 5.0, seed: int = 0) -> Arrival:
    """Return when each layer has half of its largest compression. steps: (T,). compressed: (L, T) in %.

    A layer that never compresses by `least` per cent has no arrival. Between checkpoints ln(1 + step) is interpolated.
    The p-value is the larger of two: of Spearman's correlation by a permutation test, exact up to EXACT_LAYERS layers,
    PERMUTATIONS random orders beyond; and of a slope of that step over depth, whose errors neighbours share.
    """
    halves = np.array([_half(steps, line, least) for line in compressed])
    known = np.isfinite(halves)
    layers, times = np.flatnonzero(known).astype(np.float64), halves[known]
    n = len(times)
    if n < 3 or len(np.unique(times)) < 2:
        return Arrival(halves, np.nan, np.nan, np.nan, (np.nan, np.nan), np.nan, n)
    rho = float(stats.spearmanr(layers, times).statistic)
    permutations = np.inf if n <= EXACT_LAYERS else PERMUTATIONS
    centred = layers - layers.mean()  # of ranks, so that their products go with Spearman's correlation
    test = stats.permutation_test(
        (stats.rankdata(times) - (n + 1) / 2,), lambda order, axis: (centred * order).sum(axis=axis),
        permutation_type="pairings", n_resamples=permutations, rng=np.random.default_rng(seed), vectorized=True,
    )  # fmt: skip
    drift = estimate(np.vander(layers, 2, increasing=True), np.array([0.0, 1.0]), times[:, None], level=0.9)
    p = max(float(test.pvalue), float(drift.p[0]))
    velocity, start = map(float, np.polyfit(times, layers, 1))
    return Arrival(halves, rho, p, velocity, _velocities(float(drift.low[0]), float(drift.high[0]), velocity), start, n)


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


def _velocities(least: float, most: float, velocity: float) -> Interval:
    """Return the interval of a velocity from that of the steps that a layer takes; without end where they may be 0."""
    if least <= 0 <= most:
        return -np.inf, np.inf
    return min(1 / most, velocity), max(1 / least, velocity)
