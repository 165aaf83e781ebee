"""How far the verdict of `spectra rank1` can be trusted: plants lines and things that only drift, and counts verdicts.

    python -m benchmarks.rank1_calibration [SEEDS]

prints the table of docs/studies/rank1.md: of so many seeds (100), how many are called one-dimensional, raw and merged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.rank1 import Group, study_group
from tests.support.planted_sequences import gram_of, line, noise, walk

RUNS = ((12, 5), (20, 5))  # checkpoints, window
DRAWS = 100
Plant = Callable[[np.random.Generator, int], NDArray[np.float64]]
PLANTED: dict[str, Plant] = {
    "random walk, 500 directions": walk,
    "random walk, 20 directions": partial(walk, dimensions=20),
    "random walk, 5 directions": partial(walk, dimensions=5),
    "random walk, variances falling as 1/k": partial(walk, dimensions=2000, decay=1.0),
    "persistent walk, cosine 0.5": partial(walk, persistence=0.5),
    "persistent walk, cosine 0.9": partial(walk, persistence=0.9),
    "persistent walk, cosine 0.9, 50 directions": partial(walk, dimensions=50, persistence=0.9),
    "white noise": noise,
    "line, share 0.7, noise across": partial(line, share=0.7),
    "line, share 0.9, noise across": partial(line, share=0.9),
    "line, share 0.9, alternating across": partial(line, share=0.9, oscillation="alternating"),
    "line, share 0.9, a sine across": partial(line, share=0.9, oscillation="sine"),
}


def counts(plant: Plant, count: int, window: int, seeds: int) -> tuple[int, int]:
    """Return how many seeds are called one-dimensional, raw and merged."""
    raw = merged = 0
    for seed in range(seeds):
        gram = gram_of(plant(np.random.default_rng(seed), count))
        found = study_group(Group("all", gram, 1), window, draws=DRAWS, seed=seed)
        raw += found.raw.verdict == "one-dimensional"
        merged += found.merged.verdict == "one-dimensional"
    return raw, merged


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    heads = [f"{count} checkpoints, means of {window}" for count, window in RUNS]
    print(f"| planted | {' | '.join(heads)} |\n|---|{'---|' * len(RUNS)}")
    for name, plant in PLANTED.items():
        cells = ["{} raw, {} merged".format(*counts(plant, count, window, many)) for count, window in RUNS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
