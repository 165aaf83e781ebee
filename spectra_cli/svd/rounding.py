"""What rounding to the stored dtype has left in a matrix, from the spacing of its entries. Knows torch's formats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.svd.blocks import scale

if TYPE_CHECKING:
    import torch

ENTRIES = 1 << 20
"""Entries of a block: 4 MB in float32."""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: digits of the significand, the first one included, and its least exponent.

    Numbers in 2^e…2^(e+1) are 2^(e+1−digits) apart; below 2^least they are as far apart as just above it. exponents:
    the bits that hold e: a number of which only these are left is 2^e.
    """

    digits: int
    least: int
    exponents: int


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
    >>> rounding_norm(eighths) * 12**0.5 / 2**1.5
    0.125
    """
    stored = FORMATS.get(str(matrix.dtype).removeprefix("torch."))
    if stored is None:
        return None
    low, high = _range(matrix) if matrix.numel() else (0.0, 0.0)
    largest = max(-low, high)
    if not math.isfinite(largest) or largest == 0:
        return 0.0 if largest == 0 else math.nan
    exponent = max(math.frexp(largest)[1] - 1, stored.least)
    spacing = exponent + 1 - stored.digits
    if math.ldexp(high, -spacing) - math.ldexp(low, -spacing) <= 1.0:
        return math.nan
    row, column = _longest(matrix, stored, exponent)
    return math.ldexp((math.sqrt(row) + math.sqrt(column)) / math.sqrt(12.0), spacing)


def _longest(matrix: torch.Tensor, stored: Format, exponent: int) -> tuple[float, float]:
    """Squares of the longest row and column of the entries' powers of two, divided by 2^exponent."""
    import torch

    longest, columns = 0.0, torch.zeros(matrix.shape[1], dtype=torch.float64)
    kind = torch.float64 if matrix.dtype == torch.float64 else torch.float32
    for block in _blocks(matrix):
        bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[block.element_size()]
        powers = (block.view(bits) & stored.exponents).view(block.dtype).to(kind)
        powers.clamp_(min=2.0**stored.least)
        scale(powers, -exponent).square_()
        longest = max(longest, float(powers.sum(1).max()))
        columns += powers.sum(0)
    return longest, float(columns.max())


def _range(matrix: torch.Tensor) -> tuple[float, float]:
    """The smallest and the largest entry; NaN where one is no number."""
    import torch

    lows, highs = [], []
    for block in _blocks(matrix):
        low, high = torch.aminmax(block if block.element_size() > 1 else block.float())
        lows.append(float(low))
        highs.append(float(high))
    return (min(lows), max(highs)) if all(map(math.isfinite, lows + highs)) else (math.nan, math.nan)


def _blocks(matrix: torch.Tensor) -> Iterator[torch.Tensor]:
    """Some rows at a time, contiguous, so that sums do not depend on strides."""
    length = max(1, ENTRIES // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], length):
        yield matrix[start : start + length].contiguous()
