"""A matrix that is kept as the product of two small ones: the change that an adapter makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource, Warn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class LowRank:
    """A matrix scale · b @ a, as its factors. b: (rows, r), a: (r, cols), in their stored dtype.

    Of a stack of experts' matrices both have an axis of experts before these.
    """

    b: torch.Tensor
    a: torch.Tensor
    scale: float


@dataclass(frozen=True)
class LowRankTensor:
    """scale · (B·A − B₀·A₀), or its transpose. b: (rows, r), a: (r, cols); start: B₀ and A₀, None where they are 0."""

    b: PlainTensor
    a: PlainTensor
    scale: float
    transposed: bool = False
    start: tuple[PlainTensor, PlainTensor] | None = None
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the product."""
        shape = (self.b.shape[0], self.a.shape[1])
        return shape[::-1] if self.transposed else shape

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of all factors."""
        return tuple(file_range for part in (self.b, self.a, *(self.start or ())) for file_range in part.file_ranges)

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read the factors and multiply them, in float32."""
        factors = self.factors(name, warn)
        return (factors.b.float() @ factors.a.float()) * factors.scale

    def factors(self, name: str, warn: Warn) -> LowRank:
        """Read the factors alone, so that (scale · b @ a) has this tensor's shape."""
        import torch

        b, a = self.b.read(f"{name} (B)", warn), self.a.read(f"{name} (A)", warn)
        if self.start:
            b0, a0 = (part.read(f"{name} (at the start)", warn) for part in self.start)
            b, a = torch.cat((b, -b0), dim=1), torch.cat((a, a0), dim=0)
        return LowRank(a.T, b.T, self.scale) if self.transposed else LowRank(b, a, self.scale)


@dataclass(frozen=True)
class LowRankStack:
    """The changes of stacked experts: scale · Bₑ·Aₑ for each. b: (rows, r · experts), a: (experts · r, cols).

    The expert is the faster index of B's columns and the slower one of A's rows, as PEFT keeps them.
    """

    b: PlainTensor
    a: PlainTensor
    scale: float
    experts: int
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """Experts, rows and columns."""
        return self.experts, self.b.shape[0], self.a.shape[1]

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The ranges of both factors."""
        return self.b.file_ranges + self.a.file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read the factors and multiply them expert by expert, in float32."""
        factors = self.factors(name, warn)
        return (factors.b.float() @ factors.a.float()) * factors.scale

    def factors(self, name: str, warn: Warn) -> LowRank:
        """Read the factors alone, each with an axis of experts before its own two."""
        b, a = self.b.read(f"{name} (B)", warn), self.a.read(f"{name} (A)", warn)
        by_expert = b.reshape(b.shape[0], -1, self.experts).permute(2, 0, 1)
        return LowRank(by_expert, a.reshape(self.experts, -1, a.shape[1]), self.scale)


def is_change_of_outputs(tensor: TensorSource) -> bool:
    """Whether a tensor is an adapter's change, [out, in] whatever its model keeps; of an embedding it is not."""
    return isinstance(tensor, LowRankStack) or (isinstance(tensor, LowRankTensor) and not tensor.transposed)
