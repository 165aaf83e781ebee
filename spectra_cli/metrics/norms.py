"""How large a matrix is, and how that is shared out: the singular distribution and the norms. Knows one spectrum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.arrays import takes_arrays
from spectra_cli.metrics.scale import length, relative
from spectra_cli.records import Spectrum


def shares(spectrum: Spectrum) -> NDArray[np.float64] | None:
    """σᵢ/Σσ in float64, descending: the singular distribution before it is stored. None for a zero matrix, NaN, Inf.

    >>> shares(Spectrum.of(2.0, 1.0, 1.0))
    array([0.5 , 0.25, 0.25])
    """
    scaled = relative(spectrum)
    if scaled is None:
        return None
    distribution: NDArray[np.float64] = scaled / scaled.sum()
    return distribution


@takes_arrays
def sd(spectrum: Spectrum) -> NDArray[np.float32]:
    """Singular distribution: the spectrum's shape, whatever its size.

    Formula: σᵢ/Σσ. Returns (r,) float32, descending, in 0…1, summing to 1 within float32. Degree 0.
    NaN in every place for a zero matrix.
    Source: SoSD (arXiv 2605.26489), Definition 3.1.

    >>> sd(Spectrum.of(2.0, 1.0, 1.0))
    array([0.5 , 0.25, 0.25], dtype=float32)
    """
    distribution = shares(spectrum)
    if distribution is None:
        return np.full(spectrum.sigma.shape, np.nan, dtype=np.float32)
    return distribution.astype(np.float32)


@takes_arrays
def nuclear_norm(spectrum: Spectrum) -> float:
    """Trace norm: the sum of the singular values. With `sd` it gives the spectrum back.

    Formula: Σσᵢ. Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §7.4.

    >>> nuclear_norm(Spectrum.of(2.0, 1.0, 1.0))
    4.0
    """
    scaled = relative(spectrum)
    if scaled is None:
        return 0.0 if spectrum.finite else math.nan
    return float(spectrum.sigma[0]) * float(scaled.sum())


@takes_arrays
def frobenius_norm(spectrum: Spectrum) -> float:
    """Frobenius norm: the Euclidean length of all the entries.

    Formula: √Σσᵢ². Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §5.6.

    >>> frobenius_norm(Spectrum.of(4.0, 3.0))
    5.0
    """
    return length(spectrum.sigma) if spectrum.finite else math.nan


@takes_arrays
def spectral_norm(spectrum: Spectrum) -> float:
    """Spectral norm: the most by which the matrix stretches a vector.

    Formula: σ₁. Returns a float ≥ 0 in the unit of the weights. Degree 1. 0 for a zero matrix, never NaN for a
    finite one.
    Source: Horn & Johnson, Matrix Analysis, §5.6.

    >>> spectral_norm(Spectrum.of(3.0, 1.0))
    3.0
    """
    if not spectrum.finite:
        return math.nan
    return float(spectrum.sigma[0]) if spectrum.sigma.size else 0.0
