"""A matrix that is kept as the product of two small ones: the change that an adapter makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import Warn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class LowRank:
    """A matrix scale · b @ a, as its factors. b: (rows, r), a: (r, cols), in their stored dtype."""

    b: torch.Tensor
    a: torch.Tensor
    scale: float


@dataclass(frozen=True)
class LowRankTensor:
    """scale · B·A, or its transpose. b: (rows, r), a: (r, cols)."""

    b: PlainTensor
    a: PlainTensor
    scale: float
    transposed: bool = False
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the product."""
        shape = (self.b.shape[0], self.a.shape[1])
        return shape[::-1] if self.transposed else shape

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of both factors."""
        return self.b.file_ranges + self.a.file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read the factors and multiply them, in float32."""
        factors = self.factors(name, warn)
        return (factors.b.float() @ factors.a.float()) * factors.scale

    def factors(self, name: str, warn: Warn) -> LowRank:
        """Read the factors alone, so that (scale · b @ a) has this tensor's shape."""
        b, a = self.b.read(f"{name} (B)", warn), self.a.read(f"{name} (A)", warn)
        return LowRank(a.T, b.T, self.scale) if self.transposed else LowRank(b, a, self.scale)
