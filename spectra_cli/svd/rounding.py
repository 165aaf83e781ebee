"""What rounding to the stored dtype has left in a matrix, from the spacing of its entries. Knows torch's formats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.kept_memory import scratch
from spectra_cli.svd.blocks import as_integers, power_of_two

if TYPE_CHECKING:
    import torch

Numbers = NDArray[np.float64]

ENTRIES = 1 << 20
"""Most entries of a stack: 340 matrices of 64×96 in float16 take 1.6 ns an entry, in stacks half as large 1.9."""

BLOCK = 1 << 18
"""Entries of a block of rows: 1 MB in float32, which stays in a core's own cache from one step to the next. 768×3072 in
float16 takes 0.8 ns an entry, in blocks four times as large 1.2."""


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


def _norms(matrices: torch.Tensor, stored: Format) -> list[float]:
    """Read some matrices once, block by block."""
    import torch

    powers = _powers(matrices, stored)
    shifts = torch.from_numpy(-powers)
    columns = torch.zeros((len(matrices), matrices.shape[2]), dtype=torch.float64)
    rows, largest = torch.zeros(len(matrices), dtype=torch.float64), torch.zeros(len(matrices), dtype=torch.float64)
    for most, squares in _blocks(matrices, stored):
        of_rows, of_columns = squares.sum(2).amax(1), squares.sum(1)
        if not stored.is_narrow:
            units = torch.ldexp(most, shifts).square_()
            of_rows, of_columns = of_rows * units, of_columns * units[:, None]
        rows = torch.maximum(rows, of_rows)
        columns += of_columns
        largest = torch.maximum(largest, most)
    lengths = np.sqrt(rows.numpy()) + np.sqrt(columns.amax(1).numpy())  # torch's roots are not always the nearest
    norms = np.ldexp(lengths / math.sqrt(12.0), powers + 1 - stored.digits)
    spacings = np.frexp(largest.numpy())[1] - stored.digits
    firsts = _reach(*_ranges(matrices[:, :1]), spacings)  # the first row mostly tells that entries are further apart
    for at in np.flatnonzero(~((firsts > 1.0) & largest.isfinite().numpy())):
        norms[at] = _of_range(matrices[at], float(largest[at]), float(norms[at]), spacings[at])
    return [float(norm) for norm in norms]


def _powers(matrices: torch.Tensor, stored: Format) -> NDArray[np.int64]:
    """The power of two that each matrix is divided by, none below the format's least: 0 for all but float64."""
    import torch

    if matrices.dtype != torch.float64:
        return np.zeros(len(matrices), dtype=np.int64)
    return np.array([max(power_of_two(matrix), stored.least) for matrix in matrices])


def _of_range(matrix: torch.Tensor, most: float, norm: float, spacing: int) -> float:
    """Return the norm, but 0 for zeros, and NaN for no numbers and where all entries lie within one spacing.

    most: the largest power of two. spacing: the exponent of that of the numbers there.
    """
    if not math.isfinite(most):
        return math.nan
    low, high = _ranges(matrix[None])
    return norm if _reach(low, high, spacing) > 1.0 else 0.0 if not (low.any() or high.any()) else math.nan


def _reach(low: Numbers, high: Numbers, spacing: NDArray[np.int32] | int) -> Numbers:
    """How many spacings two entries are apart; (b,) each."""
    with np.errstate(all="ignore"):  # of what is no number
        return np.asarray(np.ldexp(high, -spacing) - np.ldexp(low, -spacing))


def _ranges(matrices: torch.Tensor) -> tuple[Numbers, Numbers]:
    """The smallest and the largest entry of each."""
    import torch

    extremes = []
    length = _length(matrices)
    for start in range(0, matrices.shape[1], length):
        block = matrices[:, start : start + length]
        flat = (block if block.element_size() > 1 else block.float()).flatten(1)
        extremes.append([flat.amin(1).double(), flat.amax(1).double()])
    lows, highs = (torch.stack(side) for side in zip(*extremes, strict=True))
    return lows.amin(0).numpy(), highs.amax(0).numpy()


def _length(matrices: torch.Tensor) -> int:
    """Most rows of each in a block, whatever it is stacked with."""
    return max(1, BLOCK // matrices.shape[2])


def _blocks(matrices: torch.Tensor, stored: Format) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield of some rows of each the largest power of two, and the squares of all powers of two.

    Those of a format that is not narrow in units of the largest's. Contiguous, so that sums do not depend on strides.
    The squares share one memory, as in `blocks.float64_blocks`: to be given fresh pages takes as long as to fill them.
    """
    import torch

    count, rows, cols = matrices.shape
    length = min(rows, _length(matrices))
    integers = scratch(count * length * cols, as_integers(matrices).dtype)
    numbers = scratch(len(integers), torch.float64 if matrices.dtype == torch.float64 else torch.float32)
    for start in range(0, rows, length):
        block = matrices[:, start : start + length].contiguous()
        bits, powers = (memory[: block.numel()].view(block.shape) for memory in (integers, numbers))
        torch.bitwise_and(as_integers(block), stored.exponents, out=bits)
        bits.clamp_(min=stored.exponents & -stored.exponents)  # the bits of 2^least
        most = bits.flatten(1).amax(1).view(block.dtype).double()  # as integers they are in the same order
        powers.copy_(bits.view(block.dtype))
        if block.element_size() == 1:  # of these, NaN may have the exponent of a number
            most = most.where(block.float().flatten(1).isfinite().all(1), math.nan)
        if not stored.is_narrow:
            powers *= (1 / most).to(powers.dtype)[:, None, None]
        yield most, powers.square_()
