"""How often a second phase is claimed where there is none: a hundred seeds of each series that looks like one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.loss import loss_onset
from spectra_cli.studies.stability.onset import find_onset, law_of_gaps

SEEDS = 100
MOST = 7
PYTHIA = np.append(2.0 ** np.arange(10), np.arange(1000.0, 143_001.0, 1000.0))
slow = pytest.mark.slow


def claims(series, seeds=SEEDS):
    """Return of how many in a hundred a series, given by its random numbers, is said to have a second phase."""
    count = 0
    for seed in range(seeds):
        steps, logs, gaps = series(np.random.default_rng(seed))
        after = int(np.argmax(logs)) + 1
        onset = find_onset(steps[after:], np.exp(logs[after:]), gaps=gaps[after:])
        count += onset.step is not None and onset.phase != "rise"
    return count * 100 / seeds


def uneven_steps(random, count=40):
    x = np.linspace(0.0, np.log(60_000.0), count)
    x[1:-1] += random.uniform(-0.3, 0.3, count - 2) * x[1]
    return np.unique(np.rint(np.exp(x)))


def correlated(random, count, correlation):
    noise = random.standard_normal(count)
    for index in range(1, count):
        noise[index] = correlation * noise[index - 1] + np.sqrt(1 - correlation**2) * noise[index]
    return noise


def gaps_of(steps):
    return np.diff(np.concatenate([[0.0], steps]))


def falling(fall, correlation=0.0, noise=0.15):
    """Return a series that rises to step 60 and then falls as ln(rate) = fall(ln(step / 60))."""

    def series(random):
        steps = uneven_steps(random)
        x = np.log(steps / 60)
        return steps, np.where(x <= 0, x, fall(x)) + noise * correlated(random, len(steps), correlation), gaps_of(steps)

    return series


def diffusing(steps, diffusivity):
    """Return the rate of 64 shares that walk at random: what a run that never changes its phase looks like."""

    def series(random):
        gaps = gaps_of(steps)
        moved = random.standard_normal((len(steps), 64)) * np.sqrt(diffusivity(steps) * gaps)[:, None]
        return steps, np.log(np.linalg.norm(moved, axis=1) / gaps), gaps

    return series


@slow
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5, 0.8])
def test_noise_from_one_checkpoint_to_the_next_is_no_phase(correlation):
    assert claims(falling(lambda x: -0.9 * x, correlation), seeds=200) <= MOST


@slow
@pytest.mark.parametrize("exponents", [(-1.2, -0.6), (-1.1, -0.8)])
def test_an_exponent_that_drifts_is_no_phase(exponents):
    first, last = exponents
    assert claims(falling(lambda x: first * x + (last - first) * x**2 / (2 * np.log(1000)))) <= MOST


@slow
def test_a_power_law_that_swings_about_its_fall_has_no_phase_on_pythias_grid():
    def series(random):
        x, swell = np.log(PYTHIA / 60), 2 * np.pi * np.log(PYTHIA) / np.log(8)
        logs = np.where(x <= 0, x, -0.9 * x + 0.1 * np.sin(swell + random.uniform(0, 2 * np.pi)))
        return PYTHIA, logs + 0.15 * random.standard_normal(len(x)), gaps_of(PYTHIA)

    assert claims(series, seeds=30) <= MOST


@slow
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_floor_whose_noise_is_correlated_is_not_said_to_rise_or_fall(correlation):
    floor = falling(lambda x: -1.2 * np.minimum(x, np.log(25)), correlation)
    phases = []
    for seed in range(SEEDS):
        steps, logs, _ = floor(np.random.default_rng(seed))
        after = int(np.argmax(logs)) + 1
        phases.append(find_onset(steps[after:], np.exp(logs[after:])).phase)
    assert phases.count("rise") <= MOST
    assert phases.count("slow decline") <= MOST
    assert phases.count("floor") >= 85


@slow
@pytest.mark.parametrize("fall", [lambda t: t**0, lambda t: 1 / t], ids=["constant", "falling"])
@pytest.mark.parametrize(
    "steps", [PYTHIA, np.unique(np.geomspace(1, 143_000, 40).round()), PYTHIA[10:]], ids=["Pythia's", "ratio", "length"]
)
def test_spectra_that_only_diffuse_have_no_phase_on_any_grid(steps, fall):
    assert claims(diffusing(steps, fall)) <= MOST


@slow
@pytest.mark.parametrize("exponent", [0.1, 0.2, 0.3])
def test_a_rate_that_depends_on_the_gap_has_no_phase_on_pythias_grid(exponent):
    def series(random):
        gaps = gaps_of(PYTHIA)
        x = np.log(PYTHIA / 64)
        logs = np.where(x <= 0, x, -0.9 * x - exponent * np.log(gaps / 64))
        return PYTHIA, logs + 0.15 * random.standard_normal(len(x)), gaps

    assert claims(series) <= MOST


@slow
def test_a_floor_that_begins_where_the_gaps_are_constant_is_seen_on_pythias_grid():
    def series(random):
        x = np.log(PYTHIA / 64)
        logs = np.where(x <= 0, x, -1.2 * np.minimum(x, np.log(10_000 / 64)))
        return PYTHIA, logs + 0.15 * random.standard_normal(len(x)), gaps_of(PYTHIA)

    assert claims(series) >= 90


def logged(last, loss, correlation, random):
    """Return a training log of 2,000 losses to a last step, with noise of 0.02."""
    steps = np.arange(1.0, last + 1, max(1, last // 2000))
    losses = loss(steps) + 0.02 * correlated(random, len(steps), correlation)
    frame = pd.DataFrame({"step": steps.astype(int), "loss": losses, "train_loss": losses, "val_loss": np.nan})
    return Losses(Path("log.jsonl"), frame.assign(lr=np.nan), "training", {})


def loss_bends(loss, last, correlation, seeds):
    """Return of how many in a hundred a loss is said to bend."""
    found = [loss_onset(logged(last, loss, correlation, np.random.default_rng(seed))) for seed in range(seeds)]
    return sum(onset.step is not None for onset in found) * 100 / seeds


@slow
@pytest.mark.parametrize("last", [1000, 100_000])
@pytest.mark.parametrize("exponent", [0.1, 0.3])
def test_a_loss_that_follows_a_power_law_does_not_bend_however_long_its_log(exponent, last):
    assert loss_bends(lambda t: 1.8 + 6 * t**-exponent, last, 0.0, seeds=30) <= MOST


@slow
def test_a_power_law_with_correlated_noise_does_not_bend():
    assert loss_bends(lambda t: 1.8 + 6 * t**-0.3, 10_000, 0.8, seeds=30) <= MOST


@slow
def test_a_loss_that_bends_is_seen_to():
    def broken(t):
        return 9 - 0.8 * np.log(np.minimum(t, 250)) - 0.2 * np.log(np.maximum(t / 250, 1))

    assert loss_bends(broken, 10_000, 0.0, seeds=30) >= 90


def test_a_power_law_s_loss_is_said_to_flatten_gradually():
    found = loss_onset(logged(10_000, lambda t: 1.8 + 6 * t**-0.3, 0.0, np.random.default_rng(0)))
    assert "it flattens gradually" in found.reason


def test_a_phase_begins_where_most_of_the_slope_is_lost_and_not_where_a_little_more_is():
    steps = np.geomspace(60, 60_000, 60)
    x = np.log(steps / 60)
    logs = -1.2 * np.minimum(x, 2) - 0.4 * np.clip(x - 2, 0, 3) - 0.3 * np.maximum(x - 5, 0)
    noise = 0.001 * np.random.default_rng(0).standard_normal(len(x))
    onset = find_onset(steps, np.exp(logs + noise))
    assert onset.step == pytest.approx(60 * np.exp(2), rel=0.1)
    assert onset.until is None
    shallow = find_onset(steps, np.exp(-1.2 * np.minimum(x, 3) - 0.8 * np.maximum(x - 3, 0) + noise))
    assert "keeps 67% of its slope" in shallow.reason


def test_the_law_of_the_gaps_counts_only_where_it_changes():
    assert law_of_gaps(np.log(PYTHIA), gaps_of(PYTHIA)) is not None
    even = np.arange(1000.0, 60_000.0, 1000.0)
    assert law_of_gaps(np.log(even), gaps_of(even)) is None
    for seed in range(10):
        steps = uneven_steps(np.random.default_rng(seed))[10:]
        assert law_of_gaps(np.log(steps), np.diff(np.append(steps[0] / 1.3, steps))) is None
