"""Where the data of a tensor lie in a file, and reading them into memory. Knows files, no weight format."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import ITEMSIZE
from spectra_cli.weights.files import SourceFile, fill, opened

if TYPE_CHECKING:
    import torch

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Extent:
    """One tensor's data: `nbytes` at `offset` of a file; stride in elements, None where it is row by row.

    crc: the CRC-32 that the file states for exactly these bytes, None where it states none.
    """

    file: SourceFile
    offset: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: str
    stride: tuple[int, ...] | None = None
    crc: int | None = None


def span(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Count the elements from a tensor's first to its last, both included.

    >>> span((2, 3), (3, 1)), span((2, 3), (1, 2)), span((1000, 1000), (0, 0)), span((0, 5), (5, 1))
    (6, 6, 1, 0)
    """
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def row_by_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the strides of a tensor stored row by row.

    >>> row_by_row((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def read_extent(name: str, extent: Extent, warn: Warn) -> torch.Tensor:
    """Read one tensor in its stored dtype, into memory of its own.

    warn: told when the data do not match the checksum beside them.
    """
    import torch  # noqa: PLC0415 -- headers are read without it; importing it takes a second

    buffer = empty(name, (extent.nbytes,), "uint8")
    view = memoryview(buffer.numpy().data)
    with opened(extent.file) as descriptor:
        fill(descriptor, view, extent.offset, extent.file)
    if extent.crc is not None and zlib.crc32(view) != extent.crc:
        warn(f"{printable(name)} of {extent.file} does not match the checksum stored beside it")
    flat = buffer.view(getattr(torch, extent.dtype))
    return flat.as_strided(extent.shape, extent.stride or row_by_row(extent.shape))


def empty(name: str, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Take memory for a tensor, SpectraError where there is not enough."""
    import torch  # noqa: PLC0415

    try:
        return torch.empty(shape, dtype=getattr(torch, dtype))
    except (RuntimeError, MemoryError):
        size = math.prod(shape) * ITEMSIZE[dtype]
        raise SpectraError(
            f"{printable(name)} needs {size:,} bytes of memory, more than can be had",
            hint="free some memory, or leave this matrix out with --match",
        ) from None
