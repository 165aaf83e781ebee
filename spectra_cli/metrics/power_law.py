"""Exponents of a power law σᵢ ∝ i^−α fitted to the spectrum by least squares. Knows one spectrum.

They and those of `tails.py` answer different questions and are not estimates of one number. The fits use all ranks
whose σ is above rounding, or those among them that the user chooses (`ranks`, on the command line `--alpha-range`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.arrays import takes_arrays
from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.metrics.scale import above_rounding, within
from spectra_cli.records import Spectrum


@dataclass(frozen=True)
class Line:
    """A least-squares line of ln σᵢ on ln i over n ranks: slope, its standard error, R². NaN where undefined."""

    n: int
    slope: float = math.nan
    stderr: float = math.nan
    r2: float = math.nan


@takes_arrays
def alpha(spectrum: Spectrum, ranks: RankRange = ALL_RANKS) -> float:
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
    return _exponent(_line(spectrum, ranks, True))


@takes_arrays
def alpha_ols(spectrum: Spectrum, ranks: RankRange = ALL_RANKS) -> float:
    """Rank–size exponent of the spectrum, every value counting alike: mostly a statement on the small ones.

    Formula: −slope of ln σᵢ on ln i by ordinary least squares, over all i with σᵢ > σ₁·max(m,n)·2⁻⁵². Returns a
    float ≥ 0. Degree 0. NaN where fewer than two values remain.
    Source: the other reading of α in Spectral Lifecycle (arXiv 2604.22778); see `alpha`.

    >>> round(alpha_ols(Spectrum.of(1.0, 1/2, 1/3, 1/4)), 12)
    1.0
    """
    return _exponent(_line(spectrum, ranks, False))


@takes_arrays
def alpha_r2(spectrum: Spectrum, ranks: RankRange = ALL_RANKS) -> float:
    """How well a power law describes the spectrum: the weighted R² of the `alpha` fit.

    Formula: 1 − Σ eᵢ²/i / Σ (yᵢ − ȳ)²/i with y = ln σ, e the residuals, ȳ the mean of y with weights 1/i. Returns a
    float in 0…1. Degree 0. NaN where fewer than two values remain or all are equal.
    Source: see `alpha`.

    >>> round(alpha_r2(Spectrum.of(1.0, 1/2, 1/3, 1/4)), 12)
    1.0
    """
    return _line(spectrum, ranks, True).r2


@takes_arrays
def alpha_stderr(spectrum: Spectrum, ranks: RankRange = ALL_RANKS) -> float:
    """Standard error of `alpha`: how much the spectrum's departure from a power law leaves the slope open.

    Formula: √(Σ eᵢ²/i / (k−2) / Σ (xᵢ − x̄)²/i) with x = ln i, e the residuals, k values in the fit. Returns a float
    ≥ 0. Degree 0. NaN where fewer than three values remain. Sorted values do not err independently of each other, so
    this is a scale of misfit and no confidence interval.
    Source: the textbook error of a weighted slope; `numpy.polyfit` gives the same.

    >>> round(alpha_stderr(Spectrum.of(4.0, 2.0, 1.0)), 6)
    0.16453
    """
    return _line(spectrum, ranks, True).stderr


@takes_arrays
def alpha_n(spectrum: Spectrum, ranks: RankRange = ALL_RANKS) -> float:
    """How many singular values the fits of `alpha` and `alpha_ols` use.

    Formula: the number of i in the range chosen (all, unless it was) with σᵢ > σ₁·max(m,n)·2⁻⁵². Returns a whole
    number in 0…r, 0 for a zero matrix. Degree 0. NaN for a matrix with NaN or Inf only.
    Source: this project.

    >>> alpha_n(Spectrum.of(4.0, 2.0, 1e-20)), alpha_n(Spectrum.of(4.0, 2.0, 1.0), RankRange(2, 3))
    (2.0, 2.0)
    """
    return float(_line(spectrum, ranks, True).n) if spectrum.finite else math.nan


@takes_arrays
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


@lru_cache(maxsize=32)  # four metrics share one fit; spectra hash by identity
def _line(spectrum: Spectrum, ranks: RankRange, weighted: bool) -> Line:
    first, last = ranks.of(spectrum.sigma.size)
    logs = above_rounding(spectrum)[first - 1 : max(last, 0)]
    n = logs.size
    if n < 2:
        return Line(n)
    chosen = np.arange(first, first + n, dtype=np.float64)
    weights = 1.0 / chosen if weighted else np.ones(n)
    x, y = _centred(np.log(chosen), weights), _centred(logs, weights)
    width = float((weights * x * x).sum())
    slope = float((weights * x * y).sum()) / width
    spread = float((weights * y * y).sum())
    residual = float((weights * np.square(y - slope * x)).sum())
    stderr = math.sqrt(residual / (n - 2) / width) if n > 2 else math.nan
    return Line(n, slope, stderr, within(1.0 - residual / spread, 0.0, 1.0) if spread > 0 else math.nan)


def _centred(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - float((weights * values).sum()) / float(weights.sum())
    return centred
