"""Matrices of a wanted spectrum with random singular vectors: W = s·U·diag(σ*)·Vᵀ. Knows no file and no model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.random_matrix import marchenko_pastur
from spectra_cli.records import Matrix

Array = NDArray[np.float64]
SPECTRA = ("trained", "flat", "mp")


@dataclass(frozen=True)
class Part:
    """Rows and columns of a matrix that have a spectrum of their own: all of it, or one head."""

    rows: slice
    cols: slice


def parts_of(matrix: Matrix, heads: int | None, kv_heads: int | None) -> tuple[Part, ...]:
    """Return the heads of a matrix of attention, where their numbers are given; else the whole matrix.

    q, k and v have a head's outputs in rows of their own, o a head's inputs in columns.

    >>> [part.cols for part in parts_of(Matrix("layers.0.attn.o", "o", "w", 4, 6), 2, 1)]
    [slice(0, 3, None), slice(3, 6, None)]
    """
    count = {"q": heads, "o": heads, "k": kv_heads, "v": kv_heads}.get(matrix.role) or 1
    length = matrix.cols if matrix.role == "o" else matrix.rows
    size = length // count if length % count == 0 else length
    ranges = [slice(start, start + size) for start in range(0, length, size)]
    if matrix.role == "o":
        return tuple(Part(slice(0, matrix.rows), each) for each in ranges)
    return tuple(Part(each, slice(0, matrix.cols)) for each in ranges)


def wanted(sigma: Array, rows: int, cols: int, spectrum: str, scale: float) -> Array:
    """Return the singular values that a part is to have, descending.

    sigma: those of the trained one. spectrum: `trained`: these; `flat`: all equal; `mp`: those of a random matrix. All
    three have the Frobenius norm of the trained one, times the scale, so that only the shape differs.

    >>> wanted(np.array([3.0, 4.0]), 2, 2, "flat", 1.0).round(3)
    array([3.536, 3.536])
    """
    norm, r = float(np.linalg.norm(sigma)), min(rows, cols)
    if spectrum == "flat":
        return np.full(r, scale * norm / np.sqrt(r))
    if spectrum == "mp":
        return scale * norm * marchenko_pastur(rows, cols)
    return scale * np.sort(sigma)[::-1]


def random_matrix(sigma: Array, rows: int, cols: int, generator: np.random.Generator) -> Array:
    """Return U·diag(σ)·Vᵀ with U and V drawn uniformly from all orthonormal columns (Haar).

    sigma: (min(rows, cols),).

    >>> made = random_matrix(np.array([3.0, 1.0]), 2, 4, np.random.default_rng(0))
    >>> np.linalg.svd(made, compute_uv=False).round(12)
    array([3., 1.])
    """
    left, right = (_orthonormal(size, sigma.size, generator) for size in (rows, cols))
    return np.asarray((left * sigma) @ right.T)


def _orthonormal(rows: int, cols: int, generator: np.random.Generator) -> Array:
    """Return orthonormal columns; the signs of R make QR's Q uniform (Mezzadri 2007)."""
    q, r = np.linalg.qr(generator.standard_normal((rows, cols)))
    return np.asarray(q * np.where(np.diagonal(r) < 0, -1.0, 1.0))


def generator_for(seed: int, matrix: str) -> np.random.Generator:
    """Return the random numbers of one matrix: the same whichever others are made, and in whatever order."""
    return np.random.default_rng((seed, zlib.crc32(matrix.encode())))


def largest_error(sigma: Sequence[Array], goal: Sequence[Array]) -> float:
    """Return the largest |σ − σ*| over σ*₁, of all parts of a matrix; 0 for a matrix of zeros."""
    return max(
        float(np.abs(own - wished).max() / wished[0]) if wished[0] > 0 else float(np.abs(own).max())
        for own, wished in zip(sigma, goal, strict=True)
    )
