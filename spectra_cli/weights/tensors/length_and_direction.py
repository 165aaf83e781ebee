"""A weight that is stored as its length and its direction, put together on reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.source import TensorSource, Warn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WeightNormTensor:
    """g·v/‖v‖, the norm over every axis in which g has one entry.

    lengths: g, with as many axes as v, or a single number. directions: v.
    """

    lengths: TensorSource
    directions: TensorSource

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the directions."""
        return self.directions.shape

    @property
    def dtype(self) -> str:
        """Torch's name of the type in which the two are multiplied."""
        return "float64" if self.directions.dtype == "float64" else "float32"

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of both."""
        return self.lengths.file_ranges + self.directions.file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Multiply in at least single precision; NaN where a direction is zero, as in the model itself."""
        import torch  # noqa: PLC0415

        dtype = getattr(torch, self.dtype)
        v = self.directions.read(f"{name} (direction)", warn).to(dtype)
        g = self.lengths.read(f"{name} (length)", warn).to(dtype)
        g = g.reshape([1] * v.dim()) if g.numel() == 1 else g
        axes = [axis for axis, size in enumerate(g.shape) if size == 1]
        return v * (g / v.square().sum(axes, keepdim=True).sqrt())
