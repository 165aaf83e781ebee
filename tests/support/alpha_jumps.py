"""Tells changes of an exponent that its tail made from those of the spectrum: shared by a benchmark and its test."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import Run

# The metric that says how many values an estimator used; others use a number that the matrix's shape sets.
TAIL_SIZES = {
    "alpha_clauset": "alpha_clauset_n",
    "alpha_tail": "alpha_tail_n",
    "alpha": "alpha_n",
    "alpha_ols": "alpha_n",
}
TAIL_FACTOR = 1.25


def changes(run: Run, estimator: str) -> pd.DataFrame:
    """Return every change of an exponent from one checkpoint to the next of the same matrix, a line each.

    Columns: matrix, role, order and step of the later checkpoint, `before` and `after`, and `of_tail`: whether the size
    of the tail that the estimator chose changed by more than a factor of TAIL_FACTOR with it. Such a change is one of
    the question, and no study may call it a transition. Undefined values are left out. run: read with the estimator
    and its size of TAIL_SIZES. Raises SpectraError where the run lacks either.
    """
    size = TAIL_SIZES.get(estimator)
    for name in (estimator, size):
        if name and name not in run.numbers:
            raise SpectraError(f"{run.label} was read without {name}", hint="read it with that metric")
    lines = run.numbers.sort_values(["matrix", "order"], kind="stable")
    earlier = lines.groupby("matrix", observed=True).shift(1)
    found = pd.DataFrame(
        {
            "matrix": lines["matrix"], "role": lines["role"], "order": lines["order"], "step": lines["step"],
            "before": earlier[estimator], "after": lines[estimator],
        }
    )  # fmt: skip
    found["of_tail"] = False
    if size:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.abs(np.log(lines[size] / earlier[size]))
        found["of_tail"] = factor > np.log(TAIL_FACTOR)
    return found.dropna(subset=["before", "after"]).reset_index(drop=True)
