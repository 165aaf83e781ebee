"""A spectrum against that of a matrix of independent random entries: the Marchenko–Pastur law. Knows one spectrum.

For an m×n matrix of independent entries of mean 0 and deviation s the λ = σ²/(s²·max(m,n)) fill the interval
(1 ± √β)², β = min(m,n)/max(m,n), and no σ exceeds s(√m+√n) by more than a little. With λ = 1 + β + 2√β cos θ the law is
smooth in the angle θ, from 0 at the upper edge to π at the lower, and its distribution is elementary.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.norms import frobenius_norm
from spectra_cli.metrics.scale import EPSILON, relative
from spectra_cli.records import Spectrum

# Below this many values every spectrum looks random: at r = 16 the test's limit on the distance is already 0.2.
FEWEST = 16


def mp_outliers(spectrum: Spectrum) -> float:
    """How many singular values stand out of the noise that the rest of the spectrum shows.

    Formula: the number of σᵢ > s(√m+√n), the Marchenko–Pastur edge, with s = σ_med/√(μ·max(m,n)), σ_med the median
    singular value and μ the median of the Marchenko–Pastur law. Returns a whole number in 0…r. Degree 0. NaN where
    σ_med ≤ σ₁·max(m,n)·2⁻⁵²: then there is no noise to stand out of.
    Source: Gavish & Donoho 2014, for the estimate of s.

    >>> mp_outliers(Spectrum.of(10.0, *[1.0] * 9))
    1.0
    """
    scaled, edge = relative(spectrum), _edge(spectrum)
    return math.nan if scaled is None or math.isnan(edge) else float((scaled > edge).sum())


def spectral_norm_ratio_mp(spectrum: Spectrum) -> float:
    """How far the largest singular value stands above the noise that the rest of the spectrum shows.

    Formula: σ₁ / (s(√m+√n)), with s as in `mp_outliers`. Returns a float > 0, about 1 for a random matrix. Degree 0.
    NaN where σ_med ≤ σ₁·max(m,n)·2⁻⁵².
    Source: this project, with the edge of Gavish & Donoho 2014.

    >>> round(spectral_norm_ratio_mp(Spectrum.of(10.0, *[1.0] * 9)), 4)
    4.0397
    """
    return 1.0 / _edge(spectrum)


def on_random_baseline(spectrum: Spectrum) -> bool:
    """Whether the spectrum is that of a matrix of independent entries, as at initialisation.

    True where, with s = ‖W‖_F/√(mn), both hold: the Kolmogorov–Smirnov distance to the Marchenko–Pastur law is at most
    (1.5 + 0.6 ln r)/r, and σ₁ exceeds the edge by at most the share r^(−2/3), on which the largest value of a random
    matrix fluctuates. Of 1,756 Gaussian matrices with sides from 16 to 3,072 one was missed: the largest distance was
    3.8/r, the largest excess 1.1·r^(−2/3). Of the 38 matrices of a small GPT-NeoX all are on the baseline at steps 0 to
    4, 27 at step 32, 4 at step 64, and from step 90 to the last one, 600, none: there the least distance was 6.4/r, the
    least excess 6.9·r^(−2/3). False for fewer than 16 values, and for a matrix that is zero or not finite: then nothing
    can be decided.

    >>> on_random_baseline(Spectrum.of(*range(1, 65)))
    False
    """
    norm, r = frobenius_norm(spectrum), spectrum.sigma.size
    if r < FEWEST or not 0 < norm < math.inf:
        return False
    edge = norm / math.sqrt(spectrum.rows * spectrum.cols) * (math.sqrt(spectrum.rows) + math.sqrt(spectrum.cols))
    excess = float(spectrum.sigma[0]) / edge - 1.0
    return (
        excess <= r ** (-2 / 3) and _distance(spectrum.sigma / edge, _beta(spectrum)) <= (1.5 + 0.6 * math.log(r)) / r
    )


def _edge(spectrum: Spectrum) -> float:
    """The Marchenko–Pastur edge over σ₁, with s from the median; NaN where that is not above rounding."""
    scaled = relative(spectrum)
    if scaled is None or np.median(scaled) <= max(spectrum.rows, spectrum.cols) * EPSILON:
        return math.nan
    beta = _beta(spectrum)
    return float(np.median(scaled)) * (1.0 + math.sqrt(beta)) / math.sqrt(_median(beta))


def _beta(spectrum: Spectrum) -> float:
    return min(spectrum.rows, spectrum.cols) / max(spectrum.rows, spectrum.cols)


def _share_above(theta: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Share of the λ above 1 + β + 2√β cos θ: the integral of (2/π) sin²t / (1 + β + 2√β cos t) from 0 to θ."""
    root = math.sqrt(beta)
    inner = np.arctan2((1.0 - root) * np.sin(theta / 2), (1.0 + root) * np.cos(theta / 2))
    ends = (1.0 + beta) * theta / (4.0 * beta) - np.sin(theta) / (2.0 * root)
    share: NDArray[np.float64] = 2.0 / math.pi * (ends - (1.0 - beta) / (2.0 * beta) * inner)
    return share


@lru_cache(maxsize=64)  # one shape, one number
def _median(beta: float) -> float:
    """Median of the Marchenko–Pastur law for deviation 1, in the unit where its edges are (1 ± √β)²; by bisection."""
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(_share_above(np.array(middle), beta)) < 0.5 else (low, middle)
    return 1.0 + beta + 2.0 * math.sqrt(beta) * math.cos(low)


def _distance(ratio: NDArray[np.float64], beta: float) -> float:
    """Kolmogorov–Smirnov distance of σ/edge, descending, to the Marchenko–Pastur law."""
    root = math.sqrt(beta)
    cosine = (np.square(ratio * (1.0 + root)) - 1.0 - beta) / (2.0 * root)
    model = _share_above(np.arccos(np.clip(cosine, -1.0, 1.0)), beta)
    steps = np.arange(ratio.size + 1) / ratio.size
    return max(float((model - steps[:-1]).max()), float((steps[1:] - model).max()))
