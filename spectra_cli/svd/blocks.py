"""Float64 blocks of a stored matrix, so that no whole float64 copy of it ever exists."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError
from spectra_cli.kept_memory import scratch

if TYPE_CHECKING:
    import torch


def power_of_two(*matrices: torch.Tensor) -> int:
    """Exponent p with max |entry| < 2^p over all the matrices, for float64; 0 for the narrower dtypes.

    Divided by 2^p, entries of 1e±150 neither overflow nor vanish when squared. No other dtype has an entry
    whose square leaves the range of float64. 0 where there is NaN or Inf.

    >>> import torch
    >>> power_of_two(torch.tensor([[5e200]], dtype=torch.float64)), power_of_two(torch.tensor([[5.0]]))
    (667, 0)
    """
    import torch

    largest = 0.0
    for matrix in matrices:
        if matrix.dtype == torch.float64 and matrix.numel():
            low, high = torch.aminmax(matrix)
            if not (math.isfinite(low) and math.isfinite(high)):
                return 0
            largest = max(largest, -float(low), float(high))
    return math.frexp(largest)[1]


def as_integers(matrix: torch.Tensor) -> torch.Tensor:
    """Return the bits of a matrix as integers of the size of its entries, of the same memory and strides.

    >>> import torch
    >>> as_integers(torch.tensor([[1.0, -0.0]]))
    tensor([[ 1065353216, -2147483648]], dtype=torch.int32)
    """
    import torch

    return matrix.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[matrix.element_size()])


class Float64Block:
    """Memory in which one block of a stored matrix lies at a time, in float64; flat: its entries, row by row.

    size: most entries of a block. narrow: memory of as many in float32, needed by what is stored in float16: in two
    steps its conversion takes a third of the time of torch's one (0.8 against 2.7 ms for 768×3072).
    """

    def __init__(self, size: int, narrow: torch.Tensor | None) -> None:
        """Nothing lies in it yet."""
        import torch

        self.flat = self._memory = scratch(size, torch.float64)
        self._narrow_memory = narrow
        self._block, self._narrow = self.flat, narrow

    def of(self, piece: torch.Tensor, power: int) -> torch.Tensor:
        """Return a piece of a matrix divided by 2^power, contiguous; it is there until the next one is."""
        import torch

        if piece.shape != self._block.shape:
            self.flat = self._memory[: piece.numel()]
            self._block = self.flat.view(piece.shape)
            if self._narrow_memory is not None:
                self._narrow = self._narrow_memory[: piece.numel()].view(piece.shape)
        narrow = self._narrow if piece.dtype == torch.float16 else None
        self._block.copy_(piece if narrow is None else narrow.copy_(piece))
        return scale(self._block, -power)


def narrow_memory(size: int, *matrices: torch.Tensor) -> torch.Tensor | None:
    """Return what a `Float64Block` of a size needs for blocks of some matrices besides."""
    import torch

    return scratch(size, torch.float32) if any(matrix.dtype == torch.float16 for matrix in matrices) else None


def float64_blocks(matrix: torch.Tensor, length: int, *, power: int = 0) -> Iterator[torch.Tensor]:
    """Cut the long side into pieces of `length`, as contiguous float64, divided by 2^power.

    Yields (length, cols) where the matrix is at least as tall as it is wide, else (rows, length); the last is shorter.
    What is yielded depends on the entries and not on the strides. All blocks share one memory: use one before taking
    the next.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    side, other = matrix.shape if tall else matrix.shape[::-1]
    size = min(length, side) * other
    block = Float64Block(size, narrow_memory(size, matrix))
    for start in range(0, side, length):
        yield block.of(matrix[start : start + length] if tall else matrix[:, start : start + length], power)


def scale(block: torch.Tensor, power: int) -> torch.Tensor:
    """Multiply by 2^power in place, exactly; in two steps, since 2^1074 is not a float64."""
    if power:
        block.mul_(2.0 ** (power // 2)).mul_(2.0 ** (power - power // 2))
    return block


def require_matrices(*tensors: torch.Tensor) -> None:
    """Raise SpectraError where a tensor is not a real matrix, or not of the same shape as the first."""
    for tensor in tensors:
        if tensor.ndim != 2 or tensor.is_complex():
            raise SpectraError(
                f"a {tensor.dtype} tensor of shape {tuple(tensor.shape)} is no real matrix",
                hint="give two dimensions of real numbers",
            )
        if tensor.shape != tensors[0].shape:
            raise SpectraError(
                f"matrices of shapes {tuple(tensors[0].shape)} and {tuple(tensor.shape)} cannot be compared",
                hint="compare matrices of one shape",
            )
