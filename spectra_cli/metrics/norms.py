"""How large a matrix is, and how that is shared out: the singular distribution and the norms. Knows spectra."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spectra_cli.metrics.scale import finite, length, relative, where_finite
from spectra_cli.metrics.stacks import KEPT, Numbers, Spectra, Vectors, of_matrix, vector_of_matrix


@lru_cache(maxsize=KEPT)
def shares(spectra: Spectra) -> Numbers:
    """σᵢ/Σσ in float64, (b, r), descending: the singular distribution before it is stored. NaN where `relative` is.

    >>> from spectra_cli.records import Spectrum
    >>> shares(Spectra.of([Spectrum.of(2.0, 1.0, 1.0)]))
    array([[0.5 , 0.25, 0.25]])
    """
    scaled = relative(spectra)
    distribution: Numbers = scaled / scaled.sum(axis=1, keepdims=True)
    return distribution


@vector_of_matrix
def sd(spectra: Spectra) -> Vectors:
    """Singular distribution: the spectrum's shape, whatever its size.

    Formula: σᵢ/Σσ. Returns (r,) float32, descending, in 0…1, summing to 1 within float32. Degree 0.
    NaN in every place for a zero matrix.
    Source: SoSD (arXiv 2605.26489), Definition 3.1.

    >>> sd([2.0, 1.0, 1.0])
    array([0.5 , 0.25, 0.25], dtype=float32)
    """
    return shares(spectra).astype(np.float32)


@of_matrix
def nuclear_norm(spectra: Spectra) -> Numbers:
    """Trace norm: the sum of the singular values. With `sd` it gives the spectrum back.

    Formula: Σσᵢ. Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §7.4.

    >>> nuclear_norm([2.0, 1.0, 1.0])
    4.0
    """
    largest = spectra.sigma[:, 0]
    return np.where(finite(spectra) & (largest == 0), 0.0, largest * relative(spectra).sum(axis=1))


@of_matrix
def frobenius_norm(spectra: Spectra) -> Numbers:
    """Frobenius norm: the Euclidean length of all the entries.

    Formula: √Σσᵢ². Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §5.6.

    >>> frobenius_norm([4.0, 3.0])
    5.0
    """
    return where_finite(spectra, length(spectra.sigma))


@of_matrix
def spectral_norm(spectra: Spectra) -> Numbers:
    """Spectral norm: the most by which the matrix stretches a vector.

    Formula: σ₁. Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §5.6.

    >>> spectral_norm([3.0, 1.0])
    3.0
    """
    return where_finite(spectra, spectra.sigma[:, 0])
