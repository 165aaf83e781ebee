"""Judges whether norms grow, and whether condition numbers stay bounded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spectra_cli.studies.stability.evidence import CONDITION, NORM, Evidence
from spectra_cli.studies.stability.judgements import (
    FAILS,
    FEWEST,
    HOLDS,
    UNTOLD,
    Answer,
    Quantity,
    above_zero,
    exponent,
    too_few,
    without,
)

LEAST_GROWTH = 0.2  # exponent on step, below which a condition number is bounded: 15% more where steps double
NAMES = {
    "all": "exponent of ‖W‖ on step",
    "attention": "of attention's ‖W‖ on step",
    "mlp": "of the MLP's ‖W‖ on step",
}


def norms_grow(evidence: Evidence) -> Answer:
    """Judge the exponent of the geometric mean of ‖W‖_F on step, from the peak on: of the whole model, and its parts.

    Norms add up what updates did, so that their noise may wander: the interval holds for a random walk as well.
    """
    since = evidence.since_peak()
    means = evidence.log_means(NORM)
    if not means:
        return without(NORM)
    if len(since) < FEWEST:
        return too_few(len(since), FEWEST)
    x = np.log(since.to_numpy(float))
    whole, *parts = (exponent([x], logs.loc[since].to_numpy(), NAMES[name]) for name, logs in means.items())
    return above_zero(whole, *parts, otherwise="they shrink")


def condition_is_bounded(evidence: Evidence) -> Answer:
    """Judge whether the geometric mean of σ₁/σ_r still grows over the second half of the checkpoints from the peak on.

    It does where the exponent's interval is above zero, and it is bounded where the interval is below LEAST_GROWTH. The
    largest of all is told, and not judged: σ_r of a square matrix comes as near to zero as chance has it, and the
    largest jumps by factors of ten from one checkpoint to the next.
    """
    logs = evidence.logs(evidence.numbers, CONDITION)
    if logs.empty:
        return without(CONDITION)
    late = evidence.since_peak()
    late = late.iloc[len(late) // 2 :]
    if len(late) < FEWEST:
        return too_few(len(late), FEWEST, "checkpoints in the second half from the peak on")
    means = logs.mean(axis=1).loc[late].to_numpy()
    slope = exponent([np.log(late.to_numpy(float))], means, "exponent of σ₁/σ_r on step, at the end")
    low, high = slope.interval or (-np.inf, np.inf)
    verdict = FAILS if low > 0 else HOLDS if high < LEAST_GROWTH else UNTOLD
    numbers = (slope, Quantity("largest of a matrix", float(np.exp(logs.to_numpy().max()))))
    return Answer(verdict, numbers, _where(evidence, logs))


def _where(evidence: Evidence, logs: pd.DataFrame) -> str:
    """Return where the largest condition number is, and how many matrices have none."""
    step, matrix = logs.stack().idxmax()
    matrices = evidence.numbers["matrix"].nunique()
    missing = matrices - logs.shape[1]
    verbs = "has none at every checkpoint and is" if missing == 1 else "have none at every checkpoint and are"
    left = f"; {missing} of {matrices} matrices {verbs} left out" if missing else ""
    return f"the largest is that of {matrix} at step {step}{left}"
