"""What the learning rate does beside what time does: planted exponents, and schedules that hide them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability import RateSeries
from spectra_cli.studies.stability.learning_rate import responses
from spectra_cli.studies.stability.onset import find_onset
from spectra_cli.studies.stability.rivals import COURSES, with_power_of
from tests.studies.stability.test_nulls import correlated

SEEDS = 60
LAST = 2000
STEPS = np.linspace(0, LAST, 41)


def cosine(steps):
    return np.where(steps < 100, (steps + 1) / 101, 0.1 + 0.45 * (1 + np.cos(np.pi * (steps - 100) / (LAST - 100))))


def held_then_lowered(steps):
    return np.where(steps < 100, (steps + 1) / 101, np.where(steps < 1600, 1.0, 1 - 0.9 * (steps - 1600) / 400))


def dropped(steps):
    return np.where(steps < 100, (steps + 1) / 101, np.where(steps < 1000, 1.0, 0.3))


def powers(steps):
    return np.where(steps < 100, 1.0, (np.maximum(steps, 100.0) / 100) ** -0.5)


def response(schedule, exponent, decline, *, correlation=0.0, seed=0):
    """Return what the last lowering is said to do to rates ∝ lr^exponent · t^−decline with 15% noise."""
    every = np.arange(LAST + 1.0)
    rates = 1e-3 * schedule(every)
    means = np.array([rates[int(a) : int(b) + 1].mean() for a, b in zip(STEPS[:-1], STEPS[1:], strict=True)])
    noise = 0.15 * correlated(np.random.default_rng(seed), 40, correlation)
    values = means**exponent * STEPS[1:] ** -decline * np.exp(noise)
    frame = pd.DataFrame({"step": every.astype(int), "loss": 5.0, "train_loss": np.nan, "val_loss": 5.0, "lr": rates})
    log, ends = Losses(Path("log.jsonl"), frame, "validation", {}), STEPS[1:].astype(int)
    peak = int(ends[np.argmax(values)])
    return responses(log, RateSeries(ends, values), STEPS[:-1].astype(int), peak)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize(("exponent", "decline"), [(0.0, 0.9), (1.0, 0.5)])
@pytest.mark.parametrize("schedule", [cosine, held_then_lowered, dropped])
def test_the_interval_holds_the_planted_exponent(schedule, exponent, decline, correlation):
    found = [response(schedule, exponent, decline, correlation=correlation, seed=seed) for seed in range(SEEDS)]
    intervals = [one.interval for one in found if one.interval]
    assert len(intervals) >= 0.9 * SEEDS
    assert sum(low <= exponent <= high for low, high in intervals) >= 0.85 * len(intervals)
    assert np.mean([one.elasticity for one in found if one.interval]) == pytest.approx(exponent, abs=0.1)


@pytest.mark.slow
def test_a_rate_that_ignores_a_learning_rate_lowered_at_the_end_is_not_said_to_follow_it():
    found = [response(held_then_lowered, 0.0, 0.9, correlation=0.8, seed=seed).interval for seed in range(400)]
    assert sum(not low <= 0 <= high for low, high in found) <= 0.07 * len(found)


def test_a_rate_that_falls_with_time_under_a_cosine_is_not_the_learning_rate_s():
    low, high = response(cosine, 0.0, 0.9).interval
    assert low < 0 < high < 0.5


def test_a_learning_rate_that_is_a_power_of_the_step_cannot_be_separated_from_time():
    assert response(powers, 1.0, 0.5).elasticity is None


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_a_quotient_by_a_learning_rate_that_does_not_matter_so_much_has_no_bend(exponent):
    steps = np.unique(np.append(np.geomspace(2, 100, 8), np.linspace(100, LAST, 33)[1:]).round())
    rates, x = np.where(steps < 100, 1.0, cosine(steps)), np.log(steps / 100)
    claims = 0
    for seed in range(SEEDS):
        noise = 0.15 * np.random.default_rng(seed).standard_normal(len(steps))
        logs = np.where(x <= 0, x, -0.9 * x) + exponent * np.log(rates) + noise
        after = int(np.argmax(logs)) + 1
        quotient = (np.exp(logs) / rates)[after:]
        onset = find_onset(steps[after:], quotient, rivals=(*COURSES, with_power_of(rates[after:])))
        claims += onset.step is not None and onset.phase != "rise"
    assert claims <= 0.07 * SEEDS
