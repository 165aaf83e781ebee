"""Counts how often each estimator of α jumps between neighbouring checkpoints of a table, and whether its tail did.

    python -m benchmarks.alpha_jumps demo.parquet

A jump is a change by more than a fifth of the value; the exponents of densities (Hill, Clauset, tail) lie above 1 and
are counted by their distance from 1, that of rank and size from 0.
"""

from __future__ import annotations

import sys

import numpy as np

from spectra_cli.studies.inputs.runs import Run, read_run
from tests.support.alpha_jumps import TAIL_FACTOR, TAIL_SIZES, changes

ORIGIN = {"alpha": 0.0, "alpha_ols": 0.0, "alpha_hill": 1.0, "alpha_clauset": 1.0, "alpha_tail": 1.0}
JUMP = 0.2


def line_of(run: Run, estimator: str) -> str:
    """Return the estimator's line of the table."""
    found = changes(run, estimator)
    before, after = (found[name] - ORIGIN[estimator] for name in ("before", "after"))
    jumped = np.abs(np.log(after / before)) > np.log(1 + JUMP)
    beyond_one = np.abs(after - before) > 1
    moved = f"{(jumped & found['of_tail']).sum()} of {jumped.sum()}" if estimator in TAIL_SIZES else "fixed size"
    median = np.abs(np.log(after / before)).median()
    return f"| `{estimator}` | {len(found)} | {median:.1%} | {jumped.sum()} | {beyond_one.sum()} | {moved} |"


def main() -> None:
    """Print the table of one run."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.alpha_jumps TABLE")
    run = read_run(sys.argv[1], [*ORIGIN, *dict.fromkeys(TAIL_SIZES.values())])
    print(f"| estimator | pairs | median change | over {JUMP:.0%} | over 1 | with a tail × {TAIL_FACTOR} or more |")
    print("|---|---|---|---|---|---|")
    for estimator in ORIGIN:
        print(line_of(run, estimator))


if __name__ == "__main__":
    main()
