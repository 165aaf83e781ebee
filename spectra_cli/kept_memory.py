"""Memory that is used again while a run lasts: for what is read of files, and for what is computed of it.

The system takes up to three times as long to give out fresh pages as a read takes to fill them: 77 MB from the page
cache in 35 ms, and in 10 to 12 where the memory was used before. Knows neither files nor numbers.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

LEAST = 1 << 18
"""Bytes from which memory is kept; of less, the C library keeps enough itself."""

MOST_KEPT = 1 << 28
"""Most bytes that are kept while nothing lies in them."""

MOST_SCRATCH = 1 << 25
"""Bytes of memory to compute in up to which it is kept: the Gram matrix of a side of 2,048. With a larger one fresh
pages are nothing beside the operations."""


def lent(nbytes: int, fresh: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return memory, (nbytes,) uint8, uninitialised: some that is kept, or else what `fresh` returns.

    It is lent again only once no tensor that lies in it is left.
    """
    if nbytes < LEAST or not _kept.runs:
        return fresh()
    import torch

    memory = _kept.take(nbytes)
    if memory is None:
        memory = fresh().numpy()
    part = memory[:nbytes]  # only the tensors refer to this view, so that its end is that of the last of them
    weakref.finalize(part, _kept.give_back, memory).atexit = False
    return torch.from_numpy(part)


def scratch(count: int, dtype: torch.dtype) -> torch.Tensor:
    """Return memory to compute in, (count,), uninitialised.

    >>> import torch
    >>> scratch(3, torch.float64).shape
    torch.Size([3])
    """
    import torch

    nbytes = count * dtype.itemsize
    if nbytes > MOST_SCRATCH:
        return torch.empty(count, dtype=dtype)
    return lent(nbytes, lambda: torch.empty(nbytes, dtype=torch.uint8)).view(dtype)


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Keep memory that nobody needs any more while the block runs, for the next one who needs about as much."""
    _kept.begin()
    try:
        yield
    finally:
        _kept.end()


class _Kept:
    """Memory in which nothing lies, what was given back last at the end; runs: how many blocks run.

    A tensor may end at any time, also where its thread is in here: then what it lay in is put in order by the next.
    """

    def __init__(self) -> None:
        self.runs = 0
        self._lock = Lock()
        self._returned: deque[NDArray[np.uint8]] = deque()
        self._free: deque[NDArray[np.uint8]] = deque()

    def begin(self) -> None:
        with self._lock:
            self.runs += 1

    def end(self) -> None:
        with self._lock:
            self.runs -= 1
            if not self.runs:
                self._returned.clear()
                self._free.clear()

    def take(self, nbytes: int) -> NDArray[np.uint8] | None:
        """Return the smallest that is large enough, and not twice as large."""
        with self._lock:
            self._sort_in()
            fitting = [at for at, memory in enumerate(self._free) if nbytes <= memory.size <= 2 * nbytes]
            if not fitting:
                return None
            at = min(fitting, key=lambda at: self._free[at].size)
            memory = self._free[at]
            del self._free[at]
            return memory

    def give_back(self, memory: NDArray[np.uint8]) -> None:
        """Keep it while a block runs, and in exchange no more of what was given back longest ago than there may be."""
        if self.runs:
            self._returned.append(memory)
        if self._lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        while sum(each.size for each in self._free) > MOST_KEPT:
            self._free.popleft()


_kept = _Kept()
