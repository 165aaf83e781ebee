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
    return rounding_norms(matrix[None])[0]


def rounding_norms(matrices: torch.Tensor) -> list[float | None]:
    """Return `rounding_norm` of each of some matrices, (b, m, n); of a few large ones, or ENTRIES entries in all."""
    stored = FORMATS.get(str(matrices.dtype).removeprefix("torch."))
    if stored is None:
        return [None] * len(matrices)
    spacings = [_spacing(low, high, stored) for low, high in _ranges(matrices)]
    exponents = [0 if isinstance(spacing, float) else spacing - 1 + stored.digits for spacing in spacings]
    lengths = _longest(matrices, stored, exponents) if any(isinstance(spacing, int) for spacing in spacings) else []
    return [
        spacing
        if isinstance(spacing, float)
        else math.ldexp((math.sqrt(lengths[i][0]) + math.sqrt(lengths[i][1])) / math.sqrt(12.0), spacing)
        for i, spacing in enumerate(spacings)
    ]


def _spacing(low: float, high: float, stored: Format) -> int | float:
    """Exponent of the spacing of the largest entries; a float where it, and no length, is what is to be returned."""
    largest = max(-low, high)
    if not math.isfinite(largest) or largest == 0:
        return 0.0 if largest == 0 else math.nan
    spacing = max(math.frexp(largest)[1] - 1, stored.least) + 1 - stored.digits
    return math.nan if math.ldexp(high, -spacing) - math.ldexp(low, -spacing) <= 1.0 else spacing


def _longest(matrices: torch.Tensor, stored: Format, exponents: list[int]) -> list[tuple[float, float]]:
    """Squares of the longest row and column of the entries' powers of two, divided by 2^exponent, of each matrix."""
    import torch

    columns = torch.zeros((len(matrices), matrices.shape[2]), dtype=torch.float64)
    kind = torch.float64 if matrices.dtype == torch.float64 else torch.float32
    longest = torch.zeros(len(matrices), dtype=kind)
    alike = len(set(exponents)) == 1
    for block in _blocks(matrices):
        bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[block.element_size()]
        powers = (block.view(bits) & stored.exponents).view(block.dtype).to(kind)
        powers.clamp_(min=2.0**stored.least)
        for part, exponent in [(powers, exponents[0])] if alike else zip(powers, exponents, strict=True):
            scale(part, -exponent)
        powers.square_()
        longest = torch.maximum(longest, powers.sum(2).amax(1))
        columns += powers.sum(1)
    return list(zip(longest.tolist(), columns.amax(1).tolist(), strict=True))


def _ranges(matrices: torch.Tensor) -> list[tuple[float, float]]:
    """The smallest and the largest entry of each; NaN where one is no number, 0 where there is none."""
    import torch

    if not matrices.numel():
        return [(0.0, 0.0)] * len(matrices)
    extremes = []
    for block in _blocks(matrices):
        flat = (block if block.element_size() > 1 else block.float()).flatten(1)
        extremes.append([flat.amin(1).double(), flat.amax(1).double()])
    lows, highs = (torch.stack(side) for side in zip(*extremes, strict=True))
    finite = lows.isfinite().all(0) & highs.isfinite().all(0)
    pairs = zip(lows.amin(0).tolist(), highs.amax(0).tolist(), finite.tolist(), strict=True)
    return [(low, high) if is_finite else (math.nan, math.nan) for low, high, is_finite in pairs]


def _blocks(matrices: torch.Tensor) -> Iterator[torch.Tensor]:
    """Some rows of each at a time, contiguous, so that sums do not depend on strides."""
    length = max(1, ENTRIES // max(1, len(matrices) * matrices.shape[2]))
    for start in range(0, matrices.shape[1], length):
        yield matrices[:, start : start + length].contiguous()
