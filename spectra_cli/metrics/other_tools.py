"""Numbers under the names by which users of other tools look for them. Knows one spectrum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.arrays import takes_arrays
from spectra_cli.metrics.scale import relative, within
from spectra_cli.metrics.tails import alpha_clauset
from spectra_cli.records import Spectrum


@takes_arrays
def alpha_weighted(spectrum: Spectrum) -> float:
    """WeightWatcher's α̂: the tail's exponent, weighted with the size of the largest eigenvalue.

    Formula: `alpha_clauset` · log₁₀ σ₁². Returns a float. No degree: for cW, `alpha_clauset` · log₁₀ c² more. NaN where
    `alpha_clauset` is.
    Source: Martin & Mahoney 2021; `alpha_weighted` of WeightWatcher.

    >>> round(alpha_weighted(Spectrum.of(3.0, 2.0)), 6)
    3.307694
    """
    largest = _log10(spectrum)
    return math.nan if math.isnan(largest) else alpha_clauset(spectrum) * largest


@takes_arrays
def log_norm(spectrum: Spectrum) -> float:
    """Logarithm of the sum of the eigenvalues λ = σ², to base 10.

    Formula: log₁₀ Σσᵢ². Returns a float. No degree: for cW, log₁₀ c² more. NaN for a zero matrix.
    Source: `log_norm` of WeightWatcher.

    >>> round(log_norm(Spectrum.of(8.0, 6.0)), 12)
    2.0
    """
    scaled = relative(spectrum)
    if scaled is None:
        return math.nan
    return _log10(spectrum) + math.log1p(float(np.square(scaled[1:]).sum())) / math.log(10.0)


@takes_arrays
def log_alpha_norm(spectrum: Spectrum) -> float:
    """Logarithm of the Schatten-like sum of λ^α with the tail's own exponent, to base 10.

    Formula: log₁₀ Σλᵢ^α with λ = σ² and α = `alpha_clauset`. Returns a float. No degree: for cW, α log₁₀ c² more. NaN
    where `alpha_clauset` is.
    Source: Martin & Mahoney 2021; `log_alpha_norm` of WeightWatcher.

    >>> round(log_alpha_norm(Spectrum.of(3.0, 2.0)), 6)
    3.333061
    """
    scaled, exponent = relative(spectrum), alpha_clauset(spectrum)
    if scaled is None or math.isnan(exponent):
        return math.nan
    return exponent * _log10(spectrum) + math.log10(float(np.power(scaled, 2.0 * exponent).sum()))


@takes_arrays
def rand_distance(spectrum: Spectrum) -> float | None:
    """How far the shares of the eigenvalues are from those of the same entries in random order.

    Formula: the Jensen–Shannon distance √((KL(p‖m) + KL(q‖m))/2), m = (p+q)/2, natural logarithms, of p = λ/Σλ of the
    matrix and q the same of a seeded shuffle of its entries, both in descending order. Returns a float in 0…√ln 2; no
    row where no shuffle was asked for. Degree 0. NaN for a zero matrix.
    Source: `rand_distance` of WeightWatcher, whose shuffle has no seed of its own.

    >>> rand_distance(Spectrum.of(2.0, 1.0)) is None
    True
    """
    if spectrum.shuffled is None:
        return None
    own, shuffled = relative(spectrum), relative(Spectrum(spectrum.shuffled, spectrum.rows, spectrum.cols))
    if own is None or shuffled is None:
        return math.nan
    divergence = _jensen_shannon(np.square(own), np.square(shuffled))
    return within(math.sqrt(max(divergence, 0.0)), 0.0, math.sqrt(math.log(2.0)))


def _jensen_shannon(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    halves = [float((x[x > 0] * np.log(x[x > 0] / m[x > 0])).sum()) for x in (p, q)]
    return sum(halves) / 2


def _log10(spectrum: Spectrum) -> float:
    """log₁₀ of the largest eigenvalue; NaN for a zero matrix, NaN or Inf."""
    return math.nan if relative(spectrum) is None else 2.0 * math.log10(float(spectrum.sigma[0]))
