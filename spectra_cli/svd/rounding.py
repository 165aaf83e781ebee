"""What rounding to the stored dtype has left in a matrix, from the spacing of its entries. Knows torch's formats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.svd.blocks import as_integers, power_of_two

if TYPE_CHECKING:
    import torch

ENTRIES = 1 << 18
"""Entries of a block: 1 MB in float32, so that it stays in the cache from one step to the next."""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: digits of the significand, the first one included, and its least exponent.

    Numbers in 2^e…2^(e+1) are 2^(e+1−digits) apart; below 2^least they are as far apart as just above it. exponents:
    the bits that hold e: a number of which only these are left is 2^e.
    """

    digits: int
    least: int
    exponents: int

    @property
    def is_narrow(self) -> bool:
        """Whether the squares of its powers of two, and sums of them, are within the range of float32."""
        return self.least > -32


FORMATS = {
    "float64": Format(53, -1022, 0x7FF << 52),
    "float32": Format(24, -126, 0xFF << 23),
    "float16": Format(11, -14, 0x1F << 10),
    "bfloat16": Format(8, -126, 0xFF << 7),
    "float8_e4m3fn": Format(4, -6, 0xF << 3),
    "float8_e4m3fnuz": Format(4, -7, 0xF << 3),
    "float8_e5m2": Format(3, -14, 0x1F << 2),
    "float8_e5m2fnuz": Format(3, -15, 0x1F << 2),
}


def rounding_norm(matrix: torch.Tensor) -> float | None:
    """Spectral norm to expect of the errors that storing a matrix in its dtype has left in it.

    matrix: (m, n), any real dtype and strides. Errors that are independent and uniform on ± half a spacing have a
    spectral norm of about the longest row and the longest column of the spacings, over √12 (Bandeira & van Handel
    2016), which is the edge of Marchenko and Pastur where all are alike. None for a dtype that is not a floating-point
    one, 0 for a zero or empty matrix. NaN where an entry is no number, and where all lie within one spacing: then all
    may have the same error, or nearly none, and the entries do not say which.

    >>> import torch
    >>> eighths = torch.ones(2, 2, dtype=torch.float8_e4m3fn) * torch.tensor([1.0, -1.0]).to(torch.float8_e4m3fn)
    >>> round(rounding_norm(eighths) * 12**0.5 / 2**1.5, 9)
    0.125
    """
    return rounding_norms(matrix[None])[0]


def rounding_norms(matrices: torch.Tensor) -> list[float | None]:
    """Return `rounding_norm` of each of some matrices, (b, m, n); none depends on the others."""
    stored = FORMATS.get(str(matrices.dtype).removeprefix("torch."))
    if stored is None:
        return [None] * len(matrices)
    if not matrices.numel():
        return [0.0] * len(matrices)
    most = max(1, ENTRIES // matrices[0].numel())
    starts = range(0, len(matrices), most)
    return [norm for start in starts for norm in _norms(matrices[start : start + most], stored)]


def _norms(matrices: torch.Tensor, stored: Format) -> list[float | None]:
    """Read some matrices once, block by block."""
    import torch

    powers = torch.tensor([max(power_of_two(matrix), stored.least) for matrix in matrices])
    columns = torch.zeros((len(matrices), matrices.shape[2]), dtype=torch.float64)
    rows, largest = torch.zeros(len(matrices), dtype=torch.float64), torch.zeros(len(matrices), dtype=torch.float64)
    for most, unit, squares in _blocks(matrices, stored):
        factors = torch.ldexp(unit, -powers).square_()
        rows = torch.maximum(rows, squares.sum(2).amax(1) * factors)
        columns += squares.sum(1) * factors[:, None]
        largest = torch.maximum(largest, most)
    lengths = (rows.sqrt() + columns.amax(1).sqrt()).tolist()
    norms = [
        math.ldexp(length / math.sqrt(12.0), power + 1 - stored.digits)
        for length, power in zip(lengths, powers.tolist(), strict=True)
    ]
    firsts = _ranges(matrices[:, :1])
    each = zip(matrices, firsts, largest.tolist(), norms, strict=True)
    return [_of_range(*matrix_and_facts, stored) for matrix_and_facts in each]


def _of_range(matrix: torch.Tensor, first: tuple[float, float], most: float, norm: float, stored: Format) -> float:
    """Return the norm, but 0 for zeros, and NaN for no numbers and where all entries lie within one spacing.

    first: the range of the first row, which mostly tells that they do not. most: the largest power of two.
    """
    if not math.isfinite(most):
        return math.nan
    spacing = math.frexp(most)[1] - stored.digits
    if _reach(first, spacing) > 1.0:
        return norm
    whole = _ranges(matrix[None])[0]
    return norm if _reach(whole, spacing) > 1.0 else 0.0 if whole == (0.0, 0.0) else math.nan


def _reach(extremes: tuple[float, float], spacing: int) -> float:
    """How many spacings two entries are apart."""
    low, high = extremes
    return math.ldexp(high, -spacing) - math.ldexp(low, -spacing)


def _ranges(matrices: torch.Tensor) -> list[tuple[float, float]]:
    """The smallest and the largest entry of each."""
    import torch

    extremes = []
    length = _length(matrices)
    for start in range(0, matrices.shape[1], length):
        block = matrices[:, start : start + length]
        flat = (block if block.element_size() > 1 else block.float()).flatten(1)
        extremes.append([flat.amin(1).double(), flat.amax(1).double()])
    lows, highs = (torch.stack(side) for side in zip(*extremes, strict=True))
    return list(zip(lows.amin(0).tolist(), highs.amax(0).tolist(), strict=True))


def _length(matrices: torch.Tensor) -> int:
    """Rows of each in a block."""
    return max(1, ENTRIES // (len(matrices) * matrices.shape[2]))


def _blocks(matrices: torch.Tensor, stored: Format) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield of some rows of each the largest power of two, the unit of the squares, and these, of all powers of two.

    Contiguous, so that sums do not depend on strides. The squares share one memory, as in `blocks.float64_blocks`:
    to be given fresh pages takes as long as to fill them.
    """
    import torch

    count, rows, cols = matrices.shape
    length = min(rows, _length(matrices))
    integers = torch.empty(count * length * cols, dtype=as_integers(matrices).dtype)
    numbers = torch.empty(len(integers), dtype=torch.float64 if matrices.dtype == torch.float64 else torch.float32)
    for start in range(0, rows, length):
        block = matrices[:, start : start + length].contiguous()
        bits, powers = (memory[: block.numel()].view(block.shape) for memory in (integers, numbers))
        torch.bitwise_and(as_integers(block), stored.exponents, out=bits)
        bits.clamp_(min=stored.exponents & -stored.exponents)  # the bits of 2^least
        most = powers.copy_(bits.view(block.dtype)).flatten(1).amax(1)
        if block.element_size() == 1:  # of these, NaN may have the exponent of a number
            most = most.where(block.float().flatten(1).isfinite().all(1), math.nan)
        unit = torch.ones_like(most) if stored.is_narrow else most
        if not stored.is_narrow:
            powers *= (1 / most)[:, None, None]
        yield most.double(), unit.double(), powers.square_()
