"""The leading singular vectors of a matrix: computed only where they are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.svd.blocks import float64_blocks, power_of_two
from spectra_cli.svd.factors import Factors, Vectors, vectors_of_factors
from spectra_cli.svd.rules import LENGTH, gram_matrix

if TYPE_CHECKING:
    import torch


def singular_vectors(matrix: torch.Tensor | Factors, count: int) -> Vectors:
    """U and V of the `count` largest singular values, in the order of σ: A·vᵢ = σᵢ·uᵢ.

    matrix: (m, n), any real dtype and strides, or two factors (see `factors`). Returns (m, K) and (n, K) with
    orthonormal columns, K = count or min(m, n) if that is less; all NaN where the matrix holds NaN or Inf. The entry of
    largest magnitude of each column on the short side is positive.

    Those of the short side are eigenvectors of the Gram matrix, the others the Q of A times these. The angle between
    vᵢ and the true one is at most about 1e-14·σ₁²/|σᵢ² − σⱼ²| with σⱼ the nearest other: vectors of close σ mix, and
    where σᵢ is below 1e-7·σ₁ they are any orthonormal ones.

    >>> import torch
    >>> left, right = singular_vectors(torch.tensor([[3.0, 4.0]]), 1)
    >>> left, right.round(12).T
    (array([[1.]]), array([[0.6, 0.8]]))
    """
    if isinstance(matrix, Factors):
        return vectors_of_factors(matrix, count)
    power = power_of_two(matrix)
    short = _leading(gram_matrix(matrix, power), min(count, *matrix.shape))
    long = _other_side(matrix, short, power)
    tall = matrix.shape[0] >= matrix.shape[1]
    return (long, short) if tall else (short, long)


def _leading(gram: torch.Tensor, count: int) -> NDArray[np.float64]:
    """Eigenvectors of the `count` largest eigenvalues, (n, count), the largest first; reads the lower triangle."""
    from scipy.linalg import eigh

    size = gram.shape[0]
    if not math.isfinite(float(gram.diagonal().sum())):
        return np.full((size, count), np.nan)
    _, ascending = eigh(gram.numpy(), subset_by_index=(size - count, size - 1), driver="evr")
    vectors: NDArray[np.float64] = ascending[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0, keepdims=True), axis=0)
    return vectors * np.where(largest < 0, -1.0, 1.0)


def _other_side(matrix: torch.Tensor, short: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """Orthonormal columns along A·V (or Aᵀ·U), (long side, count), each in the direction of its product."""
    import torch

    tall = matrix.shape[0] >= matrix.shape[1]
    vectors = torch.from_numpy(np.ascontiguousarray(short))
    pieces = [(block if tall else block.T) @ vectors for block in float64_blocks(matrix, LENGTH, power=power)]
    product = torch.cat(pieces).numpy()
    if not np.isfinite(product).all():
        return np.full(product.shape, np.nan)
    columns, triangle = np.linalg.qr(product)
    signed: NDArray[np.float64] = columns * np.where(triangle.diagonal() < 0, -1.0, 1.0)
    return signed
