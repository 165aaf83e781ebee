"""Memory that files are read into, used again while a run lasts. Knows no file.

The system takes up to three times as long to give out fresh pages as a read takes to fill them: 77 MB from the page
cache in 35 ms, and in 10 to 12 where the memory was used before.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.weights.tensors.source import allocate

if TYPE_CHECKING:
    import torch

LEAST = 1 << 18
"""Bytes from which memory is kept; of less, the C library keeps enough itself."""

MOST_KEPT = 1 << 28
"""Most bytes that are kept while nothing lies in them."""


def read_buffer(name: str, nbytes: int) -> torch.Tensor:
    """Return memory to read into, (nbytes,) uint8, uninitialised; name: of the tensor, for errors.

    It is used again only once no tensor that lies in it is left. Raises SpectraError where there is not enough.
    """
    if nbytes < LEAST or not _kept.runs:
        return allocate(name, (nbytes,), "uint8")
    import torch  # noqa: PLC0415

    memory = _kept.take(nbytes)
    if memory is None:
        memory = allocate(name, (nbytes,), "uint8").numpy()
    lent = memory[:nbytes]  # only the tensors refer to this view, so that its end is that of the last of them
    weakref.finalize(lent, _kept.give_back, memory).atexit = False
    return torch.from_numpy(lent)


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Keep memory that was read into while the block runs, for the next tensor of about that size."""
    _kept.begin()
    try:
        yield
    finally:
        _kept.end()


class _Kept:
    """Memory in which nothing lies, what was given back last at the end; runs: how many blocks run."""

    def __init__(self) -> None:
        self.runs = 0
        self._lock = RLock()  # a tensor may end while its thread is in here
        self._free: deque[NDArray[np.uint8]] = deque()

    def begin(self) -> None:
        with self._lock:
            self.runs += 1

    def end(self) -> None:
        with self._lock:
            self.runs -= 1
            if not self.runs:
                self._free.clear()

    def take(self, nbytes: int) -> NDArray[np.uint8] | None:
        """Return the smallest that is large enough, and not twice as large."""
        with self._lock:
            fitting = [at for at, memory in enumerate(self._free) if nbytes <= memory.size <= 2 * nbytes]
            if not fitting:
                return None
            at = min(fitting, key=lambda at: self._free[at].size)
            memory = self._free[at]
            del self._free[at]
            return memory

    def give_back(self, memory: NDArray[np.uint8]) -> None:
        """Keep it while a block runs, and in exchange no more of what was given back longest ago than there may be."""
        with self._lock:
            if self.runs:
                self._free.append(memory)
            while sum(each.size for each in self._free) > MOST_KEPT:
                self._free.popleft()


_kept = _Kept()
