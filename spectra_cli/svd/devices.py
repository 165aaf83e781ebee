"""Where spectra can be computed, and what one costs there."""

from __future__ import annotations

import time

from spectra_cli.errors import SpectraError

KINDS = ("cpu", "cuda", "mps", "xpu")


def choose_device(name: str) -> str:
    """Name the device to compute on: `auto` is a GPU that has float64 where there is one, else the CPU.

    name: auto, cpu, cuda, cuda:1, mps, xpu. Raises SpectraError (exit code 2) where it is no such name, or where
    torch does not find it.

    >>> choose_device("cpu")
    'cpu'
    """
    kind, colon, index = name.partition(":")
    if kind not in (*KINDS, "auto") or (colon and not (kind in ("cuda", "xpu") and index.isdecimal())):
        raise SpectraError(f"{name} is not a device", hint="use auto, cpu, cuda, cuda:N, mps or xpu", code=2)
    if kind == "cpu":
        return kind
    if kind == "auto":
        return next((device for device in ("cuda", "xpu") if _count(device)), "cpu")
    if _count(kind) <= int(index or 0):
        raise SpectraError(f"torch finds no device {name} here", hint="use --device auto or --device cpu", code=2)
    return name


def _count(kind: str) -> int:
    """Count the devices of one kind that torch finds."""
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = torch.cuda if kind == "cuda" else torch.xpu
    return module.device_count() if module.is_available() else 0


def computes_on(device: str) -> str:
    """Name the device that does the arithmetic: the CPU in place of mps, which has no float64.

    In float32 no rule reaches the error bounds, so for mps the most accurate route is the only one.

    >>> computes_on("mps"), computes_on("cuda:1")
    ('cpu', 'cuda:1')
    """
    return "cpu" if device == "mps" else device


def describe(device: str) -> str:
    """Say in a few words how spectra are computed on a device, for the scan's headline.

    >>> describe("cpu")
    'fp64 Gram'
    """
    return "fp64 Gram on the CPU, as mps has no float64" if device == "mps" else "fp64 Gram"


def gigaflops(rows: int, cols: int) -> float:
    """Cost of one spectrum in 10⁹ floating-point operations: m·n² for the Gram and 4/3·n³ for its eigenvalues, n ≤ m.

    >>> gigaflops(1000, 3000)
    4.333333333333333
    """
    short, long = sorted((rows, cols))
    return (long * short**2 + 4 / 3 * short**3) / 1e9


def working_bytes(rows: int, cols: int) -> int:
    """Upper bound on the bytes that one spectrum takes beside the stored matrix, for the SVD, which takes most.

    R, a block, both stacked and a copy of them in the QR; 16 MB are for the buffers that BLAS keeps for each thread.

    >>> round(working_bytes(50304, 768) / 1e6)
    56
    """
    short, long = sorted((rows, cols))
    block = min(long, max(1024, short))
    return 8 * short * (3 * short + 4 * block) + (16 << 20)


def calibrate(device: str, seconds: float = 1.0) -> float:
    """Measure the rate of `spectrum` in one thread of this machine in GFLOP/s, as `gigaflops` counts them.

    seconds: about how long to measure.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from spectra_cli.svd import spectrum

    sample = torch.randn(768, 1536, generator=torch.Generator().manual_seed(0)).to(torch.float16)
    with threadpool_limits(limits=1):
        spectrum(sample, device=device)
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            spectrum(sample, device=device)
            count += 1
    return count * gigaflops(*sample.shape) / (time.perf_counter() - start)


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an exception is a refusal of memory: torch's own are RuntimeErrors, told by their text on the CPU.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("a shape does not fit"))
    (True, False)
    """
    text = str(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text
