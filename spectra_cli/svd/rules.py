"""σ by the cheapest rule whose error is within the bounds, and that error.

The bounds, for every i: |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁ and |σ̂ᵢ − σᵢ|/σᵢ ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²).

`gram`: σᵢ = √λᵢ of the float64 Gram matrix G of the short side. |λ̂ᵢ − λᵢ| ≤ δᵢ, so that
|σ̂ᵢ − σᵢ| ≤ δᵢ/(σ̂ᵢ + √(λ̂ᵢ − δᵢ)), with δᵢ = u·((2 + s)·λ₁ + 2‖G‖_F + (12 + 3s)·λᵢ), u = 2⁻⁵³, s = √(n + blocks): n
Householder steps and the sums over blocks each add a rounding error of the size of the matrix, at random, and the
root-free QR one of the size of λᵢ.

Where that is outside the bounds for any i — where σ_r is below about 2e-6·σ₁ — the matrix is read again for an
exact SVD: `svd`, or `qr+svd` after a QR accumulated over blocks where it is far from square. Its error is
2u·((1 + s)·σ₁ + 2‖A‖_F).

Neither is the worst case, which is n times larger and never seen, but what random rounding gives (Higham & Mary,
SIAM J. Sci. Comput. 41(5), 2019), with constants from planted spectra (flat, graded, clustered, with outliers, of
positive entries; sides 1 to 1600): the largest error seen was 0.8 of either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.svd import lapack
from spectra_cli.svd.blocks import float64_blocks

if TYPE_CHECKING:
    import torch

Found = tuple[NDArray[np.float64], str, float]
"""σ descending, the rule, the bound on its absolute error."""

UNIT = 2.0**-53
LENGTH = 1024
"""Rows of a block: 768×3072 takes 0.041 s in blocks of 768 or 1024, 0.045 in 512, 0.054 in 2048 (one thread)."""

FAR_FROM_SQUARE = 1.5
"""long/short from which a QR first pays."""


def singular_values(matrix: torch.Tensor, power: int, device: str) -> Found:
    """σ of the matrix divided by 2^power. All NaN where it holds NaN or Inf."""
    gram = gram_matrix(matrix, power, device)
    size = gram.shape[0]
    trace = float(gram.diagonal().sum())
    if not math.isfinite(trace):
        return np.full(size, np.nan), "gram", math.nan
    if trace == 0:
        return np.zeros(size), "gram", 0.0
    values, errors = _roots(_eigenvalues(gram), _steps(matrix))
    if (errors <= allowed(values)).all():
        return values, "gram", float(errors.max())
    return _exact(matrix, power, device)


def allowed(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest absolute error that the bounds allow each σ; σ: (r,) descending, σ₁ > 0.

    >>> allowed(np.array([1.0, 1e-3, 1e-6]))
    array([1.e-12, 1.e-11, 1.e-09])
    """
    with np.errstate(divide="ignore", over="ignore"):
        bounds: NDArray[np.float64] = np.minimum(
            1e-9 * sigma[0], np.maximum(1e-12 * sigma, 1e-14 * sigma[0] ** 2 / sigma)
        )
    return bounds


def gram_matrix(matrix: torch.Tensor, power: int, device: str) -> torch.Tensor:
    """G of the short side, accumulated in float64 over blocks of the long side; on the CPU only one triangle of it."""
    import torch

    size, tall = min(matrix.shape), matrix.shape[0] >= matrix.shape[1]
    gram = torch.zeros((size, size), dtype=torch.float64, device=device)
    for block in float64_blocks(matrix, LENGTH, power=power, device=device):
        if device == "cpu":
            lapack.add_gram(gram, block, tall=tall)
        else:
            gram.addmm_(block.T, block) if tall else gram.addmm_(block, block.T)
    return gram


def _eigenvalues(gram: torch.Tensor) -> NDArray[np.float64]:
    """λ of the Gram matrix, descending; the matrix is overwritten."""
    import torch

    on_cpu = gram.device.type == "cpu"
    values: NDArray[np.float64] = lapack.eigenvalues(gram) if on_cpu else torch.linalg.eigvalsh(gram).cpu().numpy()
    return values[::-1]


def _steps(matrix: torch.Tensor) -> float:
    """√(n + blocks): how far rounding errors of about one step each add up."""
    return math.sqrt(min(matrix.shape) + max(matrix.shape) / LENGTH)


def _roots(squares: NDArray[np.float64], steps: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """σ̂ = √λ̂ and the bound on the error of each."""
    delta = UNIT * ((2 + steps) * squares[0] + 2 * np.linalg.norm(squares) + (12 + 3 * steps) * np.abs(squares))
    values = np.sqrt(np.maximum(squares, 0.0))
    with np.errstate(divide="ignore"):
        return values, delta / (values + np.sqrt(np.maximum(squares - delta, 0.0)))


def _exact(matrix: torch.Tensor, power: int, device: str) -> Found:
    """σ by the float64 SVD, after a QR over blocks where the matrix is far from square."""
    import torch

    far = max(matrix.shape) > FAR_FROM_SQUARE * min(matrix.shape)
    core = (
        _triangle(matrix, power, device)
        if far
        else next(float64_blocks(matrix, max(matrix.shape), power=power, device=device))
    )
    values = torch.linalg.svdvals(core).cpu().numpy()
    error = 2 * UNIT * ((1 + _steps(matrix)) * values[0] + 2 * np.linalg.norm(values))
    return values, "qr+svd" if far else "svd", float(error)


def _triangle(matrix: torch.Tensor, power: int, device: str) -> torch.Tensor:
    """R of the QR of the long side, (n, n), one block after the other: R ← QR of (R above the next block)."""
    import torch

    size, tall = min(matrix.shape), matrix.shape[0] >= matrix.shape[1]
    triangle = torch.empty((0, size), dtype=torch.float64, device=device)
    for block in float64_blocks(matrix, max(LENGTH, size), power=power, device=device):
        triangle = torch.linalg.qr(torch.cat((triangle, block if tall else block.T)), mode="r").R
    return triangle
