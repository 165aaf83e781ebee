"""A tensor kept in chunks, as distributed checkpoints do, and one of the layers that such a tensor may stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.weights.files import SourceFile, opened
from spectra_cli.weights.formats.torch import read_single_tensor
from spectra_cli.weights.tensors.source import Warn, allocate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Chunk:
    """A box of a tensor, saved as an archive of its own: where it begins in the tensor, and its bytes in a file."""

    begin: tuple[int, ...]
    shape: tuple[int, ...]
    file: SourceFile
    start: int
    nbytes: int

    def read(self, name: str, dtype: str, warn: Warn) -> torch.Tensor:
        """Read the one tensor in the archive, which must have the dtype and this chunk's shape."""
        with opened(self.file) as descriptor:
            tensor = read_single_tensor(name, self.file, descriptor, self.start, self.nbytes, self.shape, dtype)
        return tensor.read(name, warn)


@dataclass(frozen=True)
class ChunkedTensor:
    """A tensor cut into boxes that cover it exactly."""

    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[Chunk, ...]

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The range of each chunk's archive."""
        return tuple(FileRange(chunk.file.path, chunk.start, chunk.nbytes) for chunk in self.chunks)

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Copy each chunk to its position."""
        whole = allocate(name, self.shape, self.dtype)
        for chunk in self.chunks:
            box = whole
            for axis, (begin, size) in enumerate(zip(chunk.begin, chunk.shape, strict=True)):
                box = box.narrow(axis, begin, size)
            box.copy_(chunk.read(name, self.dtype, warn))
        return whole


@dataclass(frozen=True)
class StackedLayer:
    """Layer `number` of the layers that a chunked tensor stacks along its first axis."""

    stack: ChunkedTensor
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one layer."""
        return self.stack.shape[1:]

    @property
    def dtype(self) -> str:
        """The stack's dtype."""
        return self.stack.dtype

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The range of each chunk that holds some of the layer."""
        return replace(self.stack, chunks=self._chunks).file_ranges

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read only those chunks that hold some of the layer, and return the layer."""
        first = min(chunk.begin[0] for chunk in self._chunks)
        last = max(chunk.begin[0] + chunk.shape[0] for chunk in self._chunks)
        moved = tuple(replace(chunk, begin=(chunk.begin[0] - first, *chunk.begin[1:])) for chunk in self._chunks)
        return ChunkedTensor((last - first, *self.shape), self.dtype, moved).read(name, warn)[self.number - first]

    @property
    def _chunks(self) -> tuple[Chunk, ...]:
        return tuple(c for c in self.stack.chunks if c.begin[0] <= self.number < c.begin[0] + c.shape[0])
