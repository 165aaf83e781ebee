"""σ by the cheapest rule whose error is within the bounds, and that error.

The bounds, for every i: |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁ and |σ̂ᵢ − σᵢ|/σᵢ ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²).

`gram`: σᵢ = √λᵢ of the float64 Gram matrix G of the short side. |λ̂ᵢ − λᵢ| ≤ δᵢ, so that
|σ̂ᵢ − σᵢ| ≤ δᵢ/(σ̂ᵢ + √(λ̂ᵢ − δᵢ)), with δᵢ = u·((2 + s)·λ₁ + 2‖G‖_F + (12 + 3s)·λᵢ), u = 2⁻⁵³, s = √(n + m/64): n
Householder steps and sums of m products each add rounding errors of the size of the matrix, at random, and the
root-free QR one of the size of λᵢ.

Where that is outside the bounds for any i — where σ_r is below about 2e-6·σ₁ — the matrix is read again for an
exact SVD: `svd`, or `qr+svd` after a QR of each block, merged two by two where it is far from square. Its error is
2u·((1 + s)·σ₁ + 2‖A‖_F), once for the blocks and once for each round of merging: those of alike blocks do not cancel.

Both are what random rounding gives (Higham & Mary, SIAM J. Sci. Comput. 41(5), 2019), with constants from planted
spectra (flat, graded, clustered, with outliers, of positive entries; sides 1 to 1600): the largest error seen was 0.8
of either. They choose the rule. Where few numbers occur in a matrix (constant, ±c, ternary, integers times a scale) all
sums round the same way, and the error was up to 5.7 times as large. So `error`, which is told, has room for that: every
one of k additions may err by u of its sum, which on average is half the last, so by u·k/2 of λ₁, or of σ₁. k is the
length of a block, and one more for every 128 rows of all: no kernel holds fewer products before it adds them to G.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.kept_memory import scratch
from spectra_cli.records import Spectrum
from spectra_cli.svd.blocks import float64_blocks
from spectra_cli.svd.lapack import add_gram, eigenvalues
from spectra_cli.trace import NO_TRACE, Recorder

if TYPE_CHECKING:
    import torch

Solution = tuple[NDArray[np.float64], str, float]
"""σ descending, the rule, the bound on its absolute error."""

UNIT = 2.0**-53

# The Gram matrix and its eigenvalues are computed by `lapack`, whose table compares the routes. Of the rest, seconds
# in one thread, and for two at a time in two threads, on an AMD EPYC with NumPy 2.4 (OpenBLAS 0.3.31) and torch 2.13:
#
# |                         | NumPy (chosen) | torch        |
# | svd, 768, σ only        | 0.084  0.24    | 0.14   0.58  |
# error of QR, 6144×64, in u·σ₁: 16 with NumPy's, 400 with torch's.

LENGTH = 1024
"""Rows of a block. 768×3072 takes 21 to 22 ms, two at once, and 8192×768 57 to 64 in any length from 256 to 2048."""

FAR_FROM_SQUARE = 1.5
"""long/short from which a QR first pays."""


def singular_values(matrix: torch.Tensor, power: int, recorder: Recorder = NO_TRACE) -> Solution:
    """σ of the matrix divided by 2^power, on the CPU. All NaN where it holds NaN or Inf."""
    with recorder.span("Gram"):
        gram = gram_matrix(matrix, power)
        trace = float(gram.diagonal().sum())
    with recorder.span("eigenvalues"):
        squares = squares_of(gram, trace)
    solution = by_gram(squares, trace, matrix.shape)
    if solution is not None:
        return solution
    with recorder.span("exact SVD"):
        return exact(matrix, power)


def squares_of(gram: torch.Tensor, trace: float) -> NDArray[np.float64]:
    """Return the eigenvalues of a Gram matrix, descending, by a processor; zeros where its trace is 0 or no number.

    gram: (n, n) float64, its lower triangle by columns, which is lost.
    """
    return eigenvalues(gram)[::-1] if math.isfinite(trace) and trace else np.zeros(gram.shape[0])


def by_gram(squares: NDArray[np.float64], trace: float, shape: Sequence[int]) -> Solution | None:
    """σ = √λ where the bounds hold, None where they do not.

    squares: (n,) the eigenvalues λ of a Gram matrix, descending; not looked at where its trace is 0 or no number.
    shape: of the matrix.

    >>> by_gram(np.array([4.0, 1.0]), 5.0, (2, 2))[0], by_gram(np.array([4.0, 1e-14]), 4.0, (2, 2))
    (array([2., 1.]), None)
    """
    return by_grams(squares[None], np.array([trace]), shape)[0]


def by_grams(squares: NDArray[np.float64], traces: NDArray[np.float64], shape: Sequence[int]) -> list[Solution | None]:
    """Return `by_gram` of each of some matrices of one shape; squares: (b, n). traces: (b,)."""
    with np.errstate(invalid="ignore"):  # of rows that are not looked at
        delta = error_of_squares(squares, steps(shape))
        values, errors = _roots(squares, delta)
        met = np.all(errors <= allowed(values), axis=-1)
        _, bounds = _roots(squares, delta + of_one_sign(max(shape)) * squares[:, :1])
        largest = bounds.max(axis=-1, initial=0.0)
    solutions: list[Solution | None] = []
    for row, trace, within, bound in zip(values, traces.tolist(), map(bool, met), largest.tolist(), strict=True):
        if not math.isfinite(trace):
            solutions.append((np.full(len(row), np.nan), "gram", math.nan))
        elif trace == 0:
            solutions.append((np.zeros(len(row)), "gram", 0.0))
        else:
            solutions.append((row, "gram", bound) if within else None)
    return solutions


def as_spectrum(matrix: torch.Tensor, power: int, solution: Solution, rounding: float | None) -> Spectrum:
    """Return the solution for a matrix divided by 2^power, in the unit of its entries; rounding: as in Spectrum."""
    values, rule, error = solution
    rows, cols = matrix.shape
    with np.errstate(over="ignore", under="ignore"):
        sigma, bound = np.ldexp(values, power), float(np.ldexp(error, power))
    dtype = str(matrix.dtype).removeprefix("torch.")
    return Spectrum(sigma, rows, cols, dtype, rule, bound, rounding=rounding)


def allowed(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest absolute error that the bounds allow each σ; σ: (r,) or (b, r), descending, σ₁ > 0.

    >>> allowed(np.array([1.0, 1e-3, 1e-6]))
    array([1.e-12, 1.e-11, 1.e-09])
    """
    with np.errstate(divide="ignore", over="ignore"):
        bounds: NDArray[np.float64] = np.minimum(
            1e-9 * sigma[..., :1], np.maximum(1e-12 * sigma, 1e-14 * sigma[..., :1] ** 2 / sigma)
        )
    return bounds


def gram_matrix(matrix: torch.Tensor, power: int) -> torch.Tensor:
    """G of the short side, (n, n), in float64, summed over blocks of the long side; its lower triangle, by columns."""
    import torch

    size, tall = min(matrix.shape), matrix.shape[0] >= matrix.shape[1]
    gram = scratch(size * size, torch.float64).zero_().view(size, size).T
    for block in float64_blocks(matrix, LENGTH, power=power):
        add_gram(gram, block, tall=tall)
    return gram


def steps(shape: Sequence[int]) -> float:
    """√(n + m/64): how far rounding errors of about one step each add up."""
    return math.sqrt(min(shape) + max(shape) / 64)


def of_one_sign(products: int) -> float:
    """The share of a sum of products by which it errs where all its roundings go the same way.

    >>> of_one_sign(256) / UNIT, of_one_sign(2**20) / UNIT
    (129.0, 4608.0)
    """
    return UNIT * (min(products, LENGTH) + products / 128) / 2


def error_of_squares(squares: NDArray[np.float64], steps: float) -> NDArray[np.float64]:
    """δ, the bound on the error of each eigenvalue of a Gram matrix; squares: (n,) or (b, n), descending."""
    rows = np.atleast_2d(np.ascontiguousarray(squares))
    # A product for each: that of all at once may add in another order, by which bits would depend on the batch.
    norms = np.sqrt([row.dot(row) for row in rows]).reshape(*squares.shape[:-1], 1)
    bounds: NDArray[np.float64] = UNIT * (
        (2 + steps) * squares[..., :1] + 2 * norms + (12 + 3 * steps) * np.abs(squares)
    )
    return bounds


def is_spectrum_of(squares: NDArray[np.float64], trace: float, norm: float, steps: float) -> bool:
    """Whether eigenvalues have the trace and the norm of their matrix: Σλ = tr G, Σλ² = ‖G‖_F², within errors.

    squares: (n,) descending. True where the trace is no number. What is computed on a device is not what was tested on
    this one: cuSOLVER's batched Jacobi has given the diagonal for eigenvalues (pytorch/pytorch#53040), which has the
    trace but never the norm.

    >>> is_spectrum_of(np.array([3.0, 1.0]), 4.0, 10**0.5, 1.0), is_spectrum_of(np.array([2.0, 2.0]), 4.0, 10**0.5, 1.0)
    (True, False)
    """
    if not np.isfinite(trace):
        return True
    delta = error_of_squares(squares, steps)
    first = abs(float(squares.sum()) - trace) <= delta.sum()
    second = abs(float(squares @ squares) - norm**2) <= ((2 * np.abs(squares) + delta) * delta).sum()
    return bool(first and second)


def _roots(squares: NDArray[np.float64], delta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """σ̂ = √λ̂ and the bound on the error of each."""
    values = np.sqrt(np.maximum(squares, 0.0))
    with np.errstate(divide="ignore"):
        return values, delta / (values + np.sqrt(np.maximum(squares - delta, 0.0)))


def exact(matrix: torch.Tensor, power: int) -> Solution:
    """σ by the float64 SVD, on the CPU, after a QR of blocks where the matrix is far from square."""
    short, long = sorted(matrix.shape)
    far = long > FAR_FROM_SQUARE * short
    length = max(LENGTH, short if far else long)
    blocks = float64_blocks(matrix, length, power=power)
    sides = (np.asarray(block if matrix.shape[0] >= matrix.shape[1] else block.T) for block in blocks)
    core = triangle(sides) if far else next(sides)
    values = np.asarray(np.linalg.svd(core, compute_uv=False), dtype=np.float64)
    rounds = merges(math.ceil(long / length)) if far else 0
    expected = 2 * UNIT * ((1 + steps(matrix.shape)) * values[0] + 2 * float(np.linalg.norm(values)))
    biased = (of_one_sign(min(long, length)) + rounds * of_one_sign(2 * short)) * values[0]
    return values, "qr+svd" if far else "svd", (1 + rounds) * expected + float(biased)


def triangle(blocks: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """R of the QR decomposition of blocks that stand one above the other, (k, n) each, k ≥ n but for the last.

    Those of two blocks are merged, those of two such pairs, and so on, so that errors add up over ⌈log₂⌉ of their
    number instead of over all; one R for each such level is kept.

    >>> np.abs(triangle(iter([np.eye(2), np.eye(2), np.eye(2)])).diagonal()).round(6)
    array([1.732051, 1.732051])
    """
    waiting: list[tuple[int, NDArray[np.float64]]] = []  # how often each was merged, and its R
    for block in blocks:
        level, merged = 0, _r(block)
        while waiting and waiting[-1][0] == level:
            merged = _r(waiting.pop()[1], merged)
            level += 1
        waiting.append((level, merged))
    result = waiting.pop()[1]
    while waiting:
        result = _r(waiting.pop()[1], result)
    return result


def _r(*blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(np.concatenate(blocks), mode="r"))


def merges(blocks: int) -> int:
    """How many merges the R of any block goes through in `triangle`, at most."""
    return (blocks - 1).bit_length()
