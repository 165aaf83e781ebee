"""Matrices that are size as two small factors, B·A, such as an adapter's change. Nothing here forms the product.

With QR, B = Q_B·R_B and Aᵀ = Q_A·R_A, the singular values of s·B·A are those of the core s·R_B·R_Aᵀ, whose sides are
the rank: 16×16 instead of 4096×4096. Householder's QR errs by a few units in the last place of each column's length,
so that |σ̂ᵢ − σᵢ| ≤ c·s·‖R_B‖_F·‖R_A‖_F with c = 2⁻⁵³·4·(1 + √(rank + longest side/64)), and `rules.of_one_sign` more
where a column holds few numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.records import Spectrum
from spectra_cli.svd.rounding import rounding_norm
from spectra_cli.svd.rules import UNIT, of_one_sign

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Vectors = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Factors:
    """The matrix scale · b @ a. b: (rows, rank), a: (rank, cols), any real dtype."""

    b: torch.Tensor
    a: torch.Tensor
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return self.b.shape[0], self.a.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the first factor."""
        return self.b.dtype

    def product(self) -> torch.Tensor:
        """Return the product, (rows, cols) in float64: for what is defined by its entries alone."""
        return (self.b.double() @ self.a.double()) * self.scale


def spectrum_of_factors(factors: Factors) -> Spectrum:
    """Singular values of s·B·A from the factors, descending, (min(rows, cols),): zeros beyond the rank.

    All NaN where a factor holds NaN or Inf.

    >>> import torch
    >>> result = spectrum_of_factors(Factors(torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0, 0.0, 0.0]]), 2.0))
    >>> result.sigma.round(12), result.rule
    (array([10.,  0.]), 'factors')
    """
    b, a = _float64(factors)
    sigma, error, rounding = np.zeros(min(factors.shape)), math.nan, None
    if np.isfinite(b).all() and np.isfinite(a).all():
        left, right = _triangle(b), _triangle(a.T)
        values = np.linalg.svd(left @ right.T, compute_uv=False)[: sigma.size]
        sigma[: values.size] = values
        steps = math.sqrt(b.shape[1] + max(factors.shape) / 64)
        share = 4 * UNIT * (1 + steps) + of_one_sign(max(factors.shape))
        error = share * float(np.linalg.norm(left) * np.linalg.norm(right))
        rounding = _rounding(factors, left, right)
    else:
        sigma[:] = np.nan
    dtype = str(factors.dtype).removeprefix("torch.")
    return Spectrum(sigma, *factors.shape, dtype, "factors", error, rounding=rounding)


def _rounding(factors: Factors, left: Array, right: Array) -> float | None:
    """The norm of the errors of storing: those of B times A, and B times those of A; left, right: their triangles."""
    of_b, of_a = rounding_norm(factors.b), rounding_norm(factors.a)
    if of_b is None or of_a is None:
        return None
    b, a = (float(np.linalg.norm(side, 2)) for side in (left, right))
    return math.hypot(of_b * a, b * of_a * abs(factors.scale))


def compare_factors(first: Factors, second: Factors) -> tuple[float, float]:
    """⟨A,B⟩_F and ‖A − B‖_F of two matrices kept as factors, of one shape and of any two ranks.

    The inner product is Σ (B₁ᵀB₂)∘(A₁A₂ᵀ). With A's scale taken into each A, the difference is
    [B₁−B₂, B₂]·[A₁; A₁−A₂] where the ranks agree: what cancels does so entry by entry, and equal factors give 0.
    Both NaN where a factor holds NaN or Inf.

    >>> import torch
    >>> a, b = (Factors(torch.eye(2)[:, [i]], torch.eye(2)[[i]], 3.0 + i) for i in (0, 1))
    >>> compare_factors(a, b)
    (0.0, 5.0)
    >>> compare_factors(a, a)
    (9.0, 0.0)
    """
    (b, a), (d, c) = _float64(first), _float64(second)
    if not all(np.isfinite(factor).all() for factor in (b, a, d, c)):
        return math.nan, math.nan
    inner = float(np.sum((b.T @ d) * (a @ c.T)))
    if b.shape == d.shape:
        tall, wide = np.hstack((b - d, d)), np.vstack((a, a - c))
    else:
        tall, wide = np.hstack((b, d)), np.vstack((a, -c))
    return inner, float(np.linalg.norm(_triangle(tall) @ _triangle(wide.T).T))


def vectors_of_factors(factors: Factors, count: int) -> Vectors:
    """U and V of the `count` largest singular values of s·B·A, (rows, K) and (cols, K), K = count or the least side.

    Beyond the rank they are any orthonormal ones. All NaN where a factor holds NaN or Inf. The entry of largest
    magnitude of each column on the short side is positive.

    >>> import torch
    >>> left, right = vectors_of_factors(Factors(torch.tensor([[2.0]]), torch.tensor([[3.0, 4.0]])), 1)
    >>> left, right.round(12).T
    (array([[1.]]), array([[0.6, 0.8]]))
    """
    rows, cols = factors.shape
    size = min(count, rows, cols)
    b, a = _float64(factors)
    if not (np.isfinite(b).all() and np.isfinite(a).all()):
        return np.full((rows, size), np.nan), np.full((cols, size), np.nan)
    missing = max(0, size - b.shape[1])  # columns of zeros, to which QR gives directions at right angles to the rest
    (left, r), (right, s) = (np.linalg.qr(np.pad(factor, ((0, 0), (0, missing)))) for factor in (b, a.T))
    u, _, vt = np.linalg.svd(r @ s.T)
    u, v = left @ u[:, :size], right @ vt[:size].T
    short = u if rows < cols else v
    largest = np.take_along_axis(short, np.abs(short).argmax(axis=0, keepdims=True), axis=0)
    signs = np.where(largest < 0, -1.0, 1.0)
    return u * signs, v * signs


def _triangle(factor: Array) -> Array:
    """R of the QR decomposition."""
    return np.linalg.qr(factor).R


def _float64(factors: Factors) -> tuple[Array, Array]:
    """B, and A times the scale, in float64."""
    b: Array = factors.b.double().numpy()
    a: Array = factors.a.double().numpy() * factors.scale
    return b, a
