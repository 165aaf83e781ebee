"""Judges the stability scale: the variation is in proportion to the learning rate over the norm of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability.coefficient import LEAST_OWN, own_share
from spectra_cli.studies.stability.evidence import NORM, Evidence
from spectra_cli.studies.stability.judgements import (
    INSEPARABLE,
    Answer,
    drift,
    equal_to,
    exponent,
    too_few,
    unjudged,
    without,
)
from spectra_cli.studies.stability.learning_rate import rates_between

Array = NDArray[np.float64]

FEWEST = 12  # checkpoints after the peak: there are five coefficients


def by_learning_rate(evidence: Evidence) -> Answer:
    """Judge the exponent of the variation on the learning rate, beside norm and steps; 1 is claimed."""
    causes = _causes(evidence)
    if isinstance(causes, Answer):
        return causes
    return _judge(causes, causes.norm, causes.rate, 1.0, ("η", "the norm"))


def by_norm(evidence: Evidence) -> Answer:
    """Judge the exponent of the variation on ‖W‖_F, beside learning rate and steps; −1 is claimed."""
    causes = _causes(evidence)
    if isinstance(causes, Answer):
        return causes
    return _judge(causes, causes.rate, causes.norm, -1.0, ("‖W‖", "the learning rate"))


@dataclass(frozen=True, eq=False)
class _Causes:
    """Logarithms after the peak, (n,): steps x, learning rate, norm, and the variation."""

    x: Array
    rate: Array
    norm: Array
    variation: Array


def _causes(evidence: Evidence) -> _Causes | Answer:
    """Return what is regressed on what; the norm is the geometric mean of both ends of what a rate covers."""
    if evidence.losses is None or not evidence.losses.has_rate:
        return unjudged("no learning rate is logged")
    norms = evidence.log_means(NORM).get("all")
    if norms is None:
        return without(NORM)
    series, starts = evidence.whole.series, evidence.starts
    rates = rates_between(evidence.losses, starts.astype(float), series.steps.astype(float))
    chosen = (series.steps > evidence.whole.peak.step) & np.isfinite(rates) & (rates > 0)
    if chosen.sum() < FEWEST:
        return too_few(int(chosen.sum()), FEWEST, "checkpoints with a learning rate after the peak")
    steps = series.steps[chosen]
    middle = (norms.loc[steps].to_numpy() + norms.loc[starts[chosen]].to_numpy()) / 2
    return _Causes(np.log(steps.astype(float)), np.log(rates[chosen]), middle, np.log(series.rates[chosen]))


def _judge(causes: _Causes, beside: Array, cause: Array, claimed: float, names: tuple[str, str]) -> Answer:
    """Judge one cause beside the other; where steps and the other leave little of it, say that they are inseparable."""
    columns = [*drift(causes.x), beside, cause]
    share = own_share(np.column_stack([np.ones(len(cause)), *columns]))
    if share < LEAST_OWN:
        left = f"steps and {names[1]} leave {share:.1%} of the variance of ln {names[0]}"
        return Answer(INSEPARABLE, reason=f"{left}, and {LEAST_OWN:.0%} are needed")
    return equal_to(claimed, exponent(columns, causes.variation, f"exponent of the rate on {names[0]}"))
