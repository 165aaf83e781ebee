"""How far a spectrum can be trusted: its own error, and the noise of rounding to the stored dtype.

Knows one spectrum, and the floating-point formats that weights are stored in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spectra_cli.metrics.norms import frobenius_norm
from spectra_cli.metrics.scale import EPSILON
from spectra_cli.records import Spectrum


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: digits of the significand, the first one included, and its least exponent.

    Numbers in 2^e…2^(e+1) are 2^(e+1−digits) apart; below 2^least they are as far apart as just above it.
    """

    digits: int
    least: int


FORMATS = {
    "float64": Format(53, -1022),
    "float32": Format(24, -126),
    "float16": Format(11, -14),
    "bfloat16": Format(8, -126),
    "float8_e4m3fn": Format(4, -6),
    "float8_e4m3fnuz": Format(4, -7),
    "float8_e5m2": Format(3, -14),
    "float8_e5m2fnuz": Format(3, -15),
}


def sigma_error(spectrum: Spectrum) -> float:
    """Bound on the error of every singular value, by the rule that computed them.

    Formula: |σ̂ᵢ − σᵢ| ≤ `sigma_error` for every i. Returns a float ≥ 0 in the unit of the weights. Degree 1. NaN for a
    matrix with NaN or Inf only. It is what roundings that are independent add up to, and beside that what those of the
    sums of products add where all go the same way, as in a matrix of few numbers. Eigenvalues and SVD of the worst case
    would err more, and have never been seen to: of planted matrices the largest error was 0.8 of this bound, of few
    numbers (constant, ±c, ternary, integers times a scale) 0.5. It is the error of the arithmetic on the stored
    entries: that of storing them is `quantisation_floor`.
    Source: this project; the rule and its bound are in the table's metadata.

    >>> sigma_error(Spectrum.of(2.0, 1.0))
    0.0
    """
    return float(spectrum.error) if spectrum.finite else math.nan


def quantisation_floor(spectrum: Spectrum) -> float | None:
    """Spectral norm to expect of the rounding errors that storing the matrix in its dtype has left in it.

    Formula: d(√m+√n), the Marchenko–Pastur edge of errors that are uniform on ± half a spacing and independent:
    d² = E[spacing²]/12. The spacing is 2^(1−p)·max(2^e, 2^e_min) for an entry in 2^e…2^(e+1) with p digits; its mean
    square is taken over normal entries of deviation s = ‖W‖_F/√(mn), which makes d about 0.21·2^(1−p)·s where few
    entries are subnormal. Returns a float ≥ 0 in the unit of the weights; no row for a dtype that is not a
    floating-point one. Degree 1, exactly so for powers of two and within half a percent for other factors. NaN for a
    matrix with NaN or Inf only. Rounding random matrices gave 0.97 to 1.04 of it, the matrices of a small trained
    GPT-NeoX 0.98 to 1.63: more where a few rows or entries are far larger than the rest. By Weyl's inequality no
    singular value is known to better than this; a `sd_variation` below it over `nuclear_norm` is rounding. Weights that
    were rounded to a narrower dtype before they were stored, or are stored with scales, have another floor.
    Source: this project, from the uniform model of rounding (Widrow & Kollár 2008) and Marchenko & Pastur 1967.

    >>> float32 = Spectrum.of(*[1.0] * 64)
    >>> round(quantisation_floor(float32) / 2**-52, 3)
    0.425
    """
    if not spectrum.finite:
        return math.nan
    stored = FORMATS.get(spectrum.dtype)
    if stored is None:
        return None
    norm = frobenius_norm(spectrum)
    if norm == 0:
        return 0.0
    rows, cols = math.sqrt(spectrum.rows), math.sqrt(spectrum.cols)
    # Not 0 where the quotient is too small for float64: down there the spacing no longer depends on the deviation.
    deviation = max(norm / rows / cols, math.ulp(0.0))
    edge = deviation * _mean_power(deviation, stored.least) / math.sqrt(12.0) * (rows + cols)
    return edge * 2.0 ** (1 - stored.digits)


def numerical_rank(spectrum: Spectrum) -> float:
    """How many singular values stand above what rounding alone would leave, in storing or in computing.

    Formula: the number of σᵢ > max(`quantisation_floor`, σ₁·max(m,n)·2⁻⁵²). Returns a whole number in 0…r, 0 for a
    zero matrix. Degree 0. NaN for a matrix with NaN or Inf only. `numpy.linalg.matrix_rank` takes σ₁·max(m,n)·ε of the
    dtype instead, a bound for the worst case: by it every bfloat16 matrix (ε = 2⁻⁷) with a side over 127 has rank 0.
    Source: Golub & Van Loan, Matrix Computations, §5.4, with the expected error in place of a bound.

    >>> numerical_rank(Spectrum.of(1.0, 1e-10, 1e-17))
    2.0
    """
    if not spectrum.finite:
        return math.nan
    largest = float(spectrum.sigma[0]) if spectrum.sigma.size else 0.0
    floor = max(quantisation_floor(spectrum) or 0.0, largest * max(spectrum.rows, spectrum.cols) * EPSILON)
    return float((spectrum.sigma > floor).sum())


def _mean_power(deviation: float, least: int) -> float:
    """√E[max(2^e, 2^least)²]/s for normal entries of deviation s in 2^e…2^(e+1).

    Thirty binades below s hold nothing that counts: the sum begins there, or at the least exponent.
    """
    exponent = math.frexp(deviation)[1]
    start = max(least, exponent - 30)
    total = _scaled(start, deviation) ** 2 * _share_below(start + 1, deviation)
    for e in range(start + 1, exponent + 5):
        total += _scaled(e, deviation) ** 2 * (_share_below(e + 1, deviation) - _share_below(e, deviation))
    return math.sqrt(total)


def _share_below(exponent: int, deviation: float) -> float:
    return math.erf(_scaled(exponent, deviation) / math.sqrt(2.0))


def _scaled(exponent: int, deviation: float) -> float:
    """2^exponent/deviation."""
    fraction, own = math.frexp(deviation)
    return math.ldexp(1.0 / fraction, exponent - own)
