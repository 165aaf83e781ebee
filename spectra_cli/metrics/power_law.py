"""Exponents of a power law σᵢ ∝ i^−α fitted to the spectrum by least squares. Knows spectra.

They and those of `tails.py` answer different questions and are not estimates of one number. The fits use all ranks
whose σ is above rounding, or those among them that the user chooses (`ranks`, on the command line `--alpha-range`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.metrics.scale import above_rounding, where_finite, within
from spectra_cli.metrics.stacks import KEPT, Numbers, Spectra, of_matrix


@dataclass(frozen=True)
class Line:
    """Least-squares lines of ln σᵢ on ln i over n ranks: slope, its error, R², (b,) each. NaN where undefined."""

    n: Numbers
    slope: Numbers
    stderr: Numbers
    r2: Numbers


@of_matrix
def alpha(spectra: Spectra, ranks: RankRange = ALL_RANKS) -> Numbers:
    """Rank–size exponent of the spectrum, the largest values counting most.

    Formula: −slope of ln σᵢ on ln i by least squares with weights 1/i, over all i with σᵢ > σ₁·max(m,n)·2⁻⁵².
    Weights 1/i give every factor of two in rank the same say, as a plot on logarithmic axes does. Returns a float
    ≥ 0, usually below 1. Degree 0. NaN where fewer than two values remain.
    Source: "weighted α" of Spectral Lifecycle (arXiv 2604.22778), whose fit is not printed in the text we have: its
    figures run from 0.20 to 0.55, and on a small GPT-NeoX this fit gives 0.22 at initialisation and 0.47 after
    training, the unweighted one 0.59 and 0.74.

    >>> round(alpha([1.0, 2**-0.5, 3**-0.5, 4**-0.5]), 12)
    0.5
    """
    return _exponent(_line(spectra, ranks, True))


@of_matrix
def alpha_ols(spectra: Spectra, ranks: RankRange = ALL_RANKS) -> Numbers:
    """Rank–size exponent of the spectrum, every value counting alike: mostly a statement on the small ones.

    Formula: −slope of ln σᵢ on ln i by ordinary least squares, over all i with σᵢ > σ₁·max(m,n)·2⁻⁵². Returns a
    float ≥ 0. Degree 0. NaN where fewer than two values remain.
    Source: the other reading of α in Spectral Lifecycle (arXiv 2604.22778); see `alpha`.

    >>> round(alpha_ols([1.0, 1/2, 1/3, 1/4]), 12)
    1.0
    """
    return _exponent(_line(spectra, ranks, False))


@of_matrix
def alpha_r2(spectra: Spectra, ranks: RankRange = ALL_RANKS) -> Numbers:
    """How well a power law describes the spectrum: the weighted R² of the `alpha` fit.

    Formula: 1 − Σ eᵢ²/i / Σ (yᵢ − ȳ)²/i with y = ln σ, e the residuals, ȳ the mean of y with weights 1/i. Returns a
    float in 0…1. Degree 0. NaN where fewer than two values remain or all are equal.
    Source: see `alpha`.

    >>> round(alpha_r2([1.0, 1/2, 1/3, 1/4]), 12)
    1.0
    """
    return _line(spectra, ranks, True).r2


@of_matrix
def alpha_stderr(spectra: Spectra, ranks: RankRange = ALL_RANKS) -> Numbers:
    """Standard error of `alpha`: how much the spectrum's departure from a power law leaves the slope open.

    Formula: √(Σ eᵢ²/i / (k−2) / Σ (xᵢ − x̄)²/i) with x = ln i, e the residuals, k values in the fit. Returns a float
    ≥ 0. Degree 0. NaN where fewer than three values remain. Sorted values do not err independently of each other, so
    this is a scale of misfit and no confidence interval.
    Source: the textbook error of a weighted slope; `numpy.polyfit` gives the same.

    >>> round(alpha_stderr([4.0, 2.0, 1.0]), 6)
    0.16453
    """
    return _line(spectra, ranks, True).stderr


@of_matrix
def alpha_n(spectra: Spectra, ranks: RankRange = ALL_RANKS) -> Numbers:
    """How many singular values the fits of `alpha` and `alpha_ols` use.

    Formula: the number of i in the range chosen (all, unless it was) with σᵢ > σ₁·max(m,n)·2⁻⁵². Returns a whole
    number in 0…r, 0 for a zero matrix. Degree 0. NaN for a matrix with NaN or Inf only.
    Source: this project.

    >>> alpha_n([4.0, 2.0, 1e-20]), alpha_n([4.0, 2.0, 1.0], RankRange(2, 3))
    (2.0, 2.0)
    """
    return where_finite(spectra, _line(spectra, ranks, True).n)


@of_matrix
def alpha_hill(spectra: Spectra) -> Numbers:
    """Hill's estimate of the exponent of the density of λ = σ², from the upper half of the spectrum.

    Formula: 1 + k / Σ_{i≤k} ln(λᵢ/λ_{k+1}), k = ⌊r/2⌋. Returns a float > 1; Inf where the k + 1 largest are equal.
    Degree 0. NaN when r = 1 or σ_{k+1} ≤ σ₁·max(m,n)·2⁻⁵².
    Source: Hill 1975, with k as TempBalance (Zhou et al. 2023) and AlphaDecay (He et al. 2025) choose it.

    >>> round(alpha_hill([4.0, 2.0, 1.0]), 6)
    1.721348
    """
    logs = above_rounding(spectra)
    k = logs.shape[1] // 2
    if k == 0:
        return np.full(len(logs), np.nan)
    totals: Numbers = 2.0 * (logs[:, :k] - logs[:, k : k + 1]).sum(axis=1)
    return np.asarray(1.0 + k / totals)


def _exponent(line: Line) -> Numbers:
    # 0.0 −, rather than a bare minus: a flat spectrum has exponent 0, not −0. Rounding may leave it at −1e-17.
    return within(0.0 - line.slope, 0.0, math.inf)


@lru_cache(maxsize=KEPT)
def _line(spectra: Spectra, ranks: RankRange, weighted: bool) -> Line:
    first, last = ranks.of(spectra.sigma.shape[1])
    logs = above_rounding(spectra)[:, first - 1 : max(last, 0)]
    chosen, log_chosen = _ranks(first, logs.shape[1])
    weights = 1.0 / chosen if weighted else np.ones_like(chosen)
    kept = ~np.isnan(logs)
    n = kept.sum(axis=1).astype(np.float64)
    if not kept.all():
        weights, logs = weights * kept, np.where(kept, logs, 0.0)
    x, y = _centred(log_chosen, weights), _centred(logs, weights)
    width = (weights * x * x).sum(axis=1)
    slope = (weights * x * y).sum(axis=1) / width
    spread = (weights * y * y).sum(axis=1)
    residual = (weights * np.square(y - slope[:, None] * x)).sum(axis=1)
    stderr = np.sqrt(residual / (n - 2.0) / width)
    r2 = within(1.0 - residual / spread, 0.0, 1.0)
    return Line(
        n,
        np.where(n >= 2, slope, np.nan),
        np.where(n > 2, stderr, np.nan),
        np.where((n >= 2) & (spread > 0), r2, np.nan),
    )


@lru_cache(maxsize=KEPT)
def _ranks(first: int, count: int) -> tuple[Numbers, Numbers]:
    """So many ranks i, and ln i: (1, count) each."""
    ranks = np.arange(first, first + count, dtype=np.float64)[None]
    return ranks, np.log(ranks)


def _centred(values: Numbers, weights: Numbers) -> Numbers:
    means = (weights * values).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    return np.asarray(values - means)
