"""What one spectrum costs: operations, memory, and the rate of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from spectra_cli.svd.decomposition import spectrum
from spectra_cli.svd.rules import merges

SAMPLE = (768, 1536)  # rows and columns of what rates are measured on


def gigaflops(rows: int, cols: int) -> float:
    """Cost of one spectrum in 10⁹ floating-point operations: m·n² for the Gram and 4/3·n³ for its eigenvalues, n ≤ m.

    >>> gigaflops(1000, 3000)
    4.333333333333333
    """
    return product_gigaflops(rows, cols) + eigenvalue_gigaflops(rows, cols)


def product_gigaflops(rows: int, cols: int) -> float:
    """Return the part of `gigaflops` that the Gram matrix takes.

    >>> product_gigaflops(1000, 3000)
    3.0
    """
    short, long = sorted((rows, cols))
    return long * short**2 / 1e9


def eigenvalue_gigaflops(rows: int, cols: int) -> float:
    """Return the part of `gigaflops` that the eigenvalues take.

    >>> eigenvalue_gigaflops(1000, 3000)
    1.3333333333333333
    """
    return 4 / 3 * min(rows, cols) ** 3 / 1e9


def working_bytes(rows: int, cols: int) -> int:
    """Upper bound on the bytes that one spectrum takes beside the stored matrix, for the SVD, which takes most.

    R, a block, both stacked and a copy of them in the QR, and one R for each level of merges that waits; 16 MB are for
    the buffers that BLAS keeps for each thread.

    >>> round(working_bytes(50304, 768) / 1e6)
    84
    """
    short, long = sorted((rows, cols))
    block = min(long, max(1024, short))
    waiting = merges(-(-long // max(1, block)))
    return 8 * short * ((3 + waiting) * short + 4 * block) + (16 << 20)


def calibrate(device: str, seconds: float = 1.0) -> float:
    """Measure the rate of `spectrum` in one thread of this machine in GFLOP/s, as `gigaflops` counts them.

    seconds: about how long to measure.
    """
    import torch

    sample = torch.randn(SAMPLE, generator=torch.Generator().manual_seed(0)).to(torch.float16)
    return gigaflops(*SAMPLE) * _per_second(lambda: spectrum(sample, device=device), seconds)


def _per_second(work: Callable[[], object], seconds: float) -> float:
    """Return how often a second one thread does some work."""
    from threadpoolctl import threadpool_limits

    work()  # loads every BLAS, to be bound
    with threadpool_limits(limits=1):
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            work()
            count += 1
    return count / (time.perf_counter() - start)
