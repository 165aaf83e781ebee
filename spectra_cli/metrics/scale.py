"""What every metric rests on: a spectrum divided by its largest value, and ranges kept against rounding.

Knows no metric. Everything is divided by σ₁ before it is squared or summed, so that entries of 1e±150 neither
overflow nor vanish.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.records import Spectrum

# Stored values of every dtype are exact numbers in float64, so what limits σ is the arithmetic: its unit, 2⁻⁵².
EPSILON = 2.0**-52


@lru_cache(maxsize=32)  # most metrics ask for it; spectra hash by identity
def relative(spectrum: Spectrum) -> NDArray[np.float64] | None:
    """σ/σ₁: (r,) float64 in 0…1, the first exactly 1. None where that has no meaning: a zero matrix, NaN, Inf.

    >>> relative(Spectrum.of(4.0, 1.0))
    array([1.  , 0.25])
    """
    if not spectrum.finite or spectrum.sigma.size == 0 or spectrum.sigma[0] <= 0:
        return None
    scaled: NDArray[np.float64] = spectrum.sigma / spectrum.sigma[0]
    scaled.flags.writeable = False
    return scaled


@lru_cache(maxsize=32)
def above_rounding(spectrum: Spectrum) -> NDArray[np.float64]:
    """ln(σᵢ/σ₁) of every σᵢ > σ₁·max(m,n)·2⁻⁵²: (k,) float64, k ≤ r. The rest is the rounding of the arithmetic.

    So is a gap between neighbours of at most the spectrum's error: such values are ties, and each is given as the
    largest of them. An exponent of values that differ by rounding alone would be any number, 1e15 for example.

    >>> above_rounding(Spectrum.of(1.0, 1e-20))
    array([0.])
    >>> above_rounding(Spectrum(np.array([1.0, 1.0 - 1e-15]), 2, 2, error=1e-14))
    array([0., 0.])
    """
    scaled = relative(spectrum)
    if scaled is None:
        return np.empty(0)
    kept = scaled[scaled > max(spectrum.rows, spectrum.cols) * EPSILON]
    begins = np.append(True, kept[:-1] - kept[1:] > spectrum.error / spectrum.sigma[0])
    logs: NDArray[np.float64] = np.log(kept[begins])[np.cumsum(begins) - 1]
    logs.flags.writeable = False
    return logs


def length(values: NDArray[np.float64]) -> float:
    """√Σx² of a vector of any scale. Returns Inf only where the result itself exceeds float64.

    >>> length(np.array([3e-200, 4e-200]))
    5e-200
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.square(values / largest).sum()))


def within(value: float, low: float, high: float, slack: float = 1e-12) -> float:
    """Return the value, clipped to low…high where rounding, `slack` at most, carried it out; a violation stays visible.

    slack: relative to the limit, absolute where that is below one.

    >>> within(1.0000000000000002, 0.0, 1.0), within(1.1, 0.0, 1.0)
    (1.0, 1.1)
    """
    if high < value <= high + slack * max(1.0, abs(high)):
        return high
    if low - slack * max(1.0, abs(low)) <= value < low:
        return low
    return value
