"""How far two matrices of one shape are from each other, in spectrum and in weights. Knows one pair.

In every formula A is this checkpoint's matrix and B the one it is compared with: the reference's (`_final`) or that
of the checkpoint just before (`_prev`). σ(A) is the vector of A's singular values, SD(A) = σ(A)/Σσ(A).
"""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.metrics.norms import frobenius_norm, nuclear_norm, shares
from spectra_cli.metrics.scale import EPSILON, finite, length, relative, within
from spectra_cli.metrics.stacks import Numbers, Pairs, Spectra, of_pair
from spectra_cli.records import Pair


@of_pair
def sd_variation(pairs: Pairs) -> Numbers:
    """How far the shape of the spectrum has moved: the distance between two singular distributions.

    Formula: ‖SD(A) − SD(B)‖₂. Returns a float in 0…√2. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), §3.3, "the magnitude of the update to the normalized spectrum".

    >>> from spectra_cli.records import Pair, Spectrum
    >>> round(sd_variation(Pair(Spectrum.of(1.0, 1.0), Spectrum.of(1.0, 0.0), inner=1.0, distance=1.0)), 6)
    0.707107
    """
    return within(length(shares(pairs.a) - shares(pairs.b)), 0.0, math.sqrt(2.0))


@of_pair
def sd_variation_rate(pairs: Pairs) -> Numbers | None:
    """`sd_variation` per training step: comparable along a trajectory that was not saved evenly.

    Formula: ‖SD(A) − SD(B)‖₂ / (steps from B to A). Returns a float ≥ 0, per step; no row where the steps are not
    known or do not advance. Degree 0. NaN where one matrix is zero.
    Source: this project; the curve of SoSD (arXiv 2605.26489) depends on how often one saves.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> round(sd_variation_rate(Pair(Spectrum.of(1.0, 1.0), Spectrum.of(1.0, 0.0), 1.0, 1.0, steps=10)), 6)
    0.070711
    """
    if pairs.steps is None or pairs.steps <= 0:
        return None
    return np.asarray(sd_variation(pairs) / pairs.steps)


@of_pair
def cos_weights(pairs: Pairs) -> Numbers:
    """Cosine of the angle between two matrices, taken as long vectors: how far the weights have turned.

    Formula: ⟨A,B⟩_F/(‖A‖_F‖B‖_F). Returns a float in −1…1. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), Figure 2.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> cos_weights(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(4.0, 3.0), inner=24.0, distance=1.4142135623730951))
    0.96
    """
    cosines = within(
        pairs.inner / frobenius_norm(pairs.a) / frobenius_norm(pairs.b), -1.0, 1.0, slack=_cosine_slack(pairs)
    )
    undefined = np.isnan(relative(pairs.a)[:, 0]) | np.isnan(relative(pairs.b)[:, 0])
    return np.where(undefined, np.nan, cosines)


@of_pair
def cos_spectrum(pairs: Pairs) -> Numbers:
    """Cosine of the angle between two spectra: how far their shape has turned. Never below |`cos_weights`|.

    Formula: ⟨σ(A),σ(B)⟩/(‖σ(A)‖₂‖σ(B)‖₂). Returns a float in 0…1. Degree 0. NaN where one matrix is zero.
    Source: SoSD (arXiv 2605.26489), Figure 2; the inequality is von Neumann's.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> cos_spectrum(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0), inner=0.0, distance=7.0710678118654755))
    0.8
    """
    a, b = relative(pairs.a), relative(pairs.b)
    # One square root of the product, not a product of two: equal spectra have cosine 1 to the last bit.
    lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return within((a * b).sum(axis=1) / lengths, 0.0, 1.0)


@of_pair
def update_norm(pairs: Pairs) -> Numbers:
    """Length of the step from B to A in weight space.

    Formula: ‖A − B‖_F, from the difference itself: ‖A‖² + ‖B‖² − 2⟨A,B⟩ would cancel. Returns a float ≥ 0 in the
    unit of the weights. Degree 1. Never NaN for finite matrices.
    Source: SoSD (arXiv 2605.26489), Lemma A.2.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> update_norm(Pair(Spectrum.of(3.0), Spectrum.of(1.0), inner=3.0, distance=2.0))
    2.0
    """
    return np.where(finite(pairs.a) & finite(pairs.b), pairs.distance, np.nan)


@of_pair
def stability_bound(pairs: Pairs) -> Numbers:
    """The most by which the singular distribution can have moved, given how far the weights have.

    Formula: (1+√r)·‖A − B‖_F / max(‖A‖_*, ‖B‖_*). Returns a float ≥ `sd_variation`, always. Degree 0. NaN where both
    matrices are zero.
    Source: SoSD (arXiv 2605.26489), Lemmas A.1 and A.2: x ↦ x/‖x‖₁ is Lipschitz with (1+√r)/max(‖a‖₁,‖b‖₁), and
    ‖σ(A)−σ(B)‖₂ ≤ ‖A−B‖_F (Mirsky 1960).

    >>> from spectra_cli.records import Pair, Spectrum
    >>> stability_bound(Pair(Spectrum.of(3.0), Spectrum.of(1.0), inner=3.0, distance=2.0))
    1.3333333333333333
    """
    larger = np.maximum(nuclear_norm(pairs.a), nuclear_norm(pairs.b))
    return np.where(larger > 0, (1.0 + math.sqrt(pairs.a.sigma.shape[1])) * (pairs.distance / larger), np.nan)


def violations(pair: Pair | Pairs) -> list[str]:
    """Sentences on the two inequalities that hold for every pair of matrices, where the numbers break one; else empty.

    They are `sd_variation` ≤ `stability_bound` and `cos_spectrum` ≥ |`cos_weights`|, within the errors that the two
    spectra declare and the rounding of float64. A sentence here means a bug in the numbers, never a fact about data. Of
    a stack, those of all its pairs.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> violations(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(4.0, 3.0), inner=25.0, distance=0.0))
    []
    >>> violations(Pair(Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0), inner=0.0, distance=0.1))
    ['sd_variation 0.6061 exceeds stability_bound 0.03449']
    """
    pairs = pair if isinstance(pair, Pairs) else Pairs.of([pair])
    with np.errstate(all="ignore"):
        variation, bound = sd_variation(pairs), stability_bound(pairs)
        spectra, weights = cos_spectrum(pairs), cos_weights(pairs)
        too_far = variation > bound * (1 + 1e-9) + _variation_slack(pairs)
        too_close = np.abs(weights) > spectra + _cosine_slack(pairs)
    return [
        *(f"sd_variation {variation[i]:.4g} exceeds stability_bound {bound[i]:.4g}" for i in np.flatnonzero(too_far)),
        *(f"cos_weights {weights[i]:.12g} exceeds cos_spectrum {spectra[i]:.12g}" for i in np.flatnonzero(too_close)),
    ]


def _variation_slack(pairs: Pairs) -> Numbers:
    """What errors of the spectra can add to `sd_variation`, by the Lipschitz constant of x ↦ x/‖x‖₁."""
    root = math.sqrt(pairs.a.sigma.shape[1])
    errors = [_relative_error(x, nuclear_norm(x)) for x in (pairs.a, pairs.b)]
    return np.asarray((1.0 + root) * root * (errors[0] + errors[1]))


def _cosine_slack(pairs: Pairs) -> Numbers:
    """What errors of the spectra, and the sums over all entries in `inner`, can add to a cosine."""
    root = math.sqrt(pairs.a.sigma.shape[1])
    errors = [_relative_error(x, frobenius_norm(x)) for x in (pairs.a, pairs.b)]
    return np.asarray(1e-12 + 2.0 * root * (errors[0] + errors[1]))


def _relative_error(spectra: Spectra, norms: Numbers) -> Numbers:
    """The errors that spectra declare over their norms, and never less than float64's own for their size."""
    own = spectra.sigma[:, 0] * EPSILON * math.sqrt(max(spectra.rows, spectra.cols))
    return np.where(norms > 0, np.maximum(spectra.error, own) / norms, 0.0)
