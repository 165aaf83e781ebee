"""Says how a scan's time and memory grow with the side of the matrices, their number, and the number of checkpoints.

`python benchmarks/growth.py` prints, for each of the three, median seconds and peak memory of five rounds taken in
turn, and the exponents of a fit of ln seconds, and ln memory, on ln size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from speed import Contender
from synthetic import write_checkpoint

SMALL = {"layers": 4, "width": 256, "tokens": 1024}
SERIES = {
    "side": [({**SMALL, "layers": 2, "width": side, "tokens": 4 * side}, 1, side) for side in (256, 512, 1024, 2048)],
    "matrices": [({**SMALL, "layers": layers}, 1, 6 * layers + 2) for layers in (4, 16, 64, 256)],
    "checkpoints": [(SMALL, count, count) for count in (3, 10, 30, 100)],
}


def exponent(sizes: list[int], numbers: list[float]) -> float:
    """Slope of ln numbers on ln sizes."""
    return float(np.polyfit(np.log(sizes), np.log(numbers), 1)[0])


def measure(name: str, rounds: int, place: Path) -> None:
    """Print one series as a table."""
    contenders = []
    for index, (shape, count, _) in enumerate(SERIES[name]):
        run = place / f"{name}{index}"
        for step in range(count):
            write_checkpoint(run / f"step{step}", seed=step, **shape)
        contenders.append(Contender("scan", run))
    for counted in range(rounds + 1):
        for one in contenders:
            one.round()
            if not counted:
                one.seconds.clear()
    sizes = [size for *_, size in SERIES[name]]
    seconds = [statistics.median(one.seconds) for one in contenders]
    peaks = [one.peak() for one in contenders]
    for size, second, peak in zip(sizes, seconds, peaks, strict=True):
        print(f"{name:<12} {size:6} {second:9.3f} s {peak:7.0f} MB")
    print(f"{name:<12} exponents: time {exponent(sizes, seconds):.2f}, memory {exponent(sizes, peaks):.2f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--series", nargs="*", choices=SERIES, default=list(SERIES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in asked.series:
            measure(name, asked.rounds, Path(place))


if __name__ == "__main__":
    main()
