"""Times a scan of one checkpoint against bare kernels over the same matrices from RAM, in turn, in one run.

The kernels: a loop of torch.linalg.svdvals in fp32 with two threads, and the floor, which is what the scan itself
cannot do without: a float64 copy, NumPy's AᵀA and eigvalsh, the largest first, one thread each on every core.

`python benchmarks/scan_vs_svdvals.py` prints a table: medians with their range, ratios pair by pair, and the peak
memory of a scan of 1, 3, 6 and 12 checkpoints, each in a process of its own. Start-up (imports) is excluded and shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from synthetic import matrices, write_checkpoint
from threadpoolctl import threadpool_limits

from spectra_cli.scan import scan_checkpoints

PEAK_OF_LOOP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import scan_vs_svdvals as bench, synthetic
getattr(bench, sys.argv[2])(synthetic.matrices(Path(sys.argv[3])))
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""
PEAK = """
import sys, time
start = time.perf_counter()
from spectra_cli.scan import scan_checkpoints
import torch
print(time.perf_counter() - start)
scan_checkpoints(sys.argv[1], sys.argv[2])
# not ru_maxrss, which a child process inherits from the one that started it
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def svdvals(stored: list[torch.Tensor]) -> None:
    torch.set_num_threads(2)
    for one in stored:
        torch.linalg.svdvals(one.float())


def floor(stored: list[torch.Tensor]) -> None:
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        list(pool.map(gram_eigenvalues, sorted(stored, key=torch.numel, reverse=True)))


def gram_eigenvalues(stored: torch.Tensor) -> None:
    tall = stored if stored.shape[0] >= stored.shape[1] else stored.T
    copy = tall.float().double().numpy()
    np.linalg.eigvalsh(copy.T @ copy)


def row(name: str, seconds: list[float], against: list[float] | None = None) -> str:
    text = f"{name:<28} {statistics.median(seconds):7.2f} s  ({min(seconds):.2f} … {max(seconds):.2f})"
    if against is None:
        return text
    ratios = [theirs / ours for ours, theirs in zip(against, seconds, strict=True)]
    return f"{text}   scan is {statistics.median(ratios):.2f}× as fast ({min(ratios):.2f} … {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--tokens", type=int, default=50304)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        for step in range(12):
            write_checkpoint(
                run / f"step{step}", layers=asked.layers, width=asked.width, tokens=asked.tokens, seed=step
            )
        stored = matrices(run / "step0")
        scans, singles, floors = [], [], []
        for _ in range(asked.rounds):
            scans.append(timed(lambda: scan_checkpoints(run / "step0", Path(place) / "one.parquet")))
            floors.append(timed(lambda: floor(stored)))
            singles.append(timed(lambda: svdvals(stored)))
        print(f"{len(stored)} matrices, {asked.layers} layers of width {asked.width}, {asked.tokens} tokens, fp16")
        print(row("spectra scan", scans))
        print(row("floor: bare kernels", floors, scans))
        print(row("svdvals fp32, two threads", singles, scans))
        for name in ("floor", "svdvals"):
            command = [sys.executable, "-c", PEAK_OF_LOOP, str(Path(__file__).parent), name, str(run / "step0")]
            peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"peak memory, {name:<13} {float(peak):12.0f} MB   (the checkpoint in memory)")
        for count in (1, 3, 6, 12):
            some = Path(place) / f"first{count}"
            some.mkdir()
            for step in range(count):
                (some / f"step{step}").symlink_to(run / f"step{step}")
            command = [sys.executable, "-c", PEAK, str(some), str(Path(place) / f"{count}.parquet")]
            start_up, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"peak memory, {count} checkpoints {float(peak):12.0f} MB   (start-up {float(start_up):.1f} s)")


if __name__ == "__main__":
    main()
