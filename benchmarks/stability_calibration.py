"""How far `spectra stability` can be trusted: plants courses with a known bend, or none, and counts what it finds.

    python -m benchmarks.stability_calibration [SEEDS] [--scanned]

prints the table of docs/studies/stability.md; with --scanned only its lines for 40 checkpoints and 15% noise, each
seed a folder of real checkpoints that is scanned. A course rises to its peak, falls as a power of the step to the bend,
and goes on as a floor or a slow decline; each checkpoint's value carries lognormal noise, and the steps are uneven.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import Run, read_run
from spectra_cli.studies.stability.findings import RunStability
from spectra_cli.studies.stability.study import METRICS, RATE, stability

PEAK, BEND, END = 60.0, 1500.0, 60_000.0
HEIGHT = 3e-4
SIZES, NOISES = (14, 25, 40), (0.15, 0.30)


@dataclass(frozen=True)
class Planted:
    """A course: exponents before the peak, from it to the bend, and after the bend (equal ones: no second phase)."""

    name: str
    rise: float
    fall: float
    after: float

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Give its values without noise. steps: (n,) positive."""
        x = np.log(steps / PEAK)
        bend = np.log(BEND / PEAK)
        fallen = self.fall * np.clip(x, 0, bend) + self.after * np.maximum(x - bend, 0)
        return HEIGHT * np.exp(self.rise * np.minimum(x, 0) + fallen)


FLOOR = Planted("floor", 1.0, -1.2, 0.0)
DECLINE = Planted("slow decline", 1.0, -1.2, -0.25)
STRAIGHT = Planted("no second phase", 1.0, -0.9, -0.9)
COURSES = (FLOOR, DECLINE, STRAIGHT)


def plant(planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Give a run of one matrix, its steps spread unevenly over ln step, a fifth of them before the peak."""
    random = np.random.default_rng(seed)
    before = checkpoints // 5
    middle = np.log(PEAK)
    x = np.append(
        np.linspace(0, middle, before, endpoint=False), np.linspace(middle, np.log(END), checkpoints - before)
    )
    gaps = np.diff(x)
    x[1:-1] += random.uniform(-0.3, 0.3, len(x) - 2) * np.minimum(gaps[:-1], gaps[1:])
    steps = np.unique(np.rint(np.exp(x)).astype(np.int64))
    rates = planted.rates(steps.astype(float)) * np.exp(noise * random.standard_normal(len(steps)))
    every = np.concatenate([[0], steps])
    count = len(every)
    numbers = pd.DataFrame(
        {
            "model": "planted", "revision": [f"step{step}" for step in every], "stage": "", "step": every,
            "tokens": None, "matrix": "m", "role": "other", "layer": np.nan, "expert": np.nan, "rows": 8, "cols": 8,
            "order": np.arange(count),
        }
    )  # fmt: skip
    for metric in METRICS:
        numbers[metric] = np.nan
    numbers.loc[1:, RATE] = rates
    return Run("planted", numbers, {})


SIZE = 16
SCALE = 1e-2  # of planted rates, so that the distribution stays a distribution over all of its walk


def plant_checkpoints(folder: Path, planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Write checkpoints of one matrix whose singular distribution moves as `plant` says, SCALE times as far.

    The distribution goes to and fro along one direction that sums to zero, so that each distance is exact; the singular
    vectors turn slowly to their last place, so that weights arrive later than spectra. Gives the truth.
    """
    truth = plant(planted, checkpoints=checkpoints, noise=noise, seed=seed)
    steps = truth.numbers["step"].to_numpy()
    moves = truth.numbers[RATE].to_numpy()[1:] * np.diff(steps) * SCALE
    direction = np.linspace(1, -1, SIZE)
    direction /= np.linalg.norm(direction)
    random = np.random.default_rng(seed)
    left, right, turn = (np.linalg.qr(random.standard_normal((SIZE, SIZE)))[0] for _ in range(3))
    place = 0.0
    for step, move in zip(steps, [0.0, *moves], strict=True):
        place += move if place <= 0 else -move
        shape = np.linspace(1.6, 0.4, SIZE) / SIZE + place * direction
        share = 0.5 * (1 - np.log1p(step) / np.log1p(steps[-1]))
        turned = np.linalg.qr((1 - share) * left + share * turn)[0]
        saved = folder / f"step{step}"
        saved.mkdir(parents=True)
        save_file({"layers.0.weight": torch.from_numpy((turned * shape) @ right.T)}, saved / "model.safetensors")
    return truth


def scanned(planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Give a run as `plant` does, by way of real checkpoints and a scan."""
    with tempfile.TemporaryDirectory() as folder:
        plant_checkpoints(Path(folder, "run"), planted, checkpoints=checkpoints, noise=noise, seed=seed)
        table = scan_checkpoints(Path(folder, "run"), Path(folder, "run.parquet"), metrics=METRICS, threads=1).output
        return read_run(table, METRICS)


def within_one(found: RunStability) -> bool:
    """Whether the onset lies no further from the planted bend than from one checkpoint to the next."""
    step = found.groups[0].onset.step
    if step is None:
        return False
    steps = np.log(found.steps[1:])
    place, truth = np.interp(np.log([step, BEND]), steps, np.arange(len(steps)))
    return bool(abs(place - truth) <= 1)


def covers(found: RunStability) -> bool:
    """Whether the 90% interval holds the planted bend."""
    interval = found.groups[0].onset.interval
    return interval is not None and interval[0] <= BEND <= interval[1]


def line(planted: Planted, checkpoints: int, noise: float, seeds: int, make: Callable[..., Run] = plant) -> str:
    """Count over some seeds, and give a line of the table."""
    found = [stability(make(planted, checkpoints=checkpoints, noise=noise, seed=seed)) for seed in range(seeds)]
    spans = [one.groups[0].onset.interval for one in found]
    widths = [span[1] / span[0] for span in spans if span]
    cells = [f"{checkpoints}", f"{noise:.0%}", planted.name, f"{len(widths)}"]
    if planted is STRAIGHT:
        cells += ["", "", ""]
    else:
        cells += [f"{sum(map(within_one, found))}", f"{sum(map(covers, found))}", f"{np.median(widths):.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print one line for each number of checkpoints, noise and course."""
    asked = argparse.ArgumentParser()
    asked.add_argument("seeds", type=int, nargs="?", default=100)
    asked.add_argument("--scanned", action="store_true")
    given = asked.parse_args()
    print(
        "| checkpoints | noise | course | bend seen | within one checkpoint | 90% interval covers | its width, factor |"
    )
    print("|---|---|---|---|---|---|---|")
    cases = [(40, 0.15)] if given.scanned else list(itertools.product(SIZES, NOISES))
    for (checkpoints, noise), planted in itertools.product(cases, COURSES):
        print(line(planted, checkpoints, noise, given.seeds, scanned if given.scanned else plant), flush=True)


if __name__ == "__main__":
    main()
