"""How far a spectrum can be trusted: its own error, and the noise of rounding to the stored dtype.

Knows one spectrum.
"""

from __future__ import annotations

import numpy as np

from spectra_cli.metrics.scale import finite, rounding, where_finite
from spectra_cli.metrics.stacks import Numbers, Spectra, of_matrix


@of_matrix
def sigma_error(spectra: Spectra) -> Numbers:
    """Bound on the error of every singular value, by the rule that computed them.

    Formula: |σ̂ᵢ − σᵢ| ≤ `sigma_error` for every i. Returns a float ≥ 0 in the unit of the weights. Degree 1. NaN for a
    matrix with NaN or Inf only. It is what roundings that are independent add up to, and beside that what those of the
    sums of products add where all go the same way, as in a matrix of few numbers. Eigenvalues and SVD of the worst case
    would err more, and have never been seen to: of planted matrices the largest error was 0.8 of this bound, of few
    numbers (constant, ±c, ternary, integers times a scale) 0.5. It is the error of the arithmetic on the stored
    entries: that of storing them is `quantisation_floor`.
    Source: this project; the rule and its bound are in the table's metadata.

    >>> sigma_error([2.0, 1.0])
    0.0
    """
    return where_finite(spectra, spectra.error)


@of_matrix
def quantisation_floor(spectra: Spectra) -> Numbers | None:
    """Spectral norm to expect of the rounding errors that storing the matrix in its dtype has left in it, at most.

    Formula: (max_i √Σ_j Δᵢⱼ² + max_j √Σ_i Δᵢⱼ²)/√12, the longest row and the longest column of the spacings of the
    stored entries: errors that are independent and uniform on ± half a spacing have about that norm. Δ is
    2^(1−p)·max(2^e, 2^e_min) for an entry in 2^e…2^(e+1) with p digits. Where all are alike it is d(√m+√n), the
    Marchenko–Pastur edge, with d² = Δ²/12. Returns a float ≥ 0 in the unit of the weights; no row for a dtype that is
    not a floating-point one. Degree 1, exactly so for powers of two, and within a factor of two for others. NaN for a
    matrix with NaN or Inf, and for one whose entries all lie within one spacing: then all may have the same error, or
    nearly none, and nothing stored says which. Real errors were 0.75 to 1.0 of it for normal entries, 0.6 to 1.0 with
    rows of different size, few large entries or a low rank, 1.4 for ±c; rows that are constant have 4 times as much,
    as their errors are alike. By Weyl's inequality no singular value is known to better than such errors; a
    `sd_variation` below it over `nuclear_norm` is rounding. Weights that were rounded to a narrower dtype before they
    were stored, or are stored with scales, have another floor. Of two factors it is
    √((floor(B)·‖A‖₂)² + (‖B‖₂·floor(A))²).
    Source: this project, from the uniform model of rounding (Widrow & Kollár 2008) and the norm of random matrices of
    unlike entries (Bandeira & van Handel 2016).

    >>> from spectra_cli.records import Spectrum
    >>> quantisation_floor(Spectrum(Spectrum.of(2.0, 1.0).sigma, 2, 2, rounding=0.125))
    0.125
    """
    if spectra.rounding is None and finite(spectra).any():
        return None
    return where_finite(spectra, np.nan if spectra.rounding is None else spectra.rounding)


@of_matrix
def numerical_rank(spectra: Spectra) -> Numbers:
    """How many singular values stand above what rounding alone would leave, in storing or in computing.

    Formula: the number of σᵢ > max(`quantisation_floor`, σ₁·max(m,n)·2⁻⁵²), the first of which counts only where it is
    a number. Returns a whole number in 0…r, 0 for a zero matrix. Degree 0. NaN for a matrix with NaN or Inf only. It
    gives 16 for matrices of rank 16 that were rounded to float32, float16, bfloat16 or float8.
    `numpy.linalg.matrix_rank` takes σ₁·max(m,n)·ε of the dtype instead, a bound for the worst case: by it every
    bfloat16 matrix (ε = 2⁻⁷) with a side over 127 has rank 0.
    Source: Golub & Van Loan, Matrix Computations, §5.4, with the expected error in place of a bound.

    >>> numerical_rank([1.0, 1e-10, 1e-17])
    2.0
    """
    floor = spectra.sigma[:, 0] * rounding(spectra)
    if spectra.rounding is not None:
        floor = np.where(spectra.rounding > floor, spectra.rounding, floor)
    return where_finite(spectra, (spectra.sigma > floor[:, None]).sum(axis=1))
