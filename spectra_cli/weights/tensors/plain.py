"""A tensor whose elements are one range of one file. Knows files, no weight format."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spectra_cli.errors import printable
from spectra_cli.records import ITEMSIZE, FileRange
from spectra_cli.weights.files import SourceFile, fill, opened
from spectra_cli.weights.tensors.source import Warn, read_buffer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PlainTensor:
    """A tensor in `nbytes` bytes of a file from `start` on; stride in elements, None where it is stored row by row.

    crc: the CRC-32 that the file states for exactly these bytes, None where it states none.
    """

    file: SourceFile
    start: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: str
    stride: tuple[int, ...] | None = None
    crc: int | None = None

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """The one range that it fills."""
        return (FileRange(self.file.path, self.start, self.nbytes),)

    def elements(self, start: int, stop: int) -> PlainTensor | None:
        """Return the elements from start to stop as a tensor of one axis; None where it is not stored row by row."""
        size, length = ITEMSIZE[self.dtype], math.prod(self.shape)
        if self.stride is not None or length * size != self.nbytes:
            return None
        crc = self.crc if (start, stop) == (0, length) else None
        return replace(
            self, start=self.start + start * size, nbytes=(stop - start) * size, shape=(stop - start,), crc=crc
        )

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read it in its stored dtype; warn where the data do not match the checksum beside them."""
        buffer = read_buffer(name, self.nbytes)
        with opened(self.file) as descriptor:
            fill(descriptor, memoryview(buffer.numpy().data), self.start, self.file)
        return self.of_bytes(buffer, name, warn)

    def of_bytes(self, data: torch.Tensor, name: str, warn: Warn) -> torch.Tensor:
        """Return the tensor that these bytes of the file are, in the same memory where they may lie as they do."""
        import torch  # noqa: PLC0415 -- headers are read without it; importing it takes a second

        if self.crc is not None and zlib.crc32(memoryview(data.numpy().data)) != self.crc:
            warn(f"{printable(name)} of {self.file} does not match the checksum stored beside it")
        aligned = data if data.storage_offset() % ITEMSIZE[self.dtype] == 0 else data.clone()
        flat = aligned.view(getattr(torch, self.dtype))
        tensor = flat.as_strided(self.shape, self.stride or row_by_row(self.shape), flat.storage_offset())
        # A view of repeated entries becomes a tensor of its own, which may be multiplied in place.
        return tensor.contiguous() if tensor.numel() > flat.numel() else tensor


def extent(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Count the elements from a tensor's first to its last, both included.

    >>> extent((2, 3), (3, 1)), extent((2, 3), (1, 2)), extent((1000, 1000), (0, 0)), extent((0, 5), (5, 1))
    (6, 6, 1, 0)
    """
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def row_by_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a tensor stored row by row.

    >>> row_by_row((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
