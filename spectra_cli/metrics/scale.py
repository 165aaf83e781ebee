"""What every metric rests on: a spectrum divided by its largest value, and ranges kept against rounding.

Knows no metric. Everything is divided by σ₁ before it is squared or summed, so that entries of 1e±150 neither
overflow nor vanish. What has no meaning is NaN, and makes NaN of what is computed from it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from spectra_cli.metrics.stacks import KEPT, Flags, Numbers, Spectra

# Stored values of every dtype are exact numbers in float64, so what limits σ is the arithmetic: its unit, 2⁻⁵².
EPSILON = 2.0**-52


@lru_cache(maxsize=KEPT)
def finite(spectra: Spectra) -> Flags:
    """Whether every singular value of each is a number: (b,)."""
    return np.asarray(np.isfinite(spectra.sigma).all(axis=1))


def where_finite(spectra: Spectra, numbers: ArrayLike) -> Numbers:
    """(b,) numbers, NaN of those spectra that hold NaN or Inf."""
    return np.where(finite(spectra), numbers, np.nan)


@lru_cache(maxsize=KEPT)
def relative(spectra: Spectra) -> Numbers:
    """σ/σ₁: (b, r) float64 in 0…1, the first exactly 1. NaN where that has no meaning: a zero matrix, NaN, Inf.

    >>> from spectra_cli.records import Spectrum
    >>> relative(Spectra.of([Spectrum.of(4.0, 1.0), Spectrum.of(0.0, 0.0)]))
    array([[1.  , 0.25],
           [ nan,  nan]])
    """
    first = spectra.sigma[:, :1]
    sound = finite(spectra)[:, None] & (first > 0)
    scaled: Numbers = np.divide(spectra.sigma, first, out=np.full(spectra.sigma.shape, np.nan), where=sound)
    scaled.flags.writeable = False
    return scaled


def rounding(spectra: Spectra) -> float:
    """max(m,n)·2⁻⁵², the share of σ₁ at or below which σ is the rounding of the arithmetic."""
    return max(spectra.rows, spectra.cols) * EPSILON


@lru_cache(maxsize=KEPT)
def above_rounding(spectra: Spectra) -> Numbers:
    """ln(σᵢ/σ₁) of every σᵢ > σ₁·max(m,n)·2⁻⁵²: (b, r) float64. The rest is the rounding of the arithmetic, and NaN.

    So is a gap between neighbours of at most the spectrum's error: such values are ties, and each is given as the
    largest of them. An exponent of values that differ by rounding alone would be any number, 1e15 for example.

    >>> from spectra_cli.records import Spectrum
    >>> above_rounding(Spectra.of([Spectrum.of(1.0, 1e-20)]))
    array([[ 0., nan]])
    >>> above_rounding(Spectra.of([Spectrum(np.array([1.0, 1.0 - 1e-15]), 2, 2, error=1e-14)]))
    array([[0., 0.]])
    """
    scaled = relative(spectra)
    kept = scaled > rounding(spectra)
    begins = np.ones(scaled.shape, dtype=bool)
    first = spectra.sigma[:, :1]
    errors = np.divide(spectra.error[:, None], first, out=np.zeros(first.shape), where=kept[:, :1])
    np.greater(scaled[:, :-1] - scaled[:, 1:], errors, out=begins[:, 1:])
    logs = np.log(np.where(kept, scaled, 1.0))
    if not begins.all():
        largest = np.maximum.accumulate(np.where(begins, np.arange(scaled.shape[1]), 0), axis=1)
        logs = np.take_along_axis(logs, largest, axis=1)
    logs[~kept] = np.nan
    logs.flags.writeable = False
    return logs


def length(values: Numbers) -> Numbers:
    """√Σx² of each row, of any scale: (b, k) gives (b,). Returns Inf only where the result itself exceeds float64.

    >>> length(np.array([[3e-200, 4e-200]]))
    array([5.e-200])
    """
    largest = np.abs(values).max(axis=1, initial=0.0)
    usual = (largest > 0) & np.isfinite(largest)
    scale = np.where(usual, largest, 1.0)
    lengths: Numbers = scale * np.sqrt(np.square(values / scale[:, None]).sum(axis=1))
    return np.where(usual, lengths, largest)


def within(values: Numbers, low: float, high: float, slack: ArrayLike = 1e-12) -> Numbers:
    """Return values, clipped to low…high where rounding, `slack` at most, carried one out; a violation stays visible.

    slack: relative to the limit, absolute where that is below one; for all, or (b,).

    >>> within(np.array([1.0000000000000002, 1.1]), 0.0, 1.0)
    array([1. , 1.1])
    """
    slack = np.asarray(slack)
    over = (high < values) & (values <= high + slack * max(1.0, abs(high)))
    under = (low - slack * max(1.0, abs(low)) <= values) & (values < low)
    return np.where(over, high, np.where(under, low, values))
