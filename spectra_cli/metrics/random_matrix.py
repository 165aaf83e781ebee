"""A spectrum against that of a matrix of independent random entries: the Marchenko–Pastur law. Knows spectra.

For an m×n matrix of independent entries of mean 0 and deviation s the λ = σ²/(s²·max(m,n)) fill the interval
(1 ± √β)², β = min(m,n)/max(m,n), and no σ exceeds s(√m+√n) by more than a little: the largest eigenvalue follows the
law of Tracy & Widom, whose scale is a share r^(−2/3) of the edge (Johnstone 2001; centred as Ma 2012 does). With
λ = 1 + β + 2√β cos θ the law is smooth in the angle θ, from 0 at the upper edge to π at the lower, and its distribution
is elementary.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from spectra_cli.metrics.norms import frobenius_norm
from spectra_cli.metrics.scale import relative, rounding
from spectra_cli.metrics.stacks import KEPT, Flags, Numbers, Spectra, of_matrix

# Below this many values every spectrum looks random: at r = 16 the test's limit on the distance is already 0.2.
FEWEST = 16

# Quantiles of the law of Tracy & Widom for real entries, from Fredholm's determinant (Ferrari & Spohn 2005).
ONE_IN_100 = 2.0234
THREE_IN_100 = 1.3332


@of_matrix
def mp_outliers(spectra: Spectra) -> Numbers:
    """How many singular values stand out of the noise that the rest of the spectrum shows.

    Formula: the number of σᵢ > s·√(c² + 2.0234·c·(1/a + 1/b)^(1/3)) with a = √(m−½), b = √(n−½), c = a + b: what the
    largest σ of noise exceeds once in a hundred times. s = σ_med/√(μ·max(m,n)), σ_med the median singular value and μ
    the median of the Marchenko–Pastur law. Returns a whole number in 0…r. Degree 0. NaN where σ_med ≤ σ₁·max(m,n)·2⁻⁵²:
    then there is no noise to stand out of. The edge alone, s(√m+√n), was exceeded by 15 to 30 of 100 matrices of noise;
    this is by 0 to 3, and by 5 or 6 of 64×64 and 16×16, whose median fluctuates. Where noise holds one direction of
    1.25 and 1.5 times the least strength that can be seen, s·(mn)^¼, it is found in 56 and 96 of 100 matrices of
    128×128, in 85 and 100 of 256×1024.
    Source: Gavish & Donoho 2014, for the estimate of s; Johnstone 2001 and Ma 2012, for the limit.

    >>> mp_outliers([10.0, *[1.0] * 9])
    1.0
    """
    edge = _edge(spectra)
    limit = edge * _above_edge(spectra, ONE_IN_100)
    return np.where(np.isnan(edge), np.nan, (relative(spectra) > limit[:, None]).sum(axis=1))


@of_matrix
def spectral_norm_ratio_mp(spectra: Spectra) -> Numbers:
    """How far the largest singular value stands above the noise that the rest of the spectrum shows.

    Formula: σ₁ / (s(√m+√n)), with s as in `mp_outliers`. Returns a float > 0, about 1 for a random matrix. Degree 0.
    NaN where σ_med ≤ σ₁·max(m,n)·2⁻⁵².
    Source: this project, with the edge of Gavish & Donoho 2014.

    >>> round(spectral_norm_ratio_mp([10.0, *[1.0] * 9]), 4)
    4.0397
    """
    return 1.0 / _edge(spectra)


@of_matrix
def on_random_baseline(spectra: Spectra) -> Flags:
    """Whether the spectrum is that of a matrix of independent entries, as at initialisation.

    True where, with s = ‖W‖_F/√(mn), both hold: the Kolmogorov–Smirnov distance to the Marchenko–Pastur law is at most
    (1.5 + 0.6 ln r)/r, and σ₁ is no larger than that of 97 in 100 random matrices (see `mp_outliers`). Of 100 Gaussian
    matrices 1 to 5 are missed, whatever the shape. Where one direction of 1.25 times the least strength that can be
    seen was added, 38 of 100 of 128×128 are still taken for random and 12 of 256×1024, at 1.5 times 3 and 0. False for
    fewer than 16 values, and for a matrix that is zero or not finite: then nothing can be decided.

    >>> on_random_baseline(range(1, 65))
    False
    """
    norms, r = frobenius_norm(spectra), spectra.sigma.shape[1]
    if r < FEWEST:
        return np.zeros(len(norms), dtype=np.bool_)
    edges = norms / math.sqrt(spectra.rows * spectra.cols) * (math.sqrt(spectra.rows) + math.sqrt(spectra.cols))
    flags: Flags = (norms > 0) & (norms < math.inf)
    flags &= spectra.sigma[:, 0] / edges <= _above_edge(spectra, THREE_IN_100)
    distances = _distance(spectra.sigma[flags] / edges[flags, None], _beta(spectra))
    flags[flags] = distances <= (1.5 + 0.6 * math.log(r)) / r
    return flags


def marchenko_pastur(rows: int, cols: int) -> Numbers:
    """Return the singular values of a matrix of independent random entries as its law has them, descending, ‖W‖_F = 1.

    Formula: σᵢ ∝ √λ at the share (i − ½)/r from the upper edge of the Marchenko–Pastur law.

    >>> marchenko_pastur(2, 3).round(3)
    array([0.913, 0.407])
    """
    beta, r = min(rows, cols) / max(rows, cols), min(rows, cols)
    theta = np.linspace(0.0, math.pi, 1 << 16)
    angles = np.interp((np.arange(r) + 0.5) / r, _share_above(theta, beta), theta)
    sigma = np.sqrt(np.maximum(1.0 + beta + 2.0 * math.sqrt(beta) * np.cos(angles), 0.0))
    return np.asarray(sigma / np.linalg.norm(sigma))


@lru_cache(maxsize=KEPT)
def _edge(spectra: Spectra) -> Numbers:
    """The Marchenko–Pastur edge over σ₁, (b,), with s from the median; NaN where that is not above rounding."""
    scaled, beta = relative(spectra), _beta(spectra)
    r = scaled.shape[1]
    median = (scaled[:, (r - 1) // 2] + scaled[:, r // 2]) / 2
    edges = median * (1.0 + math.sqrt(beta)) / math.sqrt(_median(beta))
    return np.where(median > rounding(spectra), edges, np.nan)


def _above_edge(spectra: Spectra, quantile: float) -> float:
    """The largest σ of noise at a quantile of the law of Tracy & Widom, over the edge √m+√n."""
    a, b = math.sqrt(spectra.rows - 0.5), math.sqrt(spectra.cols - 0.5)
    squared = (a + b) ** 2 + quantile * (a + b) * (1 / a + 1 / b) ** (1 / 3)
    return math.sqrt(squared) / (math.sqrt(spectra.rows) + math.sqrt(spectra.cols))


def _beta(spectra: Spectra) -> float:
    return min(spectra.rows, spectra.cols) / max(spectra.rows, spectra.cols)


def _share_above(theta: Numbers, beta: float) -> Numbers:
    """Share of the λ above 1 + β + 2√β cos θ: the integral of (2/π) sin²t / (1 + β + 2√β cos t) from 0 to θ."""
    root = math.sqrt(beta)
    inner = np.arctan2((1.0 - root) * np.sin(theta / 2), (1.0 + root) * np.cos(theta / 2))
    ends = (1.0 + beta) * theta / (4.0 * beta) - np.sin(theta) / (2.0 * root)
    share: Numbers = 2.0 / math.pi * (ends - (1.0 - beta) / (2.0 * beta) * inner)
    return share


@lru_cache(maxsize=64)  # one shape, one number
def _median(beta: float) -> float:
    """Median of the Marchenko–Pastur law for deviation 1, in the unit where its edges are (1 ± √β)²; by bisection."""
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(_share_above(np.array(middle), beta)) < 0.5 else (low, middle)
    return 1.0 + beta + 2.0 * math.sqrt(beta) * math.cos(low)


def _distance(ratio: Numbers, beta: float) -> Numbers:
    """Kolmogorov–Smirnov distance of σ/edge, (b, r) descending, to the Marchenko–Pastur law: (b,)."""
    root, r = math.sqrt(beta), ratio.shape[1]
    cosine = (np.square(ratio * (1.0 + root)) - 1.0 - beta) / (2.0 * root)
    model = _share_above(np.arccos(np.clip(cosine, -1.0, 1.0)), beta)
    steps = np.arange(r + 1) / r
    return np.asarray(np.maximum((model - steps[:-1]).max(axis=1), (steps[1:] - model).max(axis=1)))
