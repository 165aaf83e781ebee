"""All that is to be measured on a machine with a GPU, in one run that needs no network and ends within some minutes.

`python benchmarks/gpu.py --minutes 8` runs the tests marked `gpu` (correctness against 50 digits and the CPU's own
path), and prints: the rate of float64 products; what each way to the eigenvalues takes by side (`gpu_routes.py`); for
each shape where the time of the kernels goes, and the table of `speed.py` with each contender's peak of memory on the
GPU and share of its float64 peak: operations as `svd.gigaflops` counts them, in a contender's median time, over the
rate of products. The rates that it prints are the rows of the table by which a scan chooses its routes, to be pasted
into `spectra_cli/svd/rates.py`. The last contender is the same scan on the processors alone. What there was no time for
is named. `--device cpu:0` runs it all on torch's CPU device, where its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from gpu_routes import ROUTES, compared, print_rates, timed
from speed import HEADING, Contender, compete, described
from synthetic import SHAPES, matrices, write_checkpoint

from spectra_cli import svd

KERNELS = {"floor": "gpu_floor", "svdvals32": "svdvals32", "svdvals64": "svdvals64"}
SIDES = ((64, 64), (256, 64), (768, 16), (1024, 16), (2048, 8), (4096, 2))
Section = tuple[str, Callable[[], None]]


def tests() -> None:
    """Run the tests that are marked `gpu`, and print their last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "-rs", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(*done.stdout.splitlines()[-1:], f"(exit code {done.returncode})")
    if done.returncode not in (0, 5):
        print(done.stdout, done.stderr)


def matmul_rate(device: str, side: int, seconds: float = 1.0) -> float:
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


def routes(device: str, sides: tuple[tuple[int, int], ...], rounds: int) -> None:
    """Print milliseconds a matrix and the error over its bound of each way to eigenvalues, by side.

    Marked: the fastest of those that keep the bound.
    """
    print(f"{'side × count':<14}" + "".join(f"{name:>20}" for name in ROUTES))
    for side, count in sides:
        found = list(compared(side, count, device, rounds))
        fastest = min((each for each in found if each[2] <= 1), key=lambda each: each[1], default=None)
        cells = (f"{ms:.3g} ms {error:.2g}{'*' if (name, ms, error) == fastest else ' '}" for name, ms, error in found)
        print(f"{f'{side} × {count}':<14}" + "".join(f"{cell:>20}" for cell in cells))


def _copy(one: torch.Tensor, device: str) -> torch.Tensor:
    return one.clone().to(device)


def parts(checkpoint: Path, device: str, rounds: int) -> None:
    """Print which share of the kernels' time is the copy, the Gram and the eigenvalues, each waited for."""
    taken = dict.fromkeys(("copy", "Gram", "eigenvalues"), 0.0)
    for one in matrices(checkpoint):
        there = one.to(device)
        tall = there if there.shape[0] >= there.shape[1] else there.mT

        def gram(tall: torch.Tensor = tall) -> torch.Tensor:
            summed = torch.zeros((tall.shape[1],) * 2, dtype=torch.float64, device=device)
            for start in range(0, len(tall), 1024):
                block = tall[start : start + 1024].double()
                summed.addmm_(block.mT, block)
            return summed

        taken["copy"] += timed(partial(_copy, one, device), device, rounds)
        taken["Gram"] += timed(gram, device, rounds)
        taken["eigenvalues"] += timed(partial(torch.linalg.eigvalsh, gram()), device, rounds)
    whole = sum(taken.values())
    print(
        f"{whole:.2f} s of kernels one by one:", ", ".join(f"{name} {each / whole:.0%}" for name, each in taken.items())
    )


def table(checkpoint: Path, device: str, rounds: int, rate: float) -> None:
    """Print the table of one shape; rate: GFLOP/s that the device is held against."""
    work = sum(svd.gigaflops(*one.shape) for one in matrices(checkpoint))

    def beside(one: Contender) -> str:
        share = work / statistics.median(one.seconds) / rate
        return f" {one.device_peak:9.0f} {share:8.2%}" if one is not on_cpu else f" {'':>9} {'':>8}"

    contenders = {label: Contender(other, checkpoint, device) for label, other in KERNELS.items()}
    contenders = {"scan": Contender("scan", checkpoint, device.replace("cpu:0", "cpu")), **contenders}
    on_cpu = contenders[f"scan, {os.cpu_count()} cores"] = Contender("scan", checkpoint)
    print(f"{work:,.0f} GFLOP\n{HEADING} {'MB there':>9} {'of peak':>8}")
    compete(contenders, rounds, beside)


def sections(asked: argparse.Namespace, device: str, place: Path) -> Iterator[Section]:
    """Yield what is measured, the most important first."""
    yield "tests", tests
    rate = matmul_rate(device, asked.side)
    print(f"{torch.__version__}, {device}: {rate:,.0f} GFLOP/s in float64 products of side {asked.side:,}")
    for number, shape in enumerate(asked.shapes):
        checkpoint = write_checkpoint(place / shape / "step0", seed=0, **SHAPES[shape])
        yield described(shape), partial(table, checkpoint, device, asked.rounds, rate)
        yield f"parts of {shape}", partial(parts, checkpoint, device, asked.rounds)
        if number == 0:
            sides = tuple((side, count) for side, count in SIDES if side <= asked.side)
            yield "ways to eigenvalues", partial(routes, device, sides, asked.rounds)
            for where in ("cpu", device):
                yield f"rates of {where}", partial(print_rates, where, [side for side, _ in sides])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["160m", "410m", "1b", "4096"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=8.0, help="nothing is begun after three quarters of them")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", type=int, default=8192, help="of the products that measure the peak")
    asked = parser.parse_args()
    device = svd.choose_device("auto") if asked.device == "auto" else asked.device
    if device == "cpu":
        print("gpu.py: torch finds no GPU with float64 here", file=sys.stderr)
        print("  run it where there is one, or `python benchmarks/speed.py` for the CPU", file=sys.stderr)
        sys.exit(1)
    device, begun = svd.each_of(device)[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        for name, measure in sections(asked, device, Path(place)):
            spent = time.perf_counter() - begun
            if spent > 0.75 * 60 * asked.minutes:
                print(f"not measured for want of time: {name}")
                continue
            print(f"\n{name} ({spent:.0f} s so far)", flush=True)
            measure()


if __name__ == "__main__":
    main()
