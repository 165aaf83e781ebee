"""Judges whether V settles at another time than Q and K."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from spectra_cli.studies.stability.evidence import Evidence
from spectra_cli.studies.stability.findings import GroupStability, Onset
from spectra_cli.studies.stability.judgements import FAILS, HOLDS, UNTOLD, Answer, Quantity, unjudged

WIDER = 1.19  # a 95% interval is so many times as wide as a 90% one of the same Gaussian
TOGETHER = 1.25  # onsets whose ratio is certain to be nearer to 1 than that are one
ROLES = ("v", "q", "k")
KINDS: tuple[tuple[str, Callable[[GroupStability], Onset | None]], ...] = (
    ("onset", lambda group: group.onset),
    ("onset per unit of learning rate", lambda group: group.onset_per_lr),
)


def value_apart(evidence: Evidence) -> Answer:
    """Judge V's onset over the geometric mean of Q's and K's."""
    groups = {role: evidence.group(role) for role in ROLES}
    known = [group for group in groups.values() if group is not None]
    if len(known) < len(ROLES):
        missing = " and ".join(role for role, group in groups.items() if group is None)
        return unjudged(f"the run has no matrices of role {missing} by themselves")
    for name, of in KINDS:
        onsets = [onset for onset in map(of, known) if onset is not None and onset.step and onset.interval]
        if len(onsets) == len(ROLES):
            return _compared(f"V's {name} over Q's and K's", onsets)
    without = " and ".join(role for role, group in zip(ROLES, known, strict=True) if group.onset.step is None)
    return unjudged(f"no onset is seen of {without}")


def _compared(name: str, onsets: Sequence[Onset]) -> Answer:
    number = _ratio(name, onsets)
    low, high = number.interval or (0.0, np.inf)
    if low <= 1 <= high:
        alike = low > 1 / TOGETHER and high < TOGETHER
        return Answer(FAILS, (number,), "together with them") if alike else Answer(UNTOLD, (number,))
    return Answer(HOLDS, (number,), "before them" if high < 1 else "after them")


def _ratio(name: str, onsets: Sequence[Onset]) -> Quantity:
    """Return the first onset over the geometric mean of the others, its interval from theirs.

    Each end is the square root of the sum of squares of how far the onsets' own intervals reach that way, in logarithms
    (Zou and Donner 2008). Those are wider than their bootstrap draws, as much as knots were not tried between: by the
    draws, paired by checkpoint, three onsets at one step differed in 3 of 32 runs, and so they do in 1.
    """
    logs = np.log([[onset.step, *(onset.interval or ())] for onset in onsets])
    middle, low, high = logs.T
    weights = np.array([1.0, -0.5, -0.5])
    falls, rises = weights * (middle - low), weights * (high - middle)
    value = float(weights @ middle)
    below = WIDER * float(np.hypot.reduce(np.where(weights > 0, falls, rises)))
    above = WIDER * float(np.hypot.reduce(np.where(weights > 0, rises, falls)))
    return Quantity(name, float(np.exp(value)), (float(np.exp(value - below)), float(np.exp(value + above))))
