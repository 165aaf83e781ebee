"""How far `spectra stability` can be trusted: plants rates with a known breakpoint, or none, and counts what it finds.

    python -m benchmarks.stability_calibration [SEEDS] [--scanned | --theory]

prints the table of docs/studies/stability.md; with --scanned only its lines for 40 checkpoints and 15% noise, each
seed a folder of real checkpoints that is scanned; with --theory the table of the verdicts on the theory.

The rates rise to a peak, fall as a power of the step to the
breakpoint, and go on as a floor or a slow decline; each
checkpoint's value carries lognormal noise, and the steps are uneven.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import Run, read_run
from spectra_cli.studies.stability import METRICS, stability
from spectra_cli.studies.stability.theory import THEORY
from tests.support.planted_runs import SHAPES, STRAIGHT, Planted, covers, plant, plant_checkpoints, within_one
from tests.support.planted_theory import CASES, CORRELATIONS, saves

SIZES, NOISES = (14, 25, 40), (0.15, 0.30)


def scanned(planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Return a run as `plant` does, by way of real checkpoints and a scan."""
    with tempfile.TemporaryDirectory() as folder:
        plant_checkpoints(Path(folder, "run"), planted, checkpoints=checkpoints, noise=noise, seed=seed)
        table = scan_checkpoints(Path(folder, "run"), Path(folder, "run.parquet"), metrics=METRICS, threads=1).output
        return read_run(table, METRICS)


def line(planted: Planted, checkpoints: int, noise: float, seeds: int, make: Callable[..., Run] = plant) -> str:
    """Count over some seeds, and return a line of the table."""
    found = [stability(make(planted, checkpoints=checkpoints, noise=noise, seed=seed)) for seed in range(seeds)]
    spans = [one.groups[0].onset.interval for one in found]
    widths = [span[1] / span[0] for span in spans if span]
    cells = [f"{checkpoints}", f"{noise:.0%}", planted.name, f"{len(widths)}"]
    if planted is STRAIGHT:
        cells += ["", "", ""]
    else:
        cells += [f"{sum(map(within_one, found))}", f"{sum(map(covers, found))}", f"{np.median(widths):.2f}"]
    return f"| {' | '.join(cells)} |"


def print_theory(seeds: int) -> None:
    """Print one line for each planted claim or null of the theory: in how many runs the verdict is one that counts."""
    print("| claim | planted | verdict | correlation 0 | 0.5 | 0.8 |\n|---|---|---|---|---|---|")
    for case in CASES:
        says = next(claim.says for claim in THEORY if claim.name == case.claim)
        reason = f", {case.reason}" if case.reason else ""
        verdict = f"{'right' if case.truth else 'wrong'}: {' or '.join(case.verdicts)}{reason}"
        counts = [f"{sum(case.counted(saves(seed, correlation=rho)) for seed in range(seeds))}" for rho in CORRELATIONS]
        print(f"| {' | '.join([says, f'{case.planted}, noise {case.size:.1%}', verdict, *counts])} |", flush=True)


def main() -> None:
    """Print one line for each number of checkpoints, noise and shape, or of the theory."""
    asked = argparse.ArgumentParser()
    asked.add_argument("seeds", type=int, nargs="?", default=100)
    asked.add_argument("--scanned", action="store_true")
    asked.add_argument("--theory", action="store_true")
    given = asked.parse_args()
    if given.theory:
        print_theory(given.seeds)
        return
    print(
        "| checkpoints | noise | course | bend seen | within one checkpoint | 90% interval covers | its width, factor |"
    )
    print("|---|---|---|---|---|---|---|")
    cases = [(40, 0.15)] if given.scanned else list(itertools.product(SIZES, NOISES))
    for (checkpoints, noise), planted in itertools.product(cases, SHAPES):
        print(line(planted, checkpoints, noise, given.seeds, scanned if given.scanned else plant), flush=True)


if __name__ == "__main__":
    main()
