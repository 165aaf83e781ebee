"""Judges whether the loss falls with the variation, and whether the variation bounds its fall."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability.coefficient import own_share
from spectra_cli.studies.stability.evidence import Evidence
from spectra_cli.studies.stability.judgements import (
    INSEPARABLE,
    Answer,
    Quantity,
    above_zero,
    drift,
    exponent,
    too_few,
    unjudged,
)
from spectra_cli.studies.stability.loss import falls

Array = NDArray[np.float64]

FEWEST = 14  # checkpoints after the peak at which the loss falls
MOST_RISES = 0.25  # of the checkpoints; a loss that rises more often is noise, and has no logarithm
NOTHING = 1e-6  # of the variation's variance: less is rounding, and has any coefficient
UPPER = 0.75  # the quantile that a ceiling is; at 0.8, 31 checkpoints may leave its error undefined


def falls_with_variation(evidence: Evidence) -> Answer:
    """Judge the exponent of the loss's fall per step on the variation, beside what the passing of steps does."""
    falling = _falling(evidence)
    if isinstance(falling, Answer):
        return falling
    slope = exponent([*drift(falling.x), falling.variation], falling.fall, "exponent of the fall on the rate")
    return above_zero(slope, otherwise="it falls less where they vary more")


def variation_bounds_fall(evidence: Evidence) -> Answer:
    """Judge the same exponent of an upper quantile of the fall: a ceiling that rises and falls with the variation."""
    falling = _falling(evidence)
    if isinstance(falling, Answer):
        return falling
    slope = _upper([*drift(falling.x), falling.variation], falling.fall)
    if slope is None:
        return unjudged(f"{len(falling.x)} checkpoints leave the error of a quantile undefined")
    return above_zero(slope, otherwise="it rises where they vary less")


@dataclass(frozen=True, eq=False)
class _Falling:
    """Logarithms at the checkpoints after the peak where the loss falls, (n,): step, variation, fall per step."""

    x: Array
    variation: Array
    fall: Array


def _falling(evidence: Evidence) -> _Falling | Answer:
    if evidence.losses is None:
        return unjudged("no loss is given")
    series = evidence.whole.series
    fall = falls(evidence.losses, evidence.whole, evidence.starts)
    known = np.isfinite(fall) & (series.steps > evidence.whole.peak.step)
    falling = known & (fall > 0)
    if falling.sum() < FEWEST:
        return too_few(int(falling.sum()), FEWEST, "checkpoints after the peak at which the loss falls")
    rises = int(known.sum() - falling.sum())
    if rises > MOST_RISES * known.sum():
        return unjudged(f"the loss rises at {rises} of {known.sum()} checkpoints after the peak")
    x, variation = np.log(series.steps[falling].astype(float)), np.log(series.rates[falling])
    if own_share(np.column_stack([np.ones(len(x)), *drift(x), variation])) < NOTHING:
        return Answer(INSEPARABLE, reason="steps leave nothing of the variation's variance")
    return _Falling(x, variation, np.log(fall[falling]))


def _upper(columns: list[Array], y: Array) -> Quantity | None:
    """Return the last column's coefficient in a linear quantile regression; None where its error is undefined.

    To first order, the estimate is the least-squares one of pseudo-values: the fit, and beside it, for each point, its
    side times the sparsity at the quantile. Their interval is that of `judgements.exponent`. QuantReg's own, for
    independent noise, left out the truth in 10 of 40 at a correlation of 0.8.
    """
    from statsmodels.regression.quantile_regression import QuantReg
    from statsmodels.tools.sm_exceptions import IterationLimitWarning

    design = np.column_stack([np.ones(len(y)), *columns])
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", IterationLimitWarning)  # it goes to and fro between equal solutions
        fit = QuantReg(y, design).fit(q=UPPER)
    if not np.isfinite(fit.sparsity):
        return None
    values = fit.fittedvalues + (UPPER - (fit.resid < 0)) * float(fit.sparsity)
    return exponent(columns, values, "exponent of the ceiling on the rate")
