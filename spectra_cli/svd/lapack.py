"""Three BLAS and LAPACK routines through SciPy's public pointers, called without the interpreter lock.

One thread each, AMD EPYC, SciPy 1.17 (OpenBLAS 0.3.30) and torch 2.13 (MKL 2024.2), seconds; `pair`: two at a time in
two threads, per pair:

| matrix    | dsyrk, pair   | torch gemm, pair | dsytrd + dsterf, pair | torch eigvalsh, pair |
|-----------|---------------|------------------|-----------------------|----------------------|
| 768×768   | 0.010, 0.011  | 0.019, 0.024     | 0.028, 0.029          | 0.047, 0.078         |
| 768×3072  | 0.038, 0.038  | 0.070, 0.083     | 0.028, 0.032          | 0.047, 0.081         |
| 2048×2048 | 0.17, 0.25    | 0.36, 0.40       | 0.47, 0.70            | 0.57, 1.52           |

SciPy's own wrappers of the same routines hold the lock, so that two threads gain nothing; dqds (`dlasq1`) in place of
dsterf, blocks of 16 to 128 and the other triangle make no difference. All arrays are contiguous float64.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    import torch

Routine = Callable[..., None]


@cache
def _routine(module: str, name: str, arguments: int) -> Routine:
    """Find a Fortran routine by the pointer that SciPy exports for Cython; all its arguments are pointers."""
    import scipy.linalg.cython_blas
    import scipy.linalg.cython_lapack
    from scipy import LowLevelCallable

    found = LowLevelCallable.from_cython(getattr(scipy.linalg, module), name)
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    pointer = address(found.function, found.signature.encode())
    if "int *" not in found.signature or found.signature.count(",") != arguments - 1:
        raise SpectraError(f"SciPy's {name} takes {found.signature}", hint="install the SciPy of constraints.txt")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(pointer)


def _int(value: int) -> object:
    return ctypes.byref(ctypes.c_int(value))


def _double(value: float) -> object:
    return ctypes.byref(ctypes.c_double(value))


def add_gram(gram: torch.Tensor, block: torch.Tensor, *, tall: bool) -> None:
    """Add BᵀB of a (k, n) block (tall) or BBᵀ of an (n, k) one to the one triangle of `gram` that is kept, (n, n)."""
    short = gram.shape[0]
    long = block.shape[0] if tall else block.shape[1]
    _routine("cython_blas", "dsyrk", 10)(
        b"U", b"N" if tall else b"T", _int(short), _int(long),
        _double(1.0), block.data_ptr(), _int(short if tall else long), _double(1.0), gram.data_ptr(), _int(short),
    )  # fmt: skip


def eigenvalues(gram: torch.Tensor) -> NDArray[np.float64]:
    """Eigenvalues of a symmetric matrix, ascending, from the triangle that `add_gram` fills; `gram` is overwritten."""
    size = gram.shape[0]
    diagonal, beside, factors = (np.empty(size) for _ in range(3))
    space, info = np.empty(32 * size), ctypes.c_int(0)
    _routine("cython_lapack", "dsytrd", 10)(
        b"U", _int(size), gram.data_ptr(), _int(size), diagonal.ctypes.data, beside.ctypes.data,
        factors.ctypes.data, space.ctypes.data, _int(space.size), ctypes.byref(info),
    )  # fmt: skip
    _routine("cython_lapack", "dsterf", 4)(
        _int(size), diagonal.ctypes.data, beside.ctypes.data, ctypes.byref(info)
    )  # fmt: skip
    if info.value:
        raise SpectraError("LAPACK's dsterf found no eigenvalues", hint="report the matrix: none is known to do this")
    return diagonal
