"""CASES, runs in which a claim of the theory is planted or its null is, each with what a verdict then is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.regression import correlated
from spectra_cli.studies.stability import Floor, GroupStability, Onset, Peak, RateSeries
from spectra_cli.studies.stability.evidence import CONDITION, NORM, Evidence
from spectra_cli.studies.stability.judgements import FAILS, HOLDS, INSEPARABLE
from spectra_cli.studies.stability.onset import find_onset
from spectra_cli.studies.stability.theory import THEORY

CORRELATIONS = (0.0, 0.5, 0.8)
CHECKPOINTS, LAST, PEAK = 40, 2000, 100
EVERY = np.arange(LAST + 1.0)
WARMED = np.minimum((EVERY + 1) / PEAK, 1.0)
DROPPED = WARMED * np.where(EVERY < 1000, 1.0, 0.3)
HELD = WARMED * np.where(EVERY < 1600, 1.0, 1 - 0.9 * (EVERY - 1600) / 400)
COSINE = WARMED * (0.55 + 0.45 * np.cos(np.pi * EVERY / LAST))
JUDGES = {claim.name: claim.judge for claim in THEORY}

NOTHING = RateSeries(np.array([], dtype=np.int64), np.array([]))
GROUP = GroupStability(
    group="all", matrices=1, series=NOTHING, peak=Peak(PEAK, 1.0), floor=Floor(1.0, (1.0, 1.0), 1), settled=None,
    onset=Onset(None), onset_per_lr=None, decoupling=(), tightness=None, pairs=0, over_bound=0,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Saves:
    """When a run is saved, and its noise. steps: (n + 1,) from 0 on. noise: given a size, (n + 1,) of it, anew."""

    steps: np.ndarray
    noise: Callable[[float], np.ndarray]

    @property
    def x(self) -> np.ndarray:
        """ln step from the peak on, (n + 1,)."""
        return np.log(np.maximum(self.steps, 1) / PEAK)


def saves(seed: int = 0, *, correlation: float = 0.0, checkpoints: int = CHECKPOINTS) -> Saves:
    """Return evenly spaced saves whose noise has a lag-1 correlation."""
    random = np.random.default_rng(seed)
    steps = np.linspace(0, LAST, checkpoints + 1).astype(int)

    def noise(size: float) -> np.ndarray:
        return size * correlated(random.standard_normal((len(steps), 1)), correlation)[:, 0]

    return Saves(steps, noise)


Make = Callable[[Saves, float], Evidence]


@dataclass(frozen=True)
class Case:
    """One line of the table. planted: in words. make: a run, from saves and a size of noise. verdicts: that count.

    truth: whether the verdicts are right; else they are claims of what is not there. size: of the noise. reason: what
    must be said with them, None where it does not matter.
    """

    claim: str
    planted: str
    make: Make
    verdicts: tuple[str, ...]
    truth: bool
    size: float
    reason: str | None = None

    def counted(self, made: Saves, size: float | None = None) -> bool:
        """Whether one run's verdict is among those that count. size: of the noise, the case's own where not given."""
        answer = JUDGES[self.claim](self.make(made, self.size if size is None else size))
        return answer.verdict in self.verdicts and self.reason in (None, answer.reason)


def evidence(
    steps: np.ndarray,
    rates: np.ndarray,
    columns: dict[str, np.ndarray] | None = None,
    *,
    lr: np.ndarray | None = None,
    loss: np.ndarray | None = None,
) -> Evidence:
    """Return a run of one matrix. rates: ln of its variation at steps[1:]. columns: ln of other metrics at steps.

    lr: at every step; loss: at steps.
    """
    whole = replace(GROUP, series=RateSeries(steps[1:], np.exp(rates)))
    numbers = pd.DataFrame({"matrix": "m", "role": "q", "order": np.arange(len(steps))})
    for name, logs in (columns or {}).items():
        numbers[name] = np.exp(logs)
    losses = None
    if lr is not None or loss is not None:
        saved = pd.Series(5.0 if loss is None else loss, steps)
        frame = pd.DataFrame({"step": EVERY.astype(int), "lr": np.nan if lr is None else lr})
        frame["loss"] = frame["val_loss"] = frame["step"].map(saved)
        losses = Losses(Path("log.jsonl"), frame.assign(train_loss=np.nan), "validation", {})
    return Evidence(numbers, pd.Series(steps), (whole,), steps[:-1], losses)


def growing(metric: str, slope: float, until: float = np.inf) -> Make:
    """Plant an exponent of a metric on step, up to some ln step from the peak."""

    def make(made: Saves, size: float) -> Evidence:
        logs = slope * np.minimum(made.x, until) + made.noise(size)
        return evidence(made.steps, np.zeros(len(logs) - 1), {metric: logs})

    return make


def norm_of(lr: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Return ln ‖W‖ at every step where updates add to its square and weight decay takes a share of it."""
    square = np.ones(len(EVERY))
    for step in range(1, len(EVERY)):
        before = square[step - 1]
        square[step] = before + 0.004 * lr[step] ** 2 - 0.002 * decay[step] * lr[step] * before
    return np.log(square) / 2


NO_DECAY, SWITCHED = np.zeros(len(EVERY)), np.where(EVERY < 900, 0.0, 3.0)


def scaled(lr: np.ndarray, decay: np.ndarray, powers: tuple[float, float], fall: float, flat: float = np.inf) -> Make:
    """Plant a variation ∝ η^a·‖W‖^b·t^−fall, the last up to `flat` of ln step from the peak."""
    norm = norm_of(lr, decay)

    def make(made: Saves, size: float) -> Evidence:
        starts, ends = made.steps[:-1], made.steps[1:]
        means = np.log([lr[a : b + 1].mean() for a, b in zip(starts, ends, strict=True)])
        middle = (norm[starts] + norm[ends]) / 2
        course = powers[0] * means + powers[1] * middle - fall * np.minimum(made.x[1:], flat)
        return evidence(made.steps, course + made.noise(size)[1:], {NORM: norm[made.steps]}, lr=lr)

    return make


def falling(share: float, own: float) -> Make:
    """Plant a loss whose fall per step is t^−own·rate^share at most, below it by noise; the learning rate drops."""

    def make(made: Saves, size: float) -> Evidence:
        drop = np.where(made.steps[1:] > 1000, np.log(0.3), 0.0)
        rates = -0.9 * made.x[1:] + drop + made.noise(0.15)[1:]
        below = -np.abs(made.noise(size)[1:])
        falls = np.exp(share * rates - own * made.x[1:] + below) / LAST
        loss = 6.0 - np.append(0.0, np.cumsum(falls * np.diff(made.steps)))
        return evidence(made.steps, rates, loss=loss)

    return make


def settling(first: float) -> Make:
    """Plant three roles that peak at step 60 and settle: Q and K at step 1500, V at `first`; saved at equal ratios."""

    def make(made: Saves, size: float) -> Evidence:
        steps = np.unique(np.rint(np.geomspace(1, 60_000, len(made.steps))).astype(int))
        x = np.log(steps / 60)
        groups = []
        for role, bend in (("v", first), ("q", 1500.0), ("k", 1500.0)):
            rates = np.where(x < 0, x, -1.2 * np.minimum(x, np.log(bend / 60))) + made.noise(size)[-len(x) :]
            top = int(np.argmax(rates))
            onset = find_onset(steps[top + 1 :], np.exp(rates[top + 1 :]))
            groups.append(replace(GROUP, group=role, onset=onset))
        return Evidence(pd.DataFrame(), pd.Series(steps), tuple(groups), steps, None)

    return make


BOTH = scaled(HELD, SWITCHED, (1, -1), 0.5)
TIME_ALONE = scaled(HELD, SWITCHED, (0, 0), 0.9)
BEND_ALONE = scaled(HELD, SWITCHED, (0, 0), 1.2, flat=1.6)
UNDER_COSINE = scaled(COSINE, NO_DECAY, (1, -1), 0.5)
UNDER_DROP = scaled(DROPPED, NO_DECAY, (1, -1), 0.5)
LEVELS, GROWS = growing(CONDITION, 0.5, 1.0), growing(CONDITION, 0.5)
WRONG = (HOLDS, FAILS)
CASES: tuple[Case, ...] = (
    Case("norms", "‖W‖ ∝ t^0.1", growing(NORM, 0.1), (HOLDS,), truth=True, size=0.02),
    Case("norms", "‖W‖ ∝ t^−0.1", growing(NORM, -0.1), (FAILS,), truth=True, size=0.02),
    Case("norms", "‖W‖ constant", growing(NORM, 0.0), WRONG, truth=False, size=0.02),
    Case("condition", "σ₁/σ_r levels off", LEVELS, (HOLDS,), truth=True, size=0.005),
    Case("condition", "σ₁/σ_r ∝ t^0.5", GROWS, (FAILS,), truth=True, size=0.005),
    Case("condition", "σ₁/σ_r levels off", LEVELS, (FAILS,), truth=False, size=0.005),
    Case("condition", "σ₁/σ_r ∝ t^0.5", GROWS, (HOLDS,), truth=False, size=0.005),
    Case(
        "learning_rate", "η·‖W‖⁻¹·t^−0.5, WSD, weight decay switched on", BOTH, (HOLDS,), truth=True, size=0.03
    ),
    Case("norm", "η·‖W‖⁻¹·t^−0.5, WSD, weight decay switched on", BOTH, (HOLDS,), truth=True, size=0.03),
    Case("learning_rate", "t^−0.9, likewise", TIME_ALONE, (HOLDS,), truth=False, size=0.15),
    Case("norm", "t^−0.9, likewise", TIME_ALONE, (HOLDS,), truth=False, size=0.15),
    Case("learning_rate", "t^−1.2, then a floor, likewise", BEND_ALONE, (HOLDS,), truth=False, size=0.15),
    Case("norm", "t^−1.2, then a floor, likewise", BEND_ALONE, (HOLDS,), truth=False, size=0.15),
    Case("norm", "η·‖W‖⁻¹·t^−0.5, cosine, no weight decay", UNDER_COSINE, (INSEPARABLE,), truth=True, size=0.03),
    Case("learning_rate", "η·‖W‖⁻¹·t^−0.5, a drop, no weight decay", UNDER_DROP, (HOLDS,), truth=True, size=0.03),
    Case(
        "value", "V settles at a third of the step of Q and K", settling(500.0), (HOLDS,), truth=True, size=0.05,
        reason="before them",
    ),
    Case("value", "V settles where Q and K do", settling(1500.0), (HOLDS,), truth=False, size=0.05),
    Case("fall", "fall ≤ rate, a drop of η", falling(1.0, 0.0), (HOLDS,), truth=True, size=0.2),
    Case("ceiling", "fall ≤ rate, a drop of η", falling(1.0, 0.0), (HOLDS,), truth=True, size=0.2),
    Case("fall", "fall ∝ t^−1.3, rate ∝ t^−0.9, a drop of η", falling(0.0, 1.3), WRONG, truth=False, size=0.2),
    Case("ceiling", "fall ≤ t^−1.3, rate ∝ t^−0.9, a drop of η", falling(0.0, 1.3), WRONG, truth=False, size=0.2),
)  # fmt: skip
