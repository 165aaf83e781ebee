"""What every kind of stored tensor has in common: a shape, a dtype, ranges of files, and a way to be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from spectra_cli.errors import printable
from spectra_cli.kept_memory import lent
from spectra_cli.records import ITEMSIZE, FileRange

if TYPE_CHECKING:
    import torch

Warn = Callable[[str], None]


class TensorSource(Protocol):
    """A tensor that can be read. dtype: torch's name of the type in which it is stored."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape once it is read."""

    @property
    def dtype(self) -> str:
        """Torch's name of the type in which it is stored, `float16`."""

    @property
    def file_ranges(self) -> tuple[FileRange, ...]:
        """Every range of a file that is read for it."""

    def read(self, name: str, warn: Warn) -> torch.Tensor:
        """Read it into memory of its own.

        name: what errors call it. warn: called with a text for each checksum that does not match. Raises SpectraError
        where a file does not allow it, and MemoryError where the memory does not.
        """


def allocate(name: str, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Return an uninitialised tensor; MemoryError, naming the tensor, where there is not enough memory."""
    import torch  # noqa: PLC0415

    try:
        return torch.empty(shape, dtype=getattr(torch, dtype))
    except (RuntimeError, MemoryError):
        size = math.prod(shape) * ITEMSIZE[dtype]
        raise MemoryError(f"{printable(name)}, {size:,} bytes") from None


def read_buffer(name: str, nbytes: int) -> torch.Tensor:
    """Return memory to read into, (nbytes,) uint8, uninitialised; name: of the tensor, for errors.

    Raises MemoryError where there is not enough.
    """
    return lent(nbytes, lambda: allocate(name, (nbytes,), "uint8"))
