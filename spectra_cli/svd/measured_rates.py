"""Measures the rates of `rates`: of this machine's processor, or of a device."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.svd.batches import grams_on_device
from spectra_cli.svd.cost import eigenvalue_gigaflops, product_gigaflops
from spectra_cli.svd.devices import is_cpu
from spectra_cli.svd.lapack import eigenvalues, eigenvalues_of_each
from spectra_cli.svd.rates import ASSUMED, MEASURED, Rates
from spectra_cli.svd.routes import batched, looped
from spectra_cli.svd.rules import gram_matrix

if TYPE_CHECKING:
    import torch

ENTRIES, MOST = 1 << 24, 16
"""Entries of the Gram matrices that are measured together, and their number, at most."""

FEW = 2
"""How many of them have their eigenvalues one by one."""

SMALLEST, GUESS = 16, 1.0
"""Side from which anything is measured, and GFLOP/s that the first sample is taken to have."""

Steps = dict[str, tuple[Callable[[], object], float]]
"""Each step of a spectrum, and the GFLOP, or GB, of all that it does."""


def rates_of(device: str, sides: Iterable[int], seconds: float) -> tuple[Rates, ...]:
    """Return what is known of a device, or with `cpu` of one processor: rows that ship, else those measured now.

    sides: those that are asked for. seconds: what measuring may take; nothing is measured where a sample would take
    longer. The same question is answered without measuring again. A processor of which nothing is known is taken for
    one of those that ship.
    """
    name = name_of(device)
    known = tuple(row for row in MEASURED if row.device == name) or _measured(device, frozenset(sides), seconds)
    return known or (ASSUMED if device == "cpu" else ())


@cache
def _measured(device: str, sides: frozenset[int], seconds: float) -> tuple[Rates, ...]:
    """Measure quarters and halves of the sides too, the smallest first: each tells what the next will take."""
    parts = sorted({side // part for side in sides for part in (4, 2, 1) if side // part >= SMALLEST})
    if not parts or _sample_gigaflops(parts[0]) / GUESS > seconds:
        return ()
    measure_rates(device, SMALLEST)  # so that libraries are loaded, as they have to be anyway
    rows, rate, begun = [], GUESS, time.perf_counter()
    for side in parts:
        started, work = time.perf_counter(), _sample_gigaflops(side)
        if started - begun + work / rate > seconds:
            break
        rows.append(measure_rates(device, side))
        rate = work / (time.perf_counter() - started)
    return tuple(rows)


def measure_rates(device: str, side: int, rounds: int = 1) -> Rates:
    """Measure a device, or with `cpu` one processor, at some matrices of side × 2·side in float16.

    rounds: of each step, after one that does not count; the fastest counts. Of a processor its own time is taken, which
    others that use it do not lengthen. Rates have three digits.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        steps = _of_processor(side) if device == "cpu" else _of_device(device, side)
        rates = {name: float(f"{work / _seconds(step, device, rounds):.3g}") for name, (step, work) in steps.items()}
    return Rates(name_of(device), side, **rates)


@cache
def name_of(device: str) -> str:
    """Return the name by which a device's rates are known; of `cpu` that of this machine's processors."""
    if device == "cpu":
        return _processor()
    if is_cpu(device):
        return f"torch on {_processor()}"
    import torch

    return str(torch.get_device_module(device).get_device_name(device))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _of_device(device: str, side: int) -> Steps:
    stored = _sample(side).to(device)
    grams = grams_on_device(stored, [0] * len(stored))
    few, values = grams[:FEW], eigenvalue_gigaflops(side, side)
    return {
        "gram": (partial(grams_on_device, stored, [0] * len(stored)), len(stored) * product_gigaflops(side, 2 * side)),
        "batched": (partial(batched, grams), len(grams) * values),
        "looped": (partial(looped, few), len(few) * values),
        "fetched": (few.cpu, few.numel() * 8e-9),
    }


def _of_processor(side: int) -> Steps:
    stored = _sample(side)
    grams = [gram_matrix(matrix, 0) for matrix in stored]
    few, stacked = grams[:FEW], np.stack([gram.numpy() for gram in grams])
    values = eigenvalue_gigaflops(side, side)
    return {
        "gram": (
            lambda: [gram_matrix(matrix, 0) for matrix in stored],
            len(stored) * product_gigaflops(side, 2 * side),
        ),
        "batched": (partial(eigenvalues_of_each, stacked), len(grams) * values),
        "looped": (lambda: [eigenvalues(gram.clone()) for gram in few], len(few) * values),
    }


def _seconds(step: Callable[[], object], device: str, rounds: int) -> float:
    import torch

    module, seconds = torch.get_device_module(device), []
    clock = time.thread_time if device == "cpu" else time.perf_counter
    for _ in range(1 + rounds):
        module.synchronize()
        begun = clock()
        step()
        module.synchronize()
        seconds.append(clock() - begun)
    return min(seconds[1:])


def _sample(side: int) -> torch.Tensor:
    """Return some matrices of side × 2·side, (b, side, 2·side) in float16."""
    import torch

    return torch.randn(_count(side), side, 2 * side, generator=torch.Generator().manual_seed(0)).half()


def _count(side: int) -> int:
    """Return how many matrices a sample has."""
    return max(1, min(MOST, ENTRIES // side**2))


def _sample_gigaflops(side: int) -> float:
    """Return what `measure_rates` does of arithmetic, and to make its sample."""
    count, values = _count(side), eigenvalue_gigaflops(side, side)
    return 2 * (count * (product_gigaflops(side, 2 * side) + values) + min(count, FEW) * values)
