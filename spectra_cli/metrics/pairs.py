"""How far two matrices of one shape are from each other, in spectrum and in weights. Knows one pair.

In every formula A is this checkpoint's matrix and B the one it is compared with: the reference's (`_final`) or that
of the checkpoint just before (`_prev`). σ(A) is the vector of A's singular values, SD(A) = σ(A)/Σσ(A).
"""

from __future__ import annotations

import math

from spectra_cli.metrics.norms import frobenius_norm, nuclear_norm, shares
from spectra_cli.metrics.scale import EPSILON, length, relative, within
from spectra_cli.records import Pair, Spectrum


def sd_variation(pair: Pair) -> float:
    """How far the shape of the spectrum has moved: the distance between two singular distributions.

    Formula: ‖SD(A) − SD(B)‖₂. Returns a float in 0…√2. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), §3.3, "the magnitude of the update to the normalized spectrum".

    >>> round(sd_variation(Pair(Spectrum.of(1.0, 1.0), Spectrum.of(1.0, 0.0), inner=1.0, distance=1.0)), 6)
    0.707107
    """
    a, b = shares(pair.a), shares(pair.b)
    if a is None or b is None:
        return math.nan
    return within(length(a - b), 0.0, math.sqrt(2.0))


def sd_variation_rate(pair: Pair) -> float | None:
    """`sd_variation` per training step: comparable along a trajectory that was not saved evenly.

    Formula: ‖SD(A) − SD(B)‖₂ / (steps from B to A). Returns a float ≥ 0, per step; no row where the steps are not
    known or do not advance. Degree 0. NaN where one matrix is zero.
    Source: this project; the curve of SoSD (arXiv 2605.26489) depends on how often one saves.

    >>> round(sd_variation_rate(Pair(Spectrum.of(1.0, 1.0), Spectrum.of(1.0, 0.0), 1.0, 1.0, steps=10)), 6)
    0.070711
    """
    if pair.steps is None or pair.steps <= 0:
        return None
    return sd_variation(pair) / pair.steps


def cos_weights(pair: Pair) -> float:
    """Cosine of the angle between two matrices, taken as long vectors: how far the weights have turned.

    Formula: ⟨A,B⟩_F/(‖A‖_F‖B‖_F). Returns a float in −1…1. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), Figure 2.

    >>> cos_weights(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(4.0, 3.0), inner=24.0, distance=1.4142135623730951))
    0.96
    """
    if relative(pair.a) is None or relative(pair.b) is None:
        return math.nan
    cosine = pair.inner / frobenius_norm(pair.a) / frobenius_norm(pair.b)
    return within(cosine, -1.0, 1.0, slack=_cosine_slack(pair))


def cos_spectrum(pair: Pair) -> float:
    """Cosine of the angle between two spectra: how far their shape has turned. Never below |`cos_weights`|.

    Formula: ⟨σ(A),σ(B)⟩/(‖σ(A)‖₂‖σ(B)‖₂). Returns a float in 0…1. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), Figure 2; the inequality is von Neumann's.

    >>> cos_spectrum(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0), inner=0.0, distance=7.0710678118654755))
    0.8
    """
    a, b = relative(pair.a), relative(pair.b)
    if a is None or b is None:
        return math.nan
    # One square root of the product, not a product of two: equal spectra have cosine 1 to the last bit.
    return within(float((a * b).sum()) / math.sqrt(float((a * a).sum()) * float((b * b).sum())), 0.0, 1.0)


def update_norm(pair: Pair) -> float:
    """Length of the step from B to A in weight space.

    Formula: ‖A − B‖_F, from the difference itself: ‖A‖² + ‖B‖² − 2⟨A,B⟩ would cancel. Returns a float ≥ 0 in the
    unit of the weights. Degree 1. Never NaN for finite matrices.
    Source: SoSD (arXiv 2605.26489), Lemma A.2.

    >>> update_norm(Pair(Spectrum.of(3.0), Spectrum.of(1.0), inner=3.0, distance=2.0))
    2.0
    """
    return float(pair.distance) if pair.a.finite and pair.b.finite else math.nan


def stability_bound(pair: Pair) -> float:
    """The most by which the singular distribution can have moved, given how far the weights have.

    Formula: (1+√r)·‖A − B‖_F / max(‖A‖_*, ‖B‖_*). Returns a float ≥ `sd_variation`, always. Degree 0. NaN where both
    matrices are zero.
    Source: SoSD (arXiv 2605.26489), Lemmas A.1 and A.2: x ↦ x/‖x‖₁ is Lipschitz with (1+√r)/max(‖a‖₁,‖b‖₁), and
    ‖σ(A)−σ(B)‖₂ ≤ ‖A−B‖_F (Mirsky 1960).

    >>> stability_bound(Pair(Spectrum.of(3.0), Spectrum.of(1.0), inner=3.0, distance=2.0))
    1.3333333333333333
    """
    larger = max(nuclear_norm(pair.a), nuclear_norm(pair.b))
    if not (pair.a.finite and pair.b.finite) or larger == 0:
        return math.nan
    return (1.0 + math.sqrt(pair.a.sigma.size)) * (pair.distance / larger)


def violations(pair: Pair) -> list[str]:
    """Sentences on the two inequalities that hold for every pair of matrices, where the numbers break one; else empty.

    They are `sd_variation` ≤ `stability_bound` and `cos_spectrum` ≥ |`cos_weights`|, within the errors that the two
    spectra declare and the rounding of float64. A sentence here means a bug in the numbers, never a fact about data.

    >>> violations(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(4.0, 3.0), inner=25.0, distance=0.0))
    []
    >>> violations(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0), inner=0.0, distance=0.1))
    ['sd_variation 0.6061 exceeds stability_bound 0.03449']
    """
    broken = []
    variation, bound = sd_variation(pair), stability_bound(pair)
    if variation > bound * (1 + 1e-9) + _variation_slack(pair):
        broken.append(f"sd_variation {variation:.4g} exceeds stability_bound {bound:.4g}")
    spectra, weights = cos_spectrum(pair), cos_weights(pair)
    if abs(weights) > spectra + _cosine_slack(pair):
        broken.append(f"cos_weights {weights:.12g} exceeds cos_spectrum {spectra:.12g}")
    return broken


def _variation_slack(pair: Pair) -> float:
    """What errors of the spectra can add to `sd_variation`, by the Lipschitz constant of x ↦ x/‖x‖₁."""
    root = math.sqrt(pair.a.sigma.size)
    errors = sum(_error(x) * root / nuclear_norm(x) for x in (pair.a, pair.b) if nuclear_norm(x) > 0)
    return (1.0 + root) * errors


def _cosine_slack(pair: Pair) -> float:
    """What errors of the spectra, and the sums over all entries in `inner`, can add to a cosine."""
    root = math.sqrt(pair.a.sigma.size)
    norms = [(spectrum, frobenius_norm(spectrum)) for spectrum in (pair.a, pair.b)]
    return 1e-12 + sum(2.0 * _error(spectrum) * root / norm for spectrum, norm in norms if norm > 0)


def _error(spectrum: Spectrum) -> float:
    """The error a spectrum declares, and never less than float64's own for a decomposition of its size."""
    largest = float(spectrum.sigma[0]) if spectrum.sigma.size else 0.0
    return max(spectrum.error, largest * EPSILON * math.sqrt(max(spectrum.rows, spectrum.cols)))
