"""Tensors of eight bits or fewer an element, multiplied on reading by the scales stored beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import Warn, allocate

if TYPE_CHECKING:
    import torch

# The sixteen numbers of a sign, two bits of exponent and one of mantissa (E2M1).
FOUR_BITS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


@dataclass(frozen=True)
class QuantizedTensor:
    """8-bit numbers times their scales: one scale for all, for a row, or for a block of rows and columns.

    block: rows and columns that share a scale; None where the scale's shape broadcasts to that of the numbers.
    factor: what every scale is multiplied by.
    """

    numbers: PlainTensor
    scale: PlainTensor
    block: tuple[int, int] | None = None
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers."""
        return self.numbers.shape

    @property
    def dtype(self) -> str:
        """The stored dtype of the numbers; they are read as float32."""
        return self.numbers.dtype

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of the numbers and of the scales."""
        return self.numbers.file_ranges + self.scale.file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Multiply by the scales in float32, which holds every product of an 8-bit number and a scale to 24 bits."""
        numbers = self.numbers.read(name, warn).float()
        scale = self.scale.read(f"{name} (scale)", warn).float().mul_(self.factor)
        if self.block is None:
            return numbers.mul_(scale.view(()) if scale.numel() == 1 else scale.view(*numbers.shape[:-1], 1))
        rows, columns = self.block
        stack = numbers.view(-1, *numbers.shape[-2:])
        for matrix, scales in zip(stack, scale.reshape(-1, *scale.shape[-2:]), strict=True):
            for band, row in zip(matrix.split(rows), scales, strict=True):
                band.mul_(row.repeat_interleave(columns)[: matrix.shape[1]])
        return numbers


@dataclass(frozen=True)
class MXFP4Tensor:
    """Stacked matrices of four-bit numbers, two a byte, each block beside the power of two that multiplies it.

    blocks: (experts, rows, groups, bytes) uint8. scales: (experts, rows, groups) uint8. Read as (experts, columns,
    rows): the file keeps [experts, out, in]; transformers, and so the rules for names, have [experts, in, out].
    """

    blocks: PlainTensor
    scales: PlainTensor
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
