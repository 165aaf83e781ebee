"""Times every route to a Gram matrix, to its eigenvalues and to float64, in turn: why the scan takes its own.

`python benchmarks/kernels.py` prints milliseconds: the median of a route alone in one thread, and of two of it in two
threads at once, as the scan runs them. Two-stage reductions are called in NumPy's own OpenBLAS, which no library wraps.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, dsyrk
from speed import blas
from threadpoolctl import threadpool_info, threadpool_limits

from spectra_cli.svd.lapack import add_gram, eigenvalues

Array = NDArray[np.float64]
Route = Callable[[Array], object]


def two_stage(matrix: Array) -> Array:
    """Eigenvalues by LAPACK's dsyevd_2stage: dense to banded by matrix products, then to tridiagonal."""
    size = ctypes.c_int64(len(matrix))
    values, copy, info = np.empty(len(matrix)), matrix.copy(order="F"), ctypes.c_int64()

    def call(work: Array, length: int, whole: NDArray[np.int64], count: int) -> None:
        _dsyevd_2stage(
            b"N", b"L", ctypes.byref(size), copy.ctypes, ctypes.byref(size), values.ctypes, work.ctypes,
            ctypes.byref(ctypes.c_int64(length)), whole.ctypes, ctypes.byref(ctypes.c_int64(count)),
            ctypes.byref(info), 1, 1,
        )  # fmt: skip

    asked, whole = np.empty(1), np.empty(1, dtype=np.int64)
    call(asked, -1, whole, -1)
    call(np.empty(int(asked[0])), int(asked[0]), np.empty(int(whole[0]), dtype=np.int64), int(whole[0]))
    if info.value:
        raise np.linalg.LinAlgError(f"dsyevd_2stage gave {info.value}")
    return values


_numpy_blas = next(
    one["filepath"] for one in threadpool_info() if one["internal_api"] == "openblas" and "numpy" in one["filepath"]
)
_dsyevd_2stage = ctypes.CDLL(_numpy_blas).scipy_dsyevd_2stage_64_


def in_place(block: Array) -> None:
    """BᵀB as the scan takes it."""
    add_gram(torch.zeros((block.shape[1],) * 2, dtype=torch.float64).T, torch.from_numpy(block), tall=True)


GRAM: dict[str, Route] = {
    "here: SciPy's, in place": in_place,
    "NumPy BᵀB (dsyrk)": lambda block: block.T @ block,
    "SciPy dsyrk": lambda block: dsyrk(1.0, block.T),
    "SciPy dgemm": lambda block: dgemm(1.0, block.T, block.T, trans_b=True),
    "torch mm (MKL dgemm)": lambda block: torch.mm(torch.from_numpy(block).T, torch.from_numpy(block)),
}
EIGENVALUES: dict[str, Route] = {
    "here: SciPy's, and a copy": lambda gram: eigenvalues(torch.from_numpy(gram.copy()).T),
    "NumPy eigvalsh (dsyevd)": np.linalg.eigvalsh,
    "SciPy dsyevd": lambda gram: scipy.linalg.eigvalsh(gram, driver="evd"),
    "SciPy dsyevr": lambda gram: scipy.linalg.eigvalsh(gram, driver="evr"),
    "SciPy dsyev": lambda gram: scipy.linalg.eigvalsh(gram, driver="ev"),
    "OpenBLAS dsyevd_2stage": two_stage,
    "torch eigvalsh (MKL)": lambda gram: torch.linalg.eigvalsh(torch.from_numpy(gram)),
}
TO_FLOAT64: dict[str, Callable[[torch.Tensor], object]] = {
    "torch double()": torch.Tensor.double,
    "torch float().double()": lambda stored: stored.float().double(),
    "NumPy astype": lambda stored: stored.numpy().astype(np.float64),
}


def table(title: str, routes: dict[str, Callable[..., object]], inputs: Mapping[str, object], rounds: int) -> None:
    """Time each route on each input, alone and two at once, all in turn."""
    with threadpool_limits(1), ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        seconds: dict[tuple[str, str, int], list[float]] = {}
        for counted in range(rounds + 1):
            for label, given in inputs.items():
                for name, route in routes.items():
                    for many in (1, 2):
                        start = time.perf_counter()
                        list(pool.map(route, [given] * many))
                        if counted:
                            seconds.setdefault((name, label, many), []).append(time.perf_counter() - start)
    print(f"\n{title:<28}" + "".join(f"{label:>20}" for label in inputs))
    for name in routes:
        cells = [
            " ".join(f"{statistics.median(seconds[name, label, many]) * 1e3:.3g}" for many in (1, 2))
            for label in inputs
        ]
        print(f"{name:<28}" + "".join(f"{cell:>20}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    blocks = {f"{rows}×{cols}": random.standard_normal((rows, cols)) for rows, cols in BLOCKS}
    grams = {f"{size}×{size}": one.T @ one for size in SIZES for one in [random.standard_normal((2 * size, size))]}
    halves = {label: torch.from_numpy(block).half() for label, block in blocks.items()}
    print(f"milliseconds: one, and two at once; {blas()}")
    table("Gram", GRAM, blocks, asked.rounds)
    table("eigenvalues", EIGENVALUES, grams, asked.rounds)
    table("float16 to float64", TO_FLOAT64, halves, asked.rounds)


BLOCKS = ((256, 256), (1024, 768), (1024, 1024), (1024, 2048))
SIZES = (256, 768, 1024, 2048)

if __name__ == "__main__":
    main()
