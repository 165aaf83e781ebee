"""Times a scan on a GPU against bare kernels there, and against the same scan on the CPU, in turn, in one run.

`python benchmarks/gpu.py --shape 1b` prints the table of `speed.py`, and beside it the peak of each contender's memory
on the GPU and its share of the GPU's float64 peak: operations as `svd.gigaflops` counts them, in a contender's median
time, over the rate of a float64 product of two square matrices that was measured just before.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from speed import HEADING, Contender, compete, described
from synthetic import SHAPES, matrices, write_checkpoint

from spectra_cli import svd

ON_THE_GPU = {"scan": "scan", "floor": "gpu_floor", "svdvals32": "svdvals32", "svdvals64": "svdvals64"}


def matmul_rate(device: str, side: int = 8192, seconds: float = 1.0) -> float:
    """GFLOP/s of the fastest of some float64 products of two square matrices, 2·side³ operations each."""
    one = torch.ones(side, side, dtype=torch.float64, device=device)
    module, fastest, begun = torch.get_device_module(device), float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds or fastest == float("inf"):
        module.synchronize()
        start = time.perf_counter()
        one @ one
        module.synchronize()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * side**3 / fastest / 1e9


def table(device: str, name: str, rounds: int, rate: float) -> None:
    """Print the table of one shape; rate: GFLOP/s that the device is held against."""
    with tempfile.TemporaryDirectory() as place:
        checkpoint = write_checkpoint(Path(place) / "run" / "step0", seed=0, **SHAPES[name])
        work = sum(svd.gigaflops(*one.shape) for one in matrices(checkpoint))

        def beside(one: Contender) -> str:
            share = work / statistics.median(one.seconds) / rate
            return f" {one.device_peak:9.0f} {share:8.2%}" if one is not on_cpu else f" {'':>9} {'':>8}"

        contenders = {label: Contender(other, checkpoint, device) for label, other in ON_THE_GPU.items()}
        on_cpu = contenders["scan on the CPU"] = Contender("scan", checkpoint)
        print(f"{described(name)}, {work:,.0f} GFLOP\n{HEADING} {'MB there':>9} {'of peak':>8}")
        compete(contenders, rounds, beside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="160m")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    device = svd.choose_device("auto")
    if device == "cpu":
        print("gpu.py: torch finds no GPU with float64 here", file=sys.stderr)
        print("  run it where there is one, or `python benchmarks/speed.py` for the CPU", file=sys.stderr)
        sys.exit(1)
    rate = matmul_rate(device)
    torch.get_device_module(device).empty_cache()
    print(f"{torch.get_device_module(device).get_device_name()}: {rate:,.0f} GFLOP/s in float64 products")
    table(device, asked.shape, asked.rounds, rate)


if __name__ == "__main__":
    main()
