"""Times a scan of one checkpoint against bare kernels and other tools on the same matrices, in turn, in one run.

`python benchmarks/speed.py --shape 160m` prints a table: medians with their range, and ratios round by round. Every
contender of `contender.py` is a process of its own that has loaded its input before the first round. Another tool
that wants an environment of its own is given one: `--tool weightwatcher=OTHER/bin/python`. `--trajectory` also times
scans of several checkpoints against one, with the memory that each needs, a run whose checkpoints repeat, and the bare
kernels and comparisons of one. `--small 20000` times so many matrices of 64×96 instead. Processor seconds say more than
seconds where others use the machine too.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from synthetic import SHAPES, write_checkpoint, write_experts

KERNELS = ("floor", "svdvals32", "svdvals64")
HEADING = f"{'':<22} {'seconds':<24} {'times the first’s':<22} {'processor’s, likewise':<22} {'MB':>6}"


def described(name: str) -> str:
    """Say what a shape is."""
    return "{0}: {layers} layers of width {width}, {tokens} tokens, fp16".format(name, **SHAPES[name])


def blas() -> str:
    """Say which OpenBLAS NumPy multiplies with, and for which processor it chose its kernels."""
    import numpy  # noqa: F401  loads it
    from threadpoolctl import threadpool_info

    one = next(one for one in threadpool_info() if one["internal_api"] == "openblas" and "numpy" in one["filepath"])
    return f"OpenBLAS {one['version']}, kernels for {one['architecture']}"


class Contender:
    """A running process that waits for its next round. device_peak: MB that it took on its device, once it ended."""

    def __init__(self, name: str, checkpoint: Path, *device: str, python: str = sys.executable) -> None:
        """Start it and wait until it has loaded its input."""
        command = [python, str(Path(__file__).with_name("contender.py")), name, str(checkpoint), *device]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.device_peak = 0.0
        if self.output.readline() != "ready\n":
            sys.exit(f"{name} could not start: see above")

    def round(self) -> None:
        """Let it run once."""
        self.input.write("go\n")
        self.input.flush()
        seconds, of_processors = map(float, self.output.readline().split())
        self.seconds.append(seconds)
        self.processor_seconds.append(of_processors)

    def peak(self) -> float:
        """Peak memory in MB; ends the process."""
        resident, self.device_peak = map(float, self.process.communicate()[0].split())
        return resident


def spread(numbers: list[float], form: str) -> str:
    low, middle, high = (format(f(numbers), form) for f in (min, statistics.median, max))
    return f"{middle} ({low} … {high})"


def compete(contenders: dict[str, Contender], rounds: int, beside: Callable[[Contender], str] = lambda _: "") -> None:
    """Run all in turn, some rounds, after one that is not counted; print the table, the first against all others.

    beside: what else to print of a contender that has ended.
    """
    for counted in range(rounds + 1):
        for one in contenders.values():
            one.round()
            if not counted:
                one.seconds.clear()
                one.processor_seconds.clear()
    first = next(iter(contenders.values()))
    for name, one in contenders.items():
        ratios = _ratios(one.seconds, first.seconds)
        of_processors = _ratios(one.processor_seconds, first.processor_seconds)
        columns = f"{name:<22} {spread(one.seconds, '.2f'):<24} {ratios:<22} {of_processors:<22}"
        print(f"{columns} {one.peak():6.0f}{beside(one)}")


def _ratios(seconds: list[float], others: list[float]) -> str:
    return spread([one / other for one, other in zip(seconds, others, strict=True)], ".2f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="160m")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", nargs="*", default=[], choices=KERNELS)
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--trajectory", action="store_true")
    parser.add_argument("--small", type=int, metavar="N")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if asked.small:
            small(write_experts(Path(place) / "experts", asked.small), asked.rounds)
            return
        run, shape = Path(place) / "run", SHAPES[asked.shape]
        one = write_checkpoint(run / "step0", seed=0, **shape)
        print(f"{described(asked.shape)}; {blas()}\n{HEADING}")
        contenders = {name: Contender(name, one) for name in ("scan", *KERNELS) if name not in asked.without}
        for tool in asked.tool:
            name, _, python = tool.partition("=")
            contenders[name] = Contender(name, one, python=python)
        compete(contenders, asked.rounds)
        if asked.trajectory:
            trajectory(run, shape, asked.rounds)


def small(checkpoint: Path, rounds: int) -> None:
    """Scans of many small matrices, with all metrics and with two, and their bare kernels."""
    print(f"matrices of 64×96, fp16; {blas()}\n{HEADING}")
    names = {"scan": "scan", "scan of two metrics": "scan_of_two", "floor": "floor_of_small"}
    compete({name: Contender(kind, checkpoint) for name, kind in names.items()}, rounds)


def trajectory(run: Path, shape: dict[str, int], rounds: int) -> None:
    """Scans of 1 to 10 checkpoints that all differ, and of 10 of which every other repeats the one before.

    Beside them the bare kernels of one checkpoint, with bare comparisons with two others.
    """
    for step in range(1, 10):
        write_checkpoint(run / f"step{step}", seed=step, **shape)
    contenders = {}
    for name, stored in {
        "1 checkpoint": [0],
        "3 checkpoints": range(3),
        "5 checkpoints": range(5),
        "10 checkpoints": range(10),
        "10, 5 distinct": [step // 2 for step in range(10)],
    }.items():
        some = run.with_name(name)
        some.mkdir()
        for step, one in enumerate(stored):
            (some / f"step{step}").symlink_to(run / f"step{one}")
        contenders[name] = Contender("scan", some)
    contenders["floor and comparisons"] = Contender("floor_and_comparisons", run / "step0")
    compete(contenders, rounds)
    shutil.rmtree(run)


if __name__ == "__main__":
    main()
