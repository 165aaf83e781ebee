"""How far `spectra stability` can be trusted: plants rates with a known breakpoint, or none, and counts what it finds.

    python -m benchmarks.stability_calibration [SEEDS] [--scanned | --theory | --power]

prints the table of docs/studies/stability.md; with --scanned only its lines for 40 checkpoints and 15% noise, each
seed a folder of real checkpoints that is scanned; with --theory the table of the verdicts on the theory, and
with --power that of how often the right one is reached under 15% noise of correlation 0.3.

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
from scipy import stats

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import Run, read_run
from spectra_cli.studies.stability import METRICS, stability
from spectra_cli.studies.stability.growth import LEAST_GROWTH
from spectra_cli.studies.stability.judgements import INSEPARABLE
from spectra_cli.studies.stability.theory import THEORY
from tests.support.planted_runs import SHAPES, STRAIGHT, Planted, covers, plant, plant_checkpoints, within_one
from tests.support.planted_theory import CASES, CORRELATIONS, PEAK, saves

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


POWER_SIZES, POWER_NOISE, POWER_CORRELATION = (14, 40, 154), 0.15, 0.3
EFFECTS = {  # how far a planted exponent on step is from what the verdict rules out, and over which half, 0: over all
    "‖W‖ ∝ t^0.1": (0.1, 0),
    "‖W‖ ∝ t^−0.1": (0.1, 0),
    "σ₁/σ_r levels off": (LEAST_GROWTH, 1),
    "σ₁/σ_r ∝ t^0.5": (0.5, 1),
}


def knowing(planted: str, checkpoints: int) -> str:
    """Return of how many in a hundred a test would see an exponent that knew the size and correlation of the noise."""
    if planted not in EFFECTS:
        return ""
    effect, halves = EFFECTS[planted]
    steps = saves(checkpoints=checkpoints).steps
    x = np.log(steps[steps >= PEAK])
    x = x[halves * len(x) // 2 :]
    columns, apart = (
        np.column_stack([np.ones(len(x)), x]),
        np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x)))),
    )
    noise = POWER_NOISE**2 * POWER_CORRELATION**apart
    error = np.sqrt(np.linalg.inv(columns.T @ np.linalg.solve(noise, columns))[1, 1])
    return f" ({100 * stats.norm.cdf(effect / error - stats.norm.ppf(0.975)):.0f})"


def print_power(seeds: int) -> None:
    """Print one line for each planted claim: in how many runs of few and of many checkpoints the verdict is right."""
    print("| claim | planted | verdict | 14 checkpoints | 40 | 154 |\n|---|---|---|---|---|---|")
    for case in (case for case in CASES if case.truth and INSEPARABLE not in case.verdicts):
        says = next(claim.says for claim in THEORY if claim.name == case.claim)
        counts = []
        for checkpoints in POWER_SIZES:
            made = (saves(seed, correlation=POWER_CORRELATION, checkpoints=checkpoints) for seed in range(seeds))
            counted = sum(case.counted(run, POWER_NOISE) for run in made)
            counts.append(f"{counted}{knowing(case.planted, checkpoints)}")
        print(f"| {' | '.join([says, case.planted, ' or '.join(case.verdicts), *counts])} |", flush=True)


def main() -> None:
    """Print one line for each number of checkpoints, noise and shape, or of the theory."""
    asked = argparse.ArgumentParser()
    asked.add_argument("seeds", type=int, nargs="?", default=100)
    asked.add_argument("--scanned", action="store_true")
    asked.add_argument("--theory", action="store_true")
    asked.add_argument("--power", action="store_true")
    given = asked.parse_args()
    if given.theory or given.power:
        (print_theory if given.theory else print_power)(given.seeds)
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
