"""Two routines of SciPy's BLAS and LAPACK, called in place: nothing is copied, and other threads run meanwhile.

`scipy.linalg.cython_blas` and `cython_lapack` export them as pointers for compiled code, and ctypes can call these. To
the same routines Python's own functions add: SciPy's hold the interpreter's lock, so that two threads take as long as
one after the other; NumPy's copy the matrix, and half of each product into its other half, and hold the lock where the
matrix is small. ms for two at once, on two cores of an AMD EPYC with AVX-512, by `benchmarks/kernels.py`:

|                             | 256  | 1024×768 | 1024×2048 |
| BᵀB here                    | 0.55 | 7.0      | 59        |
| NumPy's                     | 0.60 | 8.2      | 71        |
| SciPy's dsyrk               | 0.57 | 13.5     | 95        |
| SciPy's dgemm               | 0.81 | 24.9     | 171       |
| torch's (MKL)               | 0.86 | 20.4     | 170       |

|                             | 256  | 768      | 2048      |
| eigenvalues here, by dsyevd | 1.9  | 22.6     | 423       |
| NumPy's                     | 3.4  | 22.4     | 442       |
| SciPy's dsyevd              | 3.5  | 42.3     | 641       |
| SciPy's dsyevr              | 3.4  | 41.3     | 655       |
| torch's (MKL)               | 2.3  | 35.3     | 426       |
| OpenBLAS's dsyevd_2stage    | 2.8  | 27.6     | 367       |

The two-stage reduction would be faster from some 2,000 on, but no library offers it to be called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.budget import has_addresses_for

if TYPE_CHECKING:
    import torch

LOWER, NO, YES = b"L", b"N", b"T"

BUFFER = 34 << 20
"""Bytes that OpenBLAS maps for each call that runs at once, 32 MiB and a page, and some more. Where the system refuses
them it asks again for ever, so that they are asked for here first."""


def add_gram(gram: torch.Tensor, block: torch.Tensor, *, tall: bool) -> None:
    """Add BᵀB of a tall block, or BBᵀ, to a Gram matrix's lower triangle.

    gram: (n, n) float64, stored by columns. block: (k, n), or (n, k) where it is not tall, float64, stored by rows.

    >>> import torch
    >>> gram = torch.zeros(2, 2, dtype=torch.float64).T
    >>> add_gram(gram, torch.tensor([[1.0, 2.0]], dtype=torch.float64), tall=True)
    >>> gram
    tensor([[1., 0.],
            [2., 4.]], dtype=torch.float64)
    """
    side, steps = block.shape[::-1] if tall else block.shape
    n, k, width, unit = ctypes.c_int(side), ctypes.c_int(steps), ctypes.c_int(block.shape[1]), ctypes.c_double(1.0)
    dsyrk = _routine("cython_blas", "dsyrk", "cciidaidai")
    with _buffers.one_more():
        dsyrk(LOWER, NO if tall else YES, n, k, unit, block.data_ptr(), width, unit, gram.data_ptr(), n)


def eigenvalues(gram: torch.Tensor) -> NDArray[np.float64]:
    """Eigenvalues of a symmetric matrix, ascending, from its lower triangle, which is lost.

    gram: (n, n) float64 without NaN or Inf, stored by columns. Raises numpy.linalg.LinAlgError where LAPACK finds none.

    >>> import torch
    >>> eigenvalues(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    array([1., 3.])
    """
    size = gram.shape[0]
    values, n, info = np.empty(size), ctypes.c_int(size), ctypes.c_int()

    dsyevd = _routine("cython_lapack", "dsyevd", "cciaiaaiaii")

    def solve(work: NDArray[np.float64], length: int, integers: NDArray[np.int32], count: int) -> None:
        space = work.ctypes.data, ctypes.c_int(length), integers.ctypes.data, ctypes.c_int(count)
        with _buffers.one_more():
            dsyevd(NO, LOWER, n, gram.data_ptr(), n, values.ctypes.data, *space, info)

    needed, integers = np.empty(1), np.empty(1, dtype=np.int32)
    solve(needed, -1, integers, -1)
    length, count = int(needed[0]), int(integers[0])
    solve(np.empty(length), length, np.empty(count, dtype=np.int32), count)
    if info.value:
        raise np.linalg.LinAlgError(f"LAPACK found no eigenvalues of {size}×{size}: dsyevd gave {info.value}")
    return values


def grams_of_each(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gram matrices of the short sides of some matrices, (b, n, n); matrices: (b, rows, cols).

    >>> grams_of_each(np.array([[[3.0, 4.0]], [[1.0, 0.0]]]))
    array([[[25.]],
    <BLANKLINE>
           [[ 1.]]])
    """
    turned = matrices.transpose(0, 2, 1)
    with _numpys_buffers.one_more(), np.errstate(invalid="ignore", over="ignore"):
        return turned @ matrices if matrices.shape[1] >= matrices.shape[2] else matrices @ turned


def eigenvalues_of_each(grams: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvalues of some symmetric matrices, (b, n), ascending; grams: (b, n, n) without NaN or Inf."""
    with _numpys_buffers.one_more():
        return np.asarray(np.linalg.eigvalsh(grams, UPLO="L"), dtype=np.float64)


class _Buffers:
    """Counts the calls that run, and makes sure of room for another's buffer where OpenBLAS, which keeps what it has
    mapped, has none left."""

    def __init__(self) -> None:
        self.lock, self.running, self.most = Lock(), 0, 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Let one more call run. Raises MemoryError where the address space has a limit and no room for its buffer."""
        with self.lock:
            if self.running == self.most and not has_addresses_for(BUFFER):
                raise MemoryError("the work space of BLAS")
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            yield
        finally:
            with self.lock:
                self.running -= 1


_buffers, _numpys_buffers = _Buffers(), _Buffers()  # of SciPy's BLAS and of NumPy's, which may be another


@cache
def _routine(module: str, name: str, kinds: str) -> Callable[..., None]:
    """Return a routine from its capsule; kinds, of its parameters: c a character, i an int, d a double, a an array."""
    types: dict[str, Any] = {
        "c": ctypes.c_char_p,
        "i": ctypes.POINTER(ctypes.c_int),
        "d": ctypes.POINTER(ctypes.c_double),
        "a": ctypes.c_void_p,
    }
    capsule, python = import_module(f"scipy.linalg.{module}").__pyx_capi__[name], ctypes.pythonapi
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", python))
    pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", python))
    return ctypes.CFUNCTYPE(None, *(types[kind] for kind in kinds))(pointer_of(capsule, name_of(capsule)))
