"""How far the singular vectors of two matrices have turned: do the weights turn while the spectrum stands still?

Knows one pair, with the K×K products of the singular vectors of its two matrices where those were asked for.
"""

from __future__ import annotations

import numpy as np

from spectra_cli.metrics.scale import finite, within
from spectra_cli.metrics.stacks import Flags, Numbers, Pairs, Vectors, of_pair, vector_of_pair


@of_pair
def overlap_left_vectors(pairs: Pairs) -> Numbers | None:
    """How much of the space of the top K left singular vectors the two matrices share.

    Formula: ‖U_AᵀU_B‖_F²/K, the mean squared cosine of the principal angles between the two subspaces. Returns a float
    in 0…1; random subspaces of R^m have K/m. No row where no vectors were asked for. Degree 0. NaN for a matrix with
    NaN or Inf only.
    Source: Björck & Golub 1973, for the principal angles.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> overlap_left_vectors(Pair(Spectrum.of(1.0), Spectrum.of(1.0), 1.0, 0.0, left=np.array([[-1.0]])))
    1.0
    """
    return _overlap(pairs, pairs.left)


@of_pair
def overlap_right_vectors(pairs: Pairs) -> Numbers | None:
    """How much of the space of the top K right singular vectors the two matrices share.

    Formula: ‖V_AᵀV_B‖_F²/K, the mean squared cosine of the principal angles between the two subspaces. Returns a float
    in 0…1; random subspaces of R^n have K/n. No row where no vectors were asked for. Degree 0. NaN for a matrix with
    NaN or Inf only.
    Source: Björck & Golub 1973, for the principal angles.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> overlap_right_vectors(Pair(Spectrum.of(1.0), Spectrum.of(1.0), 1.0, 0.0, right=np.array([[0.0]])))
    0.0
    """
    return _overlap(pairs, pairs.right)


@vector_of_pair
def cos_left_vectors(pairs: Pairs) -> Vectors | None:
    """Cosine between the i-th left singular vectors of the two matrices, for each of the top K.

    Formula: |uᵢ(A)·uᵢ(B)|. Returns (K,) float32 in 0…1, in the order of σ. No row where no vectors were asked for.
    Degree 0. NaN for a matrix with NaN or Inf only. Where σᵢ lies close to its neighbour the two vectors may change
    places or mix without any change to speak of in the matrix: then read the overlap.
    Source: this project, for the claim of SoSD (arXiv 2605.26489) that weights turn while spectra stand still.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> cos_left_vectors(Pair(Spectrum.of(1.0), Spectrum.of(1.0), 1.0, 0.0, left=np.array([[-1.0]])))
    array([1.], dtype=float32)
    """
    return _cosines(pairs, pairs.left)


@vector_of_pair
def cos_right_vectors(pairs: Pairs) -> Vectors | None:
    """Cosine between the i-th right singular vectors of the two matrices, for each of the top K.

    Formula: |vᵢ(A)·vᵢ(B)|. Returns (K,) float32 in 0…1, in the order of σ. No row where no vectors were asked for.
    Degree 0. NaN for a matrix with NaN or Inf only. Where σᵢ lies close to its neighbour the two vectors may change
    places or mix without any change to speak of in the matrix: then read the overlap.
    Source: this project, for the claim of SoSD (arXiv 2605.26489) that weights turn while spectra stand still.

    >>> from spectra_cli.records import Pair, Spectrum
    >>> cos_right_vectors(Pair(Spectrum.of(1.0), Spectrum.of(1.0), 1.0, 0.0, right=np.array([[0.5]])))
    array([0.5], dtype=float32)
    """
    return _cosines(pairs, pairs.right)


def _overlap(pairs: Pairs, products: Numbers | None) -> Numbers | None:
    if products is None:
        return None
    shares = np.square(products).sum(axis=(1, 2)) / min(products.shape[1:])
    return np.where(_finite(pairs), within(shares, 0.0, 1.0), np.nan)


def _cosines(pairs: Pairs, products: Numbers | None) -> Vectors | None:
    if products is None:
        return None
    cosines = np.abs(np.diagonal(products, axis1=1, axis2=2))
    clipped = np.where(cosines <= 1.0 + 1e-12, np.minimum(cosines, 1.0), cosines)
    return np.where(_finite(pairs)[:, None], clipped, np.nan).astype(np.float32)


def _finite(pairs: Pairs) -> Flags:
    return finite(pairs.a) & finite(pairs.b)
