"""Numbers under the names by which users of other tools look for them. Knows spectra."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.metrics.scale import relative, within
from spectra_cli.metrics.stacks import Numbers, Spectra, of_matrix
from spectra_cli.metrics.tail_fit import clauset_fit


@of_matrix
def alpha_weighted(spectra: Spectra) -> Numbers:
    """WeightWatcher's α̂: the tail's exponent, weighted with the size of the largest eigenvalue.

    Formula: `alpha_clauset` · log₁₀ σ₁². Returns a float. No degree: for cW, `alpha_clauset` · log₁₀ c² more. NaN where
    `alpha_clauset` is.
    Source: Martin & Mahoney 2021; `alpha_weighted` of WeightWatcher.

    >>> round(alpha_weighted([3.0, 2.0]), 6)
    3.307694
    """
    return clauset_fit(spectra).alpha * _log10(spectra)


@of_matrix
def log_norm(spectra: Spectra) -> Numbers:
    """Logarithm of the sum of the eigenvalues λ = σ², to base 10.

    Formula: log₁₀ Σσᵢ². Returns a float. No degree: for cW, log₁₀ c² more. NaN for a zero matrix.
    Source: `log_norm` of WeightWatcher.

    >>> round(log_norm([8.0, 6.0]), 12)
    2.0
    """
    rest = np.square(relative(spectra)[:, 1:]).sum(axis=1)
    return np.asarray(_log10(spectra) + np.log1p(rest) / math.log(10.0))


@of_matrix
def log_alpha_norm(spectra: Spectra) -> Numbers:
    """Logarithm of the Schatten-like sum of λ^α with the tail's own exponent, to base 10.

    Formula: log₁₀ Σλᵢ^α with λ = σ² and α = `alpha_clauset`. Returns a float. No degree: for cW, α log₁₀ c² more. NaN
    where `alpha_clauset` is.
    Source: Martin & Mahoney 2021; `log_alpha_norm` of WeightWatcher.

    >>> round(log_alpha_norm([3.0, 2.0]), 6)
    3.333061
    """
    exponent = clauset_fit(spectra).alpha
    powers = np.power(relative(spectra), 2.0 * exponent[:, None])
    return np.asarray(exponent * _log10(spectra) + np.log10(powers.sum(axis=1)))


@of_matrix
def rand_distance(spectra: Spectra) -> Numbers | None:
    """How far the shares of the eigenvalues are from those of the same entries in random order.

    Formula: the Jensen–Shannon distance √((KL(p‖m) + KL(q‖m))/2), m = (p+q)/2, natural logarithms, of p = λ/Σλ of the
    matrix and q the same of a seeded shuffle of its entries, both in descending order. Returns a float in 0…√ln 2; no
    row where no shuffle was asked for. Degree 0. NaN for a zero matrix.
    Source: `rand_distance` of WeightWatcher, whose shuffle has no seed of its own.

    >>> rand_distance([2.0, 1.0]) is None
    True
    """
    if spectra.shuffled is None:
        return None
    others = Spectra(spectra.shuffled, spectra.rows, spectra.cols, spectra.error)
    divergence = _jensen_shannon(np.square(relative(spectra)), np.square(relative(others)))
    return within(np.sqrt(np.maximum(divergence, 0.0)), 0.0, math.sqrt(math.log(2.0)))


def _jensen_shannon(p: Numbers, q: Numbers) -> Numbers:
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    m = (p + q) / 2
    halves = [(x * np.log(np.where(x > 0, x / m, 1.0))).sum(axis=1) for x in (p, q)]
    return np.asarray(halves[0] + halves[1]) / 2


def _log10(spectra: Spectra) -> Numbers:
    """log₁₀ of the largest eigenvalue, (b,); NaN for a zero matrix, NaN or Inf."""
    logs: Numbers = 2.0 * np.log10(spectra.sigma[:, 0])
    return np.where(np.isnan(relative(spectra)[:, 0]), np.nan, logs)
