"""One contender of `speed.py`, in a process of its own: loads a checkpoint, then runs once for every line it is sent.

It prints the seconds of each run, and at the end of its input the peak of its resident memory in MB. Loading and
imports are not in the seconds. Each contender has the threading that was fastest for it on two cores.
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


def scan(checkpoint: Path) -> Work:
    """Run a scan, files and table included: one checkpoint, or a folder of them."""
    from spectra_cli.scan import scan_checkpoints

    folder = tempfile.TemporaryDirectory()  # removed when this process ends
    return lambda: scan_checkpoints(checkpoint, Path(folder.name) / "one.parquet")


def floor(checkpoint: Path) -> Work:
    """Run nothing but kernels, from RAM: float64 in blocks, NumPy's AᵀA, eigvalsh; one thread each, largest first."""
    import numpy as np
    import torch
    from synthetic import matrices
    from threadpoolctl import threadpool_limits

    stored = sorted(matrices(checkpoint), key=torch.numel, reverse=True)

    def eigenvalues(matrix: torch.Tensor) -> None:
        tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
        gram = np.zeros((tall.shape[1], tall.shape[1]))
        for start in range(0, tall.shape[0], 1024):
            block = tall[start : start + 1024].float().double().numpy()
            gram += block.T @ block
        np.linalg.eigvalsh(gram)

    def work() -> None:
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count(), _one_thread) as pool:
            list(pool.map(eigenvalues, stored))

    return work


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _svdvals(checkpoint: Path, name: str, threads: int) -> Work:
    import torch
    from synthetic import matrices

    stored, dtype = matrices(checkpoint), getattr(torch, name)

    def work() -> None:
        torch.set_num_threads(threads)
        for one in stored:
            torch.linalg.svdvals(one.to(dtype))

    return work


def svdvals32(checkpoint: Path) -> Work:
    """Loop over torch.linalg.svdvals in float32, two threads."""
    return _svdvals(checkpoint, "float32", 2)


def svdvals64(checkpoint: Path) -> Work:
    """Loop over torch.linalg.svdvals in float64, which alone is as accurate, two threads."""
    return _svdvals(checkpoint, "float64", 2)


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
    """Serve one contender: NAME CHECKPOINT."""
    name, checkpoint = sys.argv[1], Path(sys.argv[2])
    told, sys.stdout = sys.stdout, sys.stderr
    work = globals()[name](checkpoint)
    print("ready", file=told, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, file=told, flush=True)
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(peak / 1024, file=told, flush=True)


if __name__ == "__main__":
    main()
