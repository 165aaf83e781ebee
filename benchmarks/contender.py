"""One contender of `speed.py`, in a process of its own: loads a checkpoint, then runs once for every line it is sent.

It prints the seconds of each run and those of its processors, and at the end of its input the peaks of its resident
memory and of its memory on the device in MB. Loading and imports are not in the seconds. Each contender has the
threading that was fastest for it on two cores. Those that take a device are given it by `gpu.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Work = Callable[[], object]


def scan(checkpoint: Path, device: str = "cpu", metrics: tuple[str, ...] | None = None) -> Work:
    """Run a scan, files and table included: one checkpoint, or a folder of them."""
    from spectra_cli.jobs.scan import scan_checkpoints

    folder = tempfile.TemporaryDirectory()  # removed when this process ends

    def work() -> None:  # anew each time: a finished table would be kept
        scan_checkpoints(checkpoint, Path(folder.name) / "one.parquet", device=device, metrics=metrics, restart=True)

    return work


def scan_of_two(checkpoint: Path) -> Work:
    """Run a scan that computes two metrics."""
    return scan(checkpoint, metrics=("spectral_norm", "stable_rank"))


def floor_of_one(checkpoint: Path) -> Work:
    """Run `floor` in one thread."""
    return floor(checkpoint, 1)


def floor(checkpoint: Path, threads: int | None = None) -> Work:
    """Run nothing but kernels, from RAM: float64 in blocks, AᵀA, its eigenvalues; one thread each, largest first.

    The fastest that `kernels.py` measures and Python can call beside one another. threads: as many as processors.
    """
    import torch
    from synthetic import matrices
    from threadpoolctl import threadpool_limits

    from spectra_cli.svd.lapack import add_gram
    from spectra_cli.svd.lapack import eigenvalues as of_gram

    stored = sorted(matrices(checkpoint), key=torch.numel, reverse=True)

    def eigenvalues(matrix: torch.Tensor) -> None:
        tall = matrix.shape[0] >= matrix.shape[1]
        gram = torch.zeros((min(matrix.shape),) * 2, dtype=torch.float64).T
        for start in range(0, max(matrix.shape), 1024):
            block = matrix[start : start + 1024] if tall else matrix[:, start : start + 1024]
            add_gram(gram, block.float().double().contiguous(), tall=tall)
        of_gram(gram)

    def work() -> None:
        with threadpool_limits(1), ThreadPoolExecutor(threads or os.cpu_count(), initializer=_one_thread) as pool:
            list(pool.map(eigenvalues, stored))

    return work


def floor_and_comparisons(checkpoint: Path) -> Work:
    """Run the bare kernels and, from RAM, bare comparisons of every matrix with two others; one thread each."""
    import torch
    from synthetic import matrices
    from threadpoolctl import threadpool_limits

    from spectra_cli.svd import compare_each

    kernels = floor(checkpoint)
    triples = [(one, [one + 1, one + 2]) for one in sorted(matrices(checkpoint), key=torch.numel, reverse=True)]

    def work() -> None:
        kernels()
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count(), initializer=_one_thread) as pool:
            list(pool.map(compare_each, *zip(*triples, strict=True)))

    return work


def floor_of_small(checkpoint: Path) -> Work:
    """Run nothing but kernels on small matrices of one shape, from RAM, by a call of NumPy's for some at once."""
    import numpy as np
    import torch
    from synthetic import matrices
    from threadpoolctl import threadpool_limits

    stored = matrices(checkpoint)
    stacks = [stored[start : start + TOGETHER_SMALL] for start in range(0, len(stored), TOGETHER_SMALL)]

    def eigenvalues(some: list[torch.Tensor]) -> None:
        stack = torch.stack(some).float().double().numpy()
        turned = stack.transpose(0, 2, 1)
        np.linalg.eigvalsh(turned @ stack if stack.shape[1] >= stack.shape[2] else stack @ turned)

    def work() -> None:
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count(), initializer=_one_thread) as pool:
            list(pool.map(eigenvalues, stacks))

    return work


TOGETHER_SMALL = 170
"""Matrices of 64×96 that are 8 MB in float64, as in the scan."""


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


TOGETHER = 16
"""Matrices of one shape that `gpu_floor` gives to a kernel at once."""


def gpu_floor(checkpoint: Path, device: str) -> Work:
    """Run nothing but kernels on a device, from RAM: copy, AᵀA and eigvalsh in float64, some of one shape at once."""
    from itertools import groupby

    import torch
    from synthetic import matrices

    stored = sorted(matrices(checkpoint), key=lambda one: (-one.numel(), *one.shape))
    shapes = [list(alike) for _, alike in groupby(stored, key=lambda one: one.shape)]
    groups = [alike[start : start + TOGETHER] for alike in shapes for start in range(0, len(alike), TOGETHER)]

    def work() -> None:
        for some in groups:
            there = torch.stack(some).to(device)
            tall = there if there.shape[1] >= there.shape[2] else there.mT
            gram = torch.zeros(len(some), tall.shape[2], tall.shape[2], dtype=torch.float64, device=device)
            for start in range(0, tall.shape[1], 1024):
                block = tall[:, start : start + 1024].double()
                gram.baddbmm_(block.mT, block)
            torch.linalg.eigvalsh(gram)
        torch.get_device_module(device).synchronize()

    return work


def _svdvals(checkpoint: Path, name: str, threads: int, device: str) -> Work:
    import torch
    from synthetic import matrices

    stored, dtype = matrices(checkpoint), getattr(torch, name)

    def work() -> None:
        torch.set_num_threads(threads)
        for one in stored:
            torch.linalg.svdvals(one.to(device).to(dtype))
        torch.get_device_module(device).synchronize()

    return work


def svdvals32(checkpoint: Path, device: str = "cpu") -> Work:
    """Loop over torch.linalg.svdvals in float32, two threads."""
    return _svdvals(checkpoint, "float32", 2, device)


def svdvals64(checkpoint: Path, device: str = "cpu") -> Work:
    """Loop over torch.linalg.svdvals in float64, which alone is as accurate, two threads."""
    return _svdvals(checkpoint, "float64", 2, device)


def weightwatcher(checkpoint: Path) -> Work:
    """Run WeightWatcher's analyze() with its defaults on the stored matrices, as linear layers."""
    import logging

    import torch
    import weightwatcher as ww
    from safetensors.torch import load_file

    logging.disable(logging.WARNING)
    model = torch.nn.Sequential()
    for name, stored in load_file(checkpoint / "model.safetensors").items():
        layer = torch.nn.Linear(stored.shape[1], stored.shape[0], bias=False)
        layer.weight = torch.nn.Parameter(stored.float(), requires_grad=False)
        model.add_module(name.replace(".", "_"), layer)
    return lambda: ww.WeightWatcher(model=model).analyze()


def diffract(checkpoint: Path) -> Work:
    """Run diffract on the same matrices, q, k and v apart, in float32: norms, ranks and the power law's fit."""
    import numpy as np
    from diffract import Session
    from safetensors.numpy import load_file

    stored: dict[str, np.ndarray] = {}
    for name, one in load_file(checkpoint / "model.safetensors").items():
        if "query_key_value" not in name:
            stored[name] = one.astype(np.float32)
            continue
        width = one.shape[1]
        heads = one.reshape(width // 64, 3, 64, width).astype(np.float32)
        stored |= {f"{name}.{part}": heads[:, part].reshape(width, width) for part in range(3)}

    def work() -> None:
        with Session(profile="ram") as session:
            session.models.add(stored, model_id="one")
            session.compute.apply(*DIFFRACT)

    return work


DIFFRACT = ("frob_norm", "nuclear_norm", "l2_norm", "stable_rank", "effective_rank", "pl_alpha_weighted")


def main() -> None:
    """Serve one contender: NAME CHECKPOINT [DEVICE]."""
    name, checkpoint, *device = sys.argv[1:]
    told, sys.stdout = sys.stdout, sys.stderr
    work = globals()[name](Path(checkpoint), *device)
    print("ready", file=told, flush=True)
    for _ in sys.stdin:
        start, used = time.perf_counter(), time.process_time()
        work()
        print(time.perf_counter() - start, time.process_time() - used, file=told, flush=True)
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(peak / 1024, _device_peak(*device), file=told, flush=True)


def _device_peak(device: str = "cpu") -> float:
    import torch

    return 0.0 if device.startswith("cpu") else torch.get_device_module(device).max_memory_allocated(device) / 1e6


if __name__ == "__main__":
    main()
