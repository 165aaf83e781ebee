"""Over how many directions a matrix is spread: ranks, entropies and ratios of single values. Knows spectra."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.metrics.scale import finite, relative, rounding, within
from spectra_cli.metrics.stacks import Numbers, Spectra, of_matrix


@of_matrix
def stable_rank(spectra: Spectra) -> Numbers:
    """Squared Frobenius norm over squared spectral norm: how many directions carry the matrix.

    Formula: Σσᵢ²/σ₁². Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Rudelson & Vershynin 2007, §1; R_s in Spectral Lifecycle (arXiv 2604.22778).

    >>> stable_rank([2.0, 1.0, 1.0])
    1.5
    """
    energy: Numbers = np.square(relative(spectra)).sum(axis=1)
    return energy


@of_matrix
def entropy(spectra: Spectra) -> Numbers:
    """Shannon entropy of the singular distribution: 0 for rank one, ln r for a multiple of an orthogonal matrix.

    Formula: −Σ pᵢ ln pᵢ with pᵢ = σᵢ/Σσ and 0 ln 0 = 0. Returns nats in 0…ln r. Degree 0. NaN for a zero matrix.
    Source: H in Spectral Lifecycle (arXiv 2604.22778); Roy & Vetterli 2007.

    >>> round(entropy([2.0, 1.0, 1.0]), 6)
    1.039721
    """
    return _entropy(relative(spectra))


@of_matrix
def entropy_energy(spectra: Spectra) -> Numbers:
    """Shannon entropy of the energies, the squared singular values: the other reading of "spectral entropy" in use.

    Formula: −Σ pᵢ ln pᵢ with pᵢ = σᵢ²/Σσ² and 0 ln 0 = 0. Returns nats in 0…ln r. Degree 0. NaN for a zero matrix.
    Source: Alter, Brown & Botstein 2000, there divided by ln r.

    >>> round(entropy_energy([2.0, 1.0, 1.0]), 6)
    0.867563
    """
    return _entropy(np.square(relative(spectra)))


@of_matrix
def effective_rank(spectra: Spectra) -> Numbers:
    """Exponential of the entropy: the number of equal singular values that would have the same entropy.

    Formula: exp(`entropy`). Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Roy & Vetterli 2007, "The effective rank", Definition 1.

    >>> round(effective_rank([5.0, 5.0, 5.0]), 12)
    3.0
    """
    return within(np.exp(entropy(spectra)), 1.0, spectra.sigma.shape[1])


@of_matrix
def participation_ratio(spectra: Spectra) -> Numbers:
    """How many eigenvalues λ = σ² take part: the number of equal ones that would have the same ratio.

    Formula: (Σσᵢ²)²/Σσᵢ⁴. Returns a float in 1…r. Degree 0. NaN for a zero matrix.
    Source: Bell & Dean 1970, there of the squared entries of a vector.

    >>> participation_ratio([3.0, 3.0, 3.0, 0.0])
    3.0
    """
    energies = np.square(relative(spectra))
    ratios = energies.sum(axis=1) ** 2 / np.square(energies).sum(axis=1)
    return within(ratios, 1.0, energies.shape[1])


@of_matrix
def spectral_gap(spectra: Spectra) -> Numbers:
    """How far the largest singular value stands above the next.

    Formula: σ₁/σ₂. Returns a float ≥ 1 (Inf where the ratio exceeds float64). Degree 0. NaN when r = 1 or σ₂ = 0.
    Source: Spectral Lifecycle (arXiv 2604.22778), Algorithm 2.

    >>> spectral_gap([6.0, 2.0, 1.0])
    3.0
    """
    if spectra.sigma.shape[1] < 2:
        return np.full(len(spectra.sigma), np.nan)
    first, second = spectra.sigma[:, 0], spectra.sigma[:, 1]
    return np.where(finite(spectra) & (second > 0), first / second, np.nan)


@of_matrix
def condition_number(spectra: Spectra) -> Numbers:
    """Largest over smallest singular value: how much solving with the matrix can amplify an error.

    Formula: σ₁/σ_r. Returns a float ≥ 1; Inf where σ_r ≤ σ₁·max(m,n)·2⁻⁵², which is zero as far as one can tell:
    stored values of every dtype are exact numbers in float64, so the precision that counts is the arithmetic's.
    Degree 0. NaN for a zero matrix.
    Source: SoSD (arXiv 2605.26489), Assumption 4.3.

    >>> condition_number([6.0, 2.0]), condition_number([1.0, 0.0])
    (3.0, inf)
    """
    smallest = relative(spectra)[:, -1]
    ratios = np.where(smallest <= rounding(spectra), np.inf, spectra.sigma[:, 0] / spectra.sigma[:, -1])
    return np.where(np.isnan(smallest), np.nan, ratios)


def _entropy(sizes: Numbers) -> Numbers:
    """Entropy of sizes/Σsizes, (b, r) gives (b,), where the first is 1 and none is larger.

    With S = 1 + the rest, H = ln S − Σ x ln x / S: a sum of terms that are all ≥ 0, so that nothing cancels and an
    entropy of 1e-15, next to rank one, still has all its digits. −Σ p ln p would have none.
    """
    rest = sizes[:, 1:]
    logs = np.log(np.where(rest > 0, rest, 1.0))
    total = rest.sum(axis=1) + (sizes[:, 0] - 1.0)  # NaN, and not 0, for a zero matrix with r = 1
    return within(np.log1p(total) - (rest * logs).sum(axis=1) / (1.0 + total), 0.0, math.log(sizes.shape[1]))
