"""Compares the fits of eigenvalue tails with powerlaw and WeightWatcher on the same numbers, in accuracy and in time.

    python -m benchmarks.agreement

Prints a line for each kind of spectrum and the time of one fit of 2,048 values, in turn, in one run. WeightWatcher is
compared where it is installed; it needs an environment of its own, with NumPy and SciPy and this folder on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import importlib
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from spectra_cli.metrics.tail_fit import TailFit, clauset_fit
from spectra_cli.records import Spectrum

KINDS = ("1.3", "1.8", "2.5", "4.0", "7.0", "gaussian", "repeated")
SEEDS = range(5)
VALUES = 300
TIMED = 2048
ROUNDS = 3


def eigenvalues(kind: str, n: int, seed: int) -> np.ndarray:
    """Give n eigenvalues: of a Gaussian matrix, of pairs of equals, or of a power law whose exponent is the kind."""
    generator = np.random.default_rng(seed)
    if kind == "gaussian":
        return np.asarray(np.linalg.svd(generator.normal(size=(n, 2 * n)), compute_uv=False) ** 2)
    if kind == "repeated":
        return np.repeat(generator.pareto(1.5, n // 2) + 1.0, 2)
    return generator.pareto(float(kind) - 1.0, n) + 1.0


def ours(values: np.ndarray) -> TailFit:
    """Fit here; a new spectrum each time, so that nothing is remembered."""
    return clauset_fit(Spectrum(np.sort(np.sqrt(values))[::-1], len(values), len(values)))


def others() -> dict[str, Callable[[np.ndarray], Any]]:
    """Give the other tools' fits, of those tools that are installed."""
    found: dict[str, Callable[[np.ndarray], Any]] = {}
    with contextlib.suppress(ImportError):
        powerlaw = importlib.import_module("powerlaw")
        found["powerlaw"] = lambda values: powerlaw.Fit(values, verbose=False, parameter_ranges={"alpha": [1, None]})
    with contextlib.suppress(ImportError):
        found["WeightWatcher"] = importlib.import_module("weightwatcher.WW_powerlaw").WWFit
    return found


def apart(kind: str, fit: Callable[[np.ndarray], Any]) -> tuple[float, int]:
    """Give the largest relative difference in α, distance, x_min and stderr, and how many of the tails differ."""
    worst, other_tails = 0.0, 0
    for seed in SEEDS:
        values = eigenvalues(kind, VALUES, seed)
        here, there = ours(values), fit(values)
        if here.n != len(there.data):
            other_tails += 1
            continue
        pairs = ((here.alpha, there.alpha), (here.ks, there.D), (here.xmin, there.xmin), (here.stderr, there.sigma))
        worst = max(worst, *(abs(a - b) / abs(b) for a, b in pairs))
    return worst, other_tails


def seconds(once: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    once()
    return time.perf_counter() - start


def main() -> None:
    """Print both tables."""
    warnings.simplefilter("ignore")
    tools = others()
    print("| spectrum |", " | ".join(f"{name}, apart by | other tail chosen" for name in tools), "|")
    print("|---" * (1 + 2 * len(tools)) + "|")
    for kind in KINDS:
        cells = [apart(kind, fit) for fit in tools.values()]
        print(f"| {kind} |", " | ".join(f"{worst:.0e} | {tails} of {len(SEEDS)}" for worst, tails in cells), "|")
    values = eigenvalues("2.5", TIMED, 0)
    ours(values)
    rounds = [
        [seconds(partial(ours, values)), *(seconds(partial(fit, values)) for fit in tools.values())]
        for _ in range(ROUNDS)
    ]
    mine = [one[0] for one in rounds]
    print(f"\nhere: {statistics.median(mine) * 1e3:.1f} ms ({min(mine) * 1e3:.1f} … {max(mine) * 1e3:.1f})")
    for place, name in enumerate(tools, 1):
        ratios = [one[place] / one[0] for one in rounds]
        took = statistics.median(one[place] for one in rounds)
        print(f"{name}: {took:.2f} s, {statistics.median(ratios):.0f} times here (at least {min(ratios):.0f})")


if __name__ == "__main__":
    main()
