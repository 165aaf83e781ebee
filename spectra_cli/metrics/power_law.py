"""Exponents of a power law σᵢ ∝ i^−α fitted to the whole spectrum by least squares. Knows one spectrum.

The three α and the α of `tails.py` answer different questions and are not estimates of one number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.scale import above_rounding, within
from spectra_cli.records import Spectrum


@dataclass(frozen=True)
class Line:
    """A least-squares line of ln σᵢ on ln i: its slope and R². Both NaN where they are not defined."""

    slope: float
    r2: float


def alpha(spectrum: Spectrum) -> float:
    """Rank–size exponent of the spectrum, the largest values counting most.

    Formula: −slope of ln σᵢ on ln i by least squares with weights 1/i, over all i with σᵢ > σ₁·max(m,n)·2⁻⁵².
    Weights 1/i give every factor of two in rank the same say, as a plot on logarithmic axes does. Returns a float
    ≥ 0, usually below 1. Degree 0. NaN where fewer than two values remain.
    Source: "weighted α" of Spectral Lifecycle (arXiv 2604.22778), whose fit is not printed in the text we have: its
    figures run from 0.20 to 0.55, and on a small GPT-NeoX this fit gives 0.22 at initialisation and 0.47 after
    training, the unweighted one 0.59 and 0.74.

    >>> round(alpha(Spectrum.of(1.0, 2**-0.5, 3**-0.5, 4**-0.5)), 12)
    0.5
    """
    return _exponent(_line(spectrum, True))


def alpha_ols(spectrum: Spectrum) -> float:
    """Rank–size exponent of the spectrum, every value counting alike: mostly a statement on the small ones.

    Formula: −slope of ln σᵢ on ln i by ordinary least squares, over all i with σᵢ > σ₁·max(m,n)·2⁻⁵². Returns a
    float ≥ 0. Degree 0. NaN where fewer than two values remain.
    Source: the other reading of α in Spectral Lifecycle (arXiv 2604.22778); see `alpha`.

    >>> round(alpha_ols(Spectrum.of(1.0, 1/2, 1/3, 1/4)), 12)
    1.0
    """
    return _exponent(_line(spectrum, False))


def alpha_r2(spectrum: Spectrum) -> float:
    """How well a power law describes the spectrum: the weighted R² of the `alpha` fit.

    Formula: 1 − Σ eᵢ²/i / Σ (yᵢ − ȳ)²/i with y = ln σ, e the residuals, ȳ the mean of y with weights 1/i. Returns a
    float in 0…1. Degree 0. NaN where fewer than two values remain or all are equal.
    Source: see `alpha`.

    >>> round(alpha_r2(Spectrum.of(1.0, 1/2, 1/3, 1/4)), 12)
    1.0
    """
    return _line(spectrum, True).r2


def alpha_hill(spectrum: Spectrum) -> float:
    """Hill's estimate of the exponent of the density of λ = σ², from the upper half of the spectrum.

    Formula: 1 + k / Σ_{i≤k} ln(λᵢ/λ_{k+1}), k = ⌊r/2⌋. Returns a float > 1; Inf where the k + 1 largest are equal.
    Degree 0. NaN when r = 1 or σ_{k+1} ≤ σ₁·max(m,n)·2⁻⁵².
    Source: Hill 1975, with k as TempBalance (Zhou et al. 2023) and AlphaDecay (He et al. 2025) choose it.

    >>> round(alpha_hill(Spectrum.of(4.0, 2.0, 1.0)), 6)
    1.721348
    """
    logs = above_rounding(spectrum)
    k = spectrum.sigma.size // 2
    if k == 0 or logs.size <= k:
        return math.nan
    total = 2.0 * float((logs[:k] - logs[k]).sum())
    return 1.0 + k / total if total > 0 else math.inf


def _exponent(line: Line) -> float:
    # 0.0 −, rather than a bare minus: a flat spectrum has exponent 0, not −0. Rounding may leave it at −1e-17.
    return within(0.0 - line.slope, 0.0, math.inf)


@lru_cache(maxsize=32)  # three metrics share one fit; spectra hash by identity
def _line(spectrum: Spectrum, weighted: bool) -> Line:
    logs = above_rounding(spectrum)
    if logs.size < 2:
        return Line(math.nan, math.nan)
    ranks = np.arange(1, logs.size + 1, dtype=np.float64)
    weights = 1.0 / ranks if weighted else np.ones_like(ranks)
    x, y = _centred(np.log(ranks), weights), _centred(logs, weights)
    slope = float((weights * x * y).sum()) / float((weights * x * x).sum())
    spread = float((weights * y * y).sum())
    residual = float((weights * np.square(y - slope * x)).sum())
    return Line(slope, within(1.0 - residual / spread, 0.0, 1.0) if spread > 0 else math.nan)


def _centred(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - float((weights * values).sum()) / float(weights.sum())
    return centred
