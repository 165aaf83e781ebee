"""Tensors of eight bits or fewer an element, multiplied on reading by the scales stored beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.source import TensorSource, Warn, allocate

if TYPE_CHECKING:
    import torch

# The sixteen numbers of a sign, two bits of exponent and one of mantissa (E2M1).
FOUR_BITS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


@dataclass(frozen=True)
class QuantizedTensor:
    """8-bit numbers times their scales: one scale for all, for a row, or for a block of rows and columns.

    scale: of a floating type, or of bytes that are exponents of two (E8M0). block: rows and columns that share a scale;
    None where the scale's shape broadcasts to that of the numbers. factor: what every scale is multiplied by. zero: in
    the shape of the scale, what is subtracted first.
    """

    numbers: TensorSource
    scale: TensorSource
    block: tuple[int, int] | None = None
    factor: float = 1.0
    zero: TensorSource | None = None
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers."""
        return self.numbers.shape

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of the numbers, of the scales and of the zero points."""
        return self.numbers.file_ranges + self.scale.file_ranges + (self.zero.file_ranges if self.zero else ())

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Multiply by the scales in float32, which holds every product of an 8-bit number and a scale to 24 bits."""
        return self.dequantize(self.numbers.read(name, warn), name, warn)

    def dequantize(self, numbers: torch.Tensor, name: str, warn: Warn) -> torch.Tensor:
        """Return what 8-bit numbers stand for with the scales as they are stored, in float32."""
        import torch  # noqa: PLC0415

        values = numbers.float().contiguous()
        if self.zero is not None:
            _apply(torch.Tensor.sub_, values, self.zero.read(f"{name} (zero point)", warn).float(), self.block)
        _apply(torch.Tensor.mul_, values, self._scale(name, warn), self.block)
        return values

    def quantize(self, values: torch.Tensor, name: str, warn: Warn) -> torch.Tensor:
        """Return the 8-bit numbers that come nearest to some values with the scales as they are stored.

        values: float32, changed in place. What lies beyond the range of the numbers becomes the last of it.
        """
        import torch  # noqa: PLC0415

        dtype = getattr(torch, self.numbers.dtype)
        _apply(torch.Tensor.div_, values, self._scale(name, warn), self.block)
        values.nan_to_num_(nan=0.0)  # 0 / 0: a scale of zero
        if self.zero is not None:
            _apply(torch.Tensor.add_, values, self.zero.read(f"{name} (zero point)", warn).float(), self.block)
        if not dtype.is_floating_point:
            values.round_()
        limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
        return values.clamp_(limits.min, limits.max).to(dtype)

    def _scale(self, name: str, warn: Warn) -> torch.Tensor:
        import torch  # noqa: PLC0415

        scale = self.scale.read(f"{name} (scale)", warn)
        if scale.dtype == torch.uint8:
            scale = scale.contiguous().view(torch.float8_e8m0fnu)
        return scale.float() * self.factor


def _apply(
    operation: Callable[[torch.Tensor, torch.Tensor], object], numbers: torch.Tensor, beside: torch.Tensor,
    block: tuple[int, int] | None,
) -> None:  # fmt: skip
    """Change numbers in place, each by the one beside it that is its row's, its block's, or everyone's."""
    if block is None:
        operation(numbers, beside.reshape(()) if beside.numel() == 1 else beside.reshape(*numbers.shape[:-1], 1))
        return
    # A configuration may give blocks of thousands of millions: no block is larger than the matrix.
    rows, columns = (min(size, whole) for size, whole in zip(block, numbers.shape[-2:], strict=True))
    stack = numbers.view(-1, *numbers.shape[-2:])
    for matrix, values in zip(stack, beside.reshape(-1, *beside.shape[-2:]), strict=True):
        for band, row in zip(matrix.split(rows), values, strict=True):
            operation(band, row.repeat_interleave(columns)[: matrix.shape[1]])


@dataclass(frozen=True)
class MXFP4Tensor:
    """Stacked matrices of four-bit numbers, two a byte, each block beside the power of two that multiplies it.

    blocks: (experts, rows, groups, bytes) uint8. scales: (experts, rows, groups) uint8. Read as (experts, columns,
    rows): the file keeps [experts, out, in]; transformers, and so the rules for names, have [experts, in, out].
    """

    blocks: TensorSource
    scales: TensorSource
    dtype: str = "bfloat16"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape once the numbers are unpacked: (experts, columns, rows)."""
        experts, rows, groups = self.scales.shape
        return (experts, groups * self.blocks.shape[-1] * 2, rows)

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of the blocks and of the scales."""
        return self.blocks.file_ranges + self.scales.file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Look each half of a byte up, the low one first, and shift by the block's exponent: exact in bfloat16."""
        import torch  # noqa: PLC0415

        values = torch.tensor(FOUR_BITS, dtype=torch.bfloat16)
        whole = allocate(name, self.shape, self.dtype)
        blocks, scales = self.blocks.read(name, warn), self.scales.read(f"{name} (scale)", warn)
        for expert, packed, exponents in zip(whole, blocks, scales, strict=True):
            halves = torch.stack((packed & 15, packed >> 4), dim=-1).flatten(-2)
            matrix = torch.ldexp(values[halves.int()], exponents.int().unsqueeze(-1) - 127)
            expert.copy_(matrix.flatten(-2).T)
        return whole
