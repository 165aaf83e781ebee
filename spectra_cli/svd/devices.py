"""Where spectra can be computed."""

from __future__ import annotations

import os
import sys

from spectra_cli.budget import has_addresses_for
from spectra_cli.errors import SpectraError

KINDS = ("cpu", "cuda", "mps", "xpu")
ADDRESSES = 1 << 30  # bytes of them that torch, its threads and BLAS take before the first matrix


def choose_device(name: str) -> str:
    """Return the device to compute on: `auto` is a GPU that has float64 where there is one, else the CPU.

    name: auto, cpu, cuda, cuda:1, mps, xpu. Raises SpectraError (exit code 2) where it is no such name, or where
    torch does not find it, and where a limit of addresses leaves too few for torch, which dies of it.

    >>> choose_device("cpu")
    'cpu'
    """
    kind, colon, index = name.partition(":")
    if kind not in (*KINDS, "auto") or (colon and not (kind in ("cuda", "xpu") and index.isdecimal())):
        raise SpectraError(f"{name} is not a device", hint="use auto, cpu, cuda, cuda:N, mps or xpu", code=2)
    if "torch" not in sys.modules and not has_addresses_for(ADDRESSES):
        hint = "raise the limit on memory (ulimit -v) to 1.5 GB or more"
        raise SpectraError("there are not enough addresses left to load torch", hint=hint)
    if kind == "cpu":
        return kind
    if kind == "auto":
        return next((device for device in ("cuda", "xpu") if _count(device) and computes_on(device) == device), "cpu")
    if _count(kind) <= int(index or 0):
        raise SpectraError(f"torch finds no device {name} here", hint="use --device auto or --device cpu", code=2)
    return name


def each_of(device: str) -> tuple[str, ...]:
    """Return the devices that share the work of spectra: of a kind without a number, each that torch finds.

    >>> each_of("cuda:1"), each_of("cpu:0,cpu:1")
    (('cuda:1',), ('cpu:0', 'cpu:1'))
    """
    if device in ("cuda", "xpu"):
        return tuple(f"{device}:{index}" for index in range(_count(device)))
    return tuple(device.split(","))


def current_of(device: str) -> str:
    """Return the one of a kind that this process works on, for what is to leave the others alone.

    >>> current_of("cpu"), current_of("cuda:1")
    ('cpu', 'cuda:1')
    """
    if device not in ("cuda", "xpu"):
        return device
    import torch

    return f"{device}:{torch.get_device_module(device).current_device()}"


def _count(kind: str) -> int:
    """Count the devices of one kind that torch finds."""
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = torch.cuda if kind == "cuda" else torch.xpu
    return module.device_count() if module.is_available() else 0


def computes_on(device: str) -> str:
    """Return the device that does the arithmetic: the CPU in place of one that has no float64, as no mps and some xpu.

    In float32 no rule reaches the error bounds (see `batches`), so that there the CPU is the only route.

    >>> computes_on("mps"), computes_on("cuda:1")
    ('cpu', 'cuda:1')
    """
    return device if _has_float64(device) else "cpu"


def _has_float64(device: str) -> bool:
    kind, _, index = device.partition(":")
    if kind == "xpu":
        import torch

        return bool(torch.xpu.get_device_properties(int(index or 0)).has_fp64)
    return kind != "mps"


def is_cpu(device: str) -> bool:
    """Whether a device, by torch's name for it, is the CPU.

    >>> is_cpu("cpu:0"), is_cpu("cuda")
    (True, False)
    """
    return device.partition(":")[0] == "cpu"


def free_bytes(device: str) -> int:
    """Bytes available on a device now: on a GPU what its driver calls free, and what torch holds unused."""
    import torch

    if is_cpu(device):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    module = torch.get_device_module(device)
    free: int = module.mem_get_info(device)[0]
    return free + int(module.memory_reserved(device)) - int(module.memory_allocated(device))


def describe(device: str) -> str:
    """Return how spectra are computed on a device, in a few words for the scan's headline.

    >>> describe("cpu")
    'fp64 Gram'
    """
    return "fp64 Gram" if computes_on(device) == device else f"fp64 Gram on the CPU, as {device} has no float64"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception is a refusal of memory: torch's own, and C++'s, are RuntimeErrors, recognised by their text.

    cuBLAS and cuSOLVER, which take memory of their own, say CUBLAS_STATUS_ALLOC_FAILED and the like.

    >>> [is_out_of_memory(error) for error in (MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("no shape"))]
    [True, True, False]
    """
    text = str(error)
    return isinstance(error, MemoryError) or any(
        words in text for words in ("can't allocate memory", "out of memory", "bad_alloc", "STATUS_ALLOC_FAILED")
    )
