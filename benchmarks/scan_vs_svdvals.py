"""Times a scan of one checkpoint against a loop of torch.linalg.svdvals over the same matrices, in turn, in one run.

`python benchmarks/scan_vs_svdvals.py` prints a table: medians with their range, ratios pair by pair, and the peak
memory of a scan of 1, 2 and 4 checkpoints, each in a process of its own. Start-up (imports) is excluded and shown.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from synthetic import matrices, write_checkpoint

from spectra_cli.scan import scan_checkpoints

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


def loop(stored: list[torch.Tensor], dtype: torch.dtype) -> None:
    torch.set_num_threads(2)
    for one in stored:
        torch.linalg.svdvals(one.to(dtype))


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
        for step in range(4):
            write_checkpoint(
                run / f"step{step}", layers=asked.layers, width=asked.width, tokens=asked.tokens, seed=step
            )
        stored = matrices(run / "step0")
        scans, singles = [], []
        for _ in range(asked.rounds):
            scans.append(timed(lambda: scan_checkpoints(run / "step0", Path(place) / "one.parquet")))
            singles.append(timed(lambda: loop(stored, torch.float32)))
        print(f"{len(stored)} matrices, {asked.layers} layers of width {asked.width}, {asked.tokens} tokens, fp16")
        print(row("spectra scan", scans))
        print(row("svdvals fp32, two threads", singles, scans))
        for count in (1, 2, 4):
            some = Path(place) / f"first{count}"
            some.mkdir()
            for step in range(count):
                (some / f"step{step}").symlink_to(run / f"step{step}")
            command = [sys.executable, "-c", PEAK, str(some), str(Path(place) / f"{count}.parquet")]
            start_up, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"peak memory, {count} checkpoints {float(peak):12.0f} MB   (start-up {float(start_up):.1f} s)")


if __name__ == "__main__":
    main()
