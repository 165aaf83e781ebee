"""Inner product and distance of two stored matrices of one shape, entry by entry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.svd.blocks import Float64Block, as_integers, narrow_memory, power_of_two, require_matrices, scale
from spectra_cli.svd.factors import Factors, compare_factors

if TYPE_CHECKING:
    import torch

CACHED = 1 << 16
"""Entries of a block of `compare`, in the order in which they are stored: 512 KB in float64, of which two stay in a
core's own cache. 768×3072 in float16 against two others takes 2.1 ns an entry and pair on an Intel Xeon with 1.25 MB of
it, in blocks four times as large 2.8. Where two threads compare, they wait for the interpreter between smaller blocks:
both together take 1.9 and 1.6, and 2.7 in blocks of half of it."""


def compare(a: torch.Tensor | Factors, b: torch.Tensor | Factors) -> tuple[float, float]:
    """⟨A,B⟩_F and ‖A − B‖_F of two matrices of one shape, as `compare_each` returns them.

    >>> import torch
    >>> compare(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    (0.0, 5.0)
    """
    return compare_each(a, [b])[0]


def compare_each(a: torch.Tensor | Factors, others: Sequence[torch.Tensor | Factors]) -> list[tuple[float, float]]:
    """⟨A,B⟩_F and ‖A − B‖_F for each B of some matrices of one shape, in float64, the latter from the difference.

    A is converted once for all of them; of two that are kept as factors neither product is formed. The dtypes may
    differ. Raises SpectraError where the shapes do. Both NaN where a matrix holds NaN or Inf; Inf or 0 where ⟨A,B⟩
    itself is beyond float64. Always on the CPU: each entry is read once, 15 ms for 2,048×8,192 in float16, in which
    time the pair would hardly be on a GPU.

    >>> import torch
    >>> compare_each(torch.eye(2), [torch.eye(2), torch.zeros(2, 2)])
    [(2.0, 0.0), (0.0, 1.4142135623730951)]
    """
    if isinstance(a, Factors) and any(isinstance(b, Factors) for b in others):
        return [compare_factors(a, b) if isinstance(b, Factors) else compare(a.product(), b) for b in others]
    first, *rest = (matrix.product() if isinstance(matrix, Factors) else matrix for matrix in (a, *others))
    require_matrices(first, *rest)
    power, powers = power_of_two(first), [power_of_two(b) for b in rest]
    length = max(1, CACHED // max(1, first.shape[1]))
    size = min(length, first.shape[0]) * first.shape[1]
    narrow = narrow_memory(size, first, *rest)
    left, right = Float64Block(size, narrow), Float64Block(size, narrow)
    sums = [[0.0, 0.0] for _ in rest]
    for start in range(0, first.shape[0], length):
        rows = slice(start, start + length)
        left.of(first[rows], power)
        for total, matrix, other in zip(sums, rest, powers, strict=True):
            right.of(matrix[rows], other)
            x, y = left.flat, right.flat
            total[0] += float(x.dot(y))
            common = max(power, other)
            shifted = x if power == common else scale(x.clone(), power - common)
            difference = scale(y, other - common).sub_(shifted)
            total[1] += float(difference.dot(difference))
    return [_distances(inner, squares, power, other) for (inner, squares), other in zip(sums, powers, strict=True)]


def same_bits(a: torch.Tensor | Factors, b: torch.Tensor | Factors) -> bool:
    """Whether two stored matrices of one shape are the same in dtype and every bit; False where one has two factors.

    >>> import torch
    >>> same_bits(torch.zeros(2, 2), torch.zeros(2, 2)), same_bits(torch.zeros(2, 2), -torch.zeros(2, 2))
    (True, False)
    """
    import torch

    if isinstance(a, Factors) or isinstance(b, Factors) or a.dtype != b.dtype:
        return False
    x, y = as_integers(a), as_integers(b)
    return torch.equal(x[:1], y[:1]) and torch.equal(x, y)  # those that differ mostly do so in their first row


def _distances(inner: float, squares: float, power: int, other: int) -> tuple[float, float]:
    """Return both numbers in the unit of the entries, of matrices that were divided by powers of two."""
    if not math.isfinite(squares):
        return math.nan, math.nan
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(inner, power + other)), float(np.ldexp(math.sqrt(squares), max(power, other)))
