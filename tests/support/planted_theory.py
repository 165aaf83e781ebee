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
STEPS = np.linspace(0, LAST, CHECKPOINTS + 1).astype(int)
EVERY = np.arange(LAST + 1.0)
X = np.log(np.maximum(STEPS, 1) / PEAK)  # ln step from the peak on
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

Noise = Callable[[float], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One line of the table. planted: in words. make: from noise, given its size, a run. verdicts: those that count.

    truth: whether the verdicts are right; else they are claims of what is not there. reason: what must be said with
    them, None where it does not matter.
    """

    claim: str
    planted: str
    make: Callable[[Noise], Evidence]
    verdicts: tuple[str, ...]
    truth: bool
    reason: str | None = None

    def counted(self, seed: int, correlation: float) -> bool:
        """Whether one run's verdict is among those that count."""
        random = np.random.default_rng(seed)

        def noise(size: float) -> np.ndarray:
            return size * correlated(random.standard_normal((len(STEPS), 1)), correlation)[:, 0]

        answer = JUDGES[self.claim](self.make(noise))
        return answer.verdict in self.verdicts and self.reason in (None, answer.reason)


def evidence(
    rates: np.ndarray,
    columns: dict[str, np.ndarray] | None = None,
    *,
    lr: np.ndarray | None = None,
    loss: np.ndarray | None = None,
) -> Evidence:
    """Return a run of one matrix. rates: ln of its variation at STEPS[1:]. columns: ln of other metrics at STEPS.

    lr: at every step; loss: at STEPS.
    """
    whole = replace(GROUP, series=RateSeries(STEPS[1:], np.exp(rates)))
    numbers = pd.DataFrame({"matrix": "m", "role": "q", "order": np.arange(len(STEPS))})
    for name, logs in (columns or {}).items():
        numbers[name] = np.exp(logs)
    losses = None
    if lr is not None or loss is not None:
        saved = pd.Series(loss, STEPS) if loss is not None else pd.Series(5.0, STEPS)
        frame = pd.DataFrame({"step": EVERY.astype(int), "lr": np.nan if lr is None else lr})
        frame["loss"] = frame["val_loss"] = frame["step"].map(saved)
        losses = Losses(Path("log.jsonl"), frame.assign(train_loss=np.nan), "validation", {})
    return Evidence(numbers, pd.Series(STEPS), (whole,), STEPS[:-1], losses)


def growing(metric: str, slope: float, size: float, until: float = np.inf) -> Callable[[Noise], Evidence]:
    """Plant an exponent of a metric on step, up to some ln step from the peak."""
    return lambda noise: evidence(np.zeros(CHECKPOINTS), {metric: slope * np.minimum(X, until) + noise(size)})


def norm_of(lr: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """Return ln ‖W‖ at every step where updates add to its square and weight decay takes a share of it."""
    square = np.ones(len(EVERY))
    for step in range(1, len(EVERY)):
        before = square[step - 1]
        square[step] = before + 0.004 * lr[step] ** 2 - 0.002 * decay[step] * lr[step] * before
    return np.log(square) / 2


NO_DECAY, SWITCHED = np.zeros(len(EVERY)), np.where(EVERY < 900, 0.0, 3.0)


def scaled(
    lr: np.ndarray, decay: np.ndarray, powers: tuple[float, float], fall: float, *, size: float, flat: float = np.inf
) -> Callable[[Noise], Evidence]:
    """Plant a variation ∝ η^a·‖W‖^b·t^−fall, the last up to `flat` of ln step from the peak."""
    norm = norm_of(lr, decay)
    means = np.log([lr[a : b + 1].mean() for a, b in zip(STEPS[:-1], STEPS[1:], strict=True)])
    middle = (norm[STEPS[:-1]] + norm[STEPS[1:]]) / 2
    course = powers[0] * means + powers[1] * middle - fall * np.minimum(X[1:], flat)
    return lambda noise: evidence(course + noise(size)[1:], {NORM: norm[STEPS]}, lr=lr)


def falling(share: float, own: float, size: float) -> Callable[[Noise], Evidence]:
    """Plant a loss whose fall per step is t^−own·rate^share at most, below it by noise; the learning rate drops."""

    def make(noise: Noise) -> Evidence:
        drop = np.where(STEPS[1:] > 1000, np.log(0.3), 0.0)
        rates = -0.9 * X[1:] + drop + noise(0.15)[1:]
        below = -np.abs(noise(size)[1:])
        falls = np.exp(share * rates - own * X[1:] + below) / LAST
        loss = 6.0 - np.append(0.0, np.cumsum(falls * np.diff(STEPS)))
        return evidence(rates, loss=loss)

    return make


def settling(first: float) -> Callable[[Noise], Evidence]:
    """Plant three roles that peak at step 60 and settle: Q and K at step 1500, V at `first`."""
    steps = np.unique(np.rint(np.geomspace(1, 60_000, CHECKPOINTS + 1)).astype(int))
    x = np.log(steps / 60)

    def make(noise: Noise) -> Evidence:
        groups = []
        for role, bend in (("v", first), ("q", 1500.0), ("k", 1500.0)):
            rates = np.where(x < 0, x, -1.2 * np.minimum(x, np.log(bend / 60))) + noise(0.05)[-len(x) :]
            top = int(np.argmax(rates))
            onset = find_onset(steps[top + 1 :], np.exp(rates[top + 1 :]))
            groups.append(replace(GROUP, group=role, onset=onset))
        return Evidence(pd.DataFrame(), pd.Series(steps), tuple(groups), steps, None)

    return make


BOTH = scaled(HELD, SWITCHED, (1, -1), 0.5, size=0.03)
TIME_ALONE = scaled(HELD, SWITCHED, (0, 0), 0.9, size=0.15)
BEND_ALONE = scaled(HELD, SWITCHED, (0, 0), 1.2, size=0.15, flat=1.6)
UNDER_COSINE = scaled(COSINE, NO_DECAY, (1, -1), 0.5, size=0.03)
UNDER_DROP = scaled(DROPPED, NO_DECAY, (1, -1), 0.5, size=0.03)
WRONG = (HOLDS, FAILS)
CASES: tuple[Case, ...] = (
    Case("norms", "‖W‖ ∝ t^0.1, noise 2%", growing(NORM, 0.1, 0.02), (HOLDS,), truth=True),
    Case("norms", "‖W‖ ∝ t^−0.1, noise 2%", growing(NORM, -0.1, 0.02), (FAILS,), truth=True),
    Case("norms", "‖W‖ constant, noise 2%", growing(NORM, 0.0, 0.02), WRONG, truth=False),
    Case("condition", "σ₁/σ_r levels off, noise 0.5%", growing(CONDITION, 0.5, 0.005, 1.0), (HOLDS,), truth=True),
    Case("condition", "σ₁/σ_r ∝ t^0.5, noise 0.5%", growing(CONDITION, 0.5, 0.005), (FAILS,), truth=True),
    Case("condition", "σ₁/σ_r levels off, noise 0.5%", growing(CONDITION, 0.5, 0.005, 1.0), (FAILS,), truth=False),
    Case("condition", "σ₁/σ_r ∝ t^0.5, noise 0.5%", growing(CONDITION, 0.5, 0.005), (HOLDS,), truth=False),
    Case("learning_rate", "η·‖W‖⁻¹·t^−0.5, WSD, weight decay switched on, noise 3%", BOTH, (HOLDS,), truth=True),
    Case("norm", "η·‖W‖⁻¹·t^−0.5, WSD, weight decay switched on, noise 3%", BOTH, (HOLDS,), truth=True),
    Case("learning_rate", "t^−0.9, likewise, noise 15%", TIME_ALONE, (HOLDS,), truth=False),
    Case("norm", "t^−0.9, likewise, noise 15%", TIME_ALONE, (HOLDS,), truth=False),
    Case("learning_rate", "t^−1.2, then a floor, likewise, noise 15%", BEND_ALONE, (HOLDS,), truth=False),
    Case("norm", "t^−1.2, then a floor, likewise, noise 15%", BEND_ALONE, (HOLDS,), truth=False),
    Case("norm", "η·‖W‖⁻¹·t^−0.5, cosine, no weight decay, noise 3%", UNDER_COSINE, (INSEPARABLE,), truth=True),
    Case("learning_rate", "η·‖W‖⁻¹·t^−0.5, a drop, no weight decay, noise 3%", UNDER_DROP, (HOLDS,), truth=True),
    Case(
        "value", "V settles at a third of the step of Q and K, noise 5%", settling(500.0), (HOLDS,), truth=True,
        reason="before them",
    ),
    Case("value", "V settles where Q and K do, noise 5%", settling(1500.0), (HOLDS,), truth=False),
    Case("fall", "fall ≤ rate, a drop of η, noise 20%", falling(1.0, 0.0, 0.2), (HOLDS,), truth=True),
    Case("ceiling", "fall ≤ rate, a drop of η, noise 20%", falling(1.0, 0.0, 0.2), (HOLDS,), truth=True),
    Case("fall", "fall ∝ t^−1.3, rate ∝ t^−0.9, a drop of η, noise 20%", falling(0.0, 1.3, 0.2), WRONG, truth=False),
    Case("ceiling", "fall ≤ t^−1.3, rate ∝ t^−0.9, a drop of η, noise 20%", falling(0.0, 1.3, 0.2), WRONG, truth=False),
)  # fmt: skip
