"""Inner product and distance of two stored matrices of one shape, entry by entry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.svd.blocks import as_integers, float64_blocks, power_of_two, require_matrices, scale
from spectra_cli.svd.factors import Factors, compare_factors

if TYPE_CHECKING:
    import torch

CACHED = 1 << 18
"""Entries of a block of `compare`, read in the order in which they are stored: 2 MB. 50,304×768 in float16 against two
others takes 0.85 ns an entry and pair; 0.98 in blocks of a quarter, and 1.1 against one other at a time."""


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

    def blocks(matrix: torch.Tensor, power: int) -> Iterator[torch.Tensor]:
        return float64_blocks(matrix, length, power=power, by_rows=True)

    sums = [[0.0, 0.0] for _ in rest]
    for left, *rights in zip(blocks(first, power), *map(blocks, rest, powers), strict=True):
        x = left.view(-1)
        for total, right, other in zip(sums, rights, powers, strict=True):
            y = right.view(-1)
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
