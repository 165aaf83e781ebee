"""What is measured only when asked for: the first singular vectors of a matrix, and its entries in random order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.svd.blocks import float64_blocks, power_of_two
from spectra_cli.svd.rules import LENGTH, gram_matrix

if TYPE_CHECKING:
    import torch

Vectors = tuple[NDArray[np.float64], NDArray[np.float64]]


def singular_vectors(matrix: torch.Tensor, count: int) -> Vectors:
    """U and V of the `count` largest singular values, in the order of σ: A·vᵢ = σᵢ·uᵢ.

    matrix: (m, n), any real dtype and strides. Returns (m, K) and (n, K) with orthonormal columns, K = count or
    min(m, n) if that is less; all NaN where the matrix holds NaN or Inf. The entry of largest magnitude of each column
    on the short side is positive.

    Those of the short side are eigenvectors of the Gram matrix, the others the Q of A times these. The angle between
    vᵢ and the true one is at most about 1e-14·σ₁²/|σᵢ² − σⱼ²| with σⱼ the nearest other: vectors of close σ mix, and
    where σᵢ is below 1e-7·σ₁ they are any orthonormal ones.

    >>> import torch
    >>> left, right = singular_vectors(torch.tensor([[3.0, 4.0]]), 1)
    >>> left, right.round(12).T
    (array([[1.]]), array([[0.6, 0.8]]))
    """
    power = power_of_two(matrix)
    kept = min(count, *matrix.shape)
    short = _leading(gram_matrix(matrix, power), kept)
    long = _other_side(matrix, short, power)
    tall = matrix.shape[0] >= matrix.shape[1]
    return (long, short) if tall else (short, long)


def _leading(gram: torch.Tensor, count: int) -> NDArray[np.float64]:
    """Eigenvectors of the `count` largest eigenvalues, (n, count), the largest first; reads the lower triangle."""
    from scipy.linalg import eigh

    size = gram.shape[0]
    if not math.isfinite(float(gram.diagonal().sum())):
        return np.full((size, count), np.nan)
    _, found = eigh(gram.numpy(), subset_by_index=(size - count, size - 1), driver="evr")
    vectors: NDArray[np.float64] = found[:, ::-1]
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


def shuffled(matrix: torch.Tensor, seed: int) -> torch.Tensor:
    """Put the entries of a matrix in a random order; the same for the same seed and shape, on every machine.

    Returns (m, n) in the stored dtype. Needs one copy of the stored matrix, and no index.

    >>> import torch
    >>> shuffled(torch.arange(6).view(2, 3), seed=0).sum()
    tensor(15)
    """
    import torch

    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[matrix.element_size()]
    copy = matrix.clone(memory_format=torch.contiguous_format)
    np.random.default_rng(seed).shuffle(copy.view(whole).view(-1).numpy())
    return copy
