"""Over how many directions a matrix is spread: ranks, entropies and ratios of single values. Knows one spectrum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.arrays import takes_arrays
from spectra_cli.metrics.scale import EPSILON, relative, within
from spectra_cli.records import Spectrum


@takes_arrays
def stable_rank(spectrum: Spectrum) -> float:
    """Squared Frobenius norm over squared spectral norm: how many directions carry the matrix.

    Formula: Σσᵢ²/σ₁². Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Rudelson & Vershynin 2007, §1; R_s in Spectral Lifecycle (arXiv 2604.22778).

    >>> stable_rank(Spectrum.of(2.0, 1.0, 1.0))
    1.5
    """
    scaled = relative(spectrum)
    return math.nan if scaled is None else float(np.square(scaled).sum())


@takes_arrays
def entropy(spectrum: Spectrum) -> float:
    """Shannon entropy of the singular distribution: 0 for rank one, ln r for a multiple of an orthogonal matrix.

    Formula: −Σ pᵢ ln pᵢ with pᵢ = σᵢ/Σσ and 0 ln 0 = 0. Returns nats in 0…ln r. Degree 0. NaN for a zero matrix.
    Source: H in Spectral Lifecycle (arXiv 2604.22778); Roy & Vetterli 2007.

    >>> round(entropy(Spectrum.of(2.0, 1.0, 1.0)), 6)
    1.039721
    """
    scaled = relative(spectrum)
    return math.nan if scaled is None else _entropy(scaled)


@takes_arrays
def entropy_energy(spectrum: Spectrum) -> float:
    """Shannon entropy of the energies, the squared singular values: the other reading of "spectral entropy" in use.

    Formula: −Σ pᵢ ln pᵢ with pᵢ = σᵢ²/Σσ² and 0 ln 0 = 0. Returns nats in 0…ln r. Degree 0. NaN for a zero matrix.
    Source: Alter, Brown & Botstein 2000, there divided by ln r.

    >>> round(entropy_energy(Spectrum.of(2.0, 1.0, 1.0)), 6)
    0.867563
    """
    scaled = relative(spectrum)
    return math.nan if scaled is None else _entropy(np.square(scaled))


@takes_arrays
def effective_rank(spectrum: Spectrum) -> float:
    """Exponential of the entropy: the number of equal singular values that would have the same entropy.

    Formula: exp(`entropy`). Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Roy & Vetterli 2007, "The effective rank", Definition 1.

    >>> round(effective_rank(Spectrum.of(5.0, 5.0, 5.0)), 12)
    3.0
    """
    return within(math.exp(entropy(spectrum)), 1.0, spectrum.sigma.size)


@takes_arrays
def participation_ratio(spectrum: Spectrum) -> float:
    """How many eigenvalues λ = σ² take part: the number of equal ones that would have the same ratio.

    Formula: (Σσᵢ²)²/Σσᵢ⁴. Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Bell & Dean 1970, there of the squared entries of a vector.

    >>> participation_ratio(Spectrum.of(3.0, 3.0, 3.0, 0.0))
    3.0
    """
    scaled = relative(spectrum)
    if scaled is None:
        return math.nan
    energies = np.square(scaled)
    return within(float(energies.sum()) ** 2 / float(np.square(energies).sum()), 1.0, scaled.size)


@takes_arrays
def spectral_gap(spectrum: Spectrum) -> float:
    """How far the largest singular value stands above the next.

    Formula: σ₁/σ₂. Returns a float ≥ 1 (Inf where the ratio exceeds float64). Degree 0. NaN when r = 1 or σ₂ = 0.
    Source: Spectral Lifecycle (arXiv 2604.22778), Algorithm 2.

    >>> spectral_gap(Spectrum.of(6.0, 2.0, 1.0))
    3.0
    """
    if not spectrum.finite or spectrum.sigma.size < 2 or spectrum.sigma[1] <= 0:
        return math.nan
    return float(spectrum.sigma[0]) / float(spectrum.sigma[1])


@takes_arrays
def condition_number(spectrum: Spectrum) -> float:
    """Largest over smallest singular value: how much solving with the matrix can amplify an error.

    Formula: σ₁/σ_r. Returns a float ≥ 1; Inf where σ_r ≤ σ₁·max(m,n)·2⁻⁵², which is zero as far as one can tell:
    stored values of every dtype are exact numbers in float64, so the precision that counts is the arithmetic's.
    Degree 0. NaN for a zero matrix.
    Source: SoSD (arXiv 2605.26489), Assumption 4.3.

    >>> condition_number(Spectrum.of(6.0, 2.0)), condition_number(Spectrum.of(1.0, 0.0))
    (3.0, inf)
    """
    scaled = relative(spectrum)
    if scaled is None:
        return math.nan
    if scaled[-1] <= max(spectrum.rows, spectrum.cols) * EPSILON:
        return math.inf
    return float(spectrum.sigma[0]) / float(spectrum.sigma[-1])


def _entropy(sizes: NDArray[np.float64]) -> float:
    """Entropy of sizes/Σsizes, where the first is 1 and none is larger.

    With S = 1 + the rest, H = ln S − Σ x ln x / S: a sum of terms that are all ≥ 0, so that nothing cancels and an
    entropy of 1e-15, next to rank one, still has all its digits. −Σ p ln p would have none.
    """
    rest = sizes[1:][sizes[1:] > 0]
    total = float(rest.sum())
    value = math.log1p(total) - float((rest * np.log(rest)).sum()) / (1.0 + total)
    return within(value, 0.0, math.log(sizes.size))
