"""How often a second phase is claimed where there is none: a hundred seeds of each series that looks like one."""

import numpy as np
import pytest

from spectra_cli.studies.stability.onset import find_onset, law_of_gaps

SEEDS = 100
MOST = 7
PYTHIA = np.append(2.0 ** np.arange(10), np.arange(1000.0, 143_001.0, 1000.0))
slow = pytest.mark.slow


def claims(series):
    """Count the seeds for which a series, given by its random numbers, is said to have a second phase."""
    count = 0
    for seed in range(SEEDS):
        steps, logs, gaps = series(np.random.default_rng(seed))
        after = int(np.argmax(logs)) + 1
        onset = find_onset(steps[after:], np.exp(logs[after:]), gaps=gaps[after:])
        count += onset.step is not None and onset.phase != "rise"
    return count


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
    assert claims(falling(lambda x: -0.9 * x, correlation)) <= MOST


@slow
@pytest.mark.parametrize("exponents", [(-1.2, -0.6), (-1.1, -0.8)])
def test_an_exponent_that_drifts_is_no_phase(exponents):
    first, last = exponents
    assert claims(falling(lambda x: first * x + (last - first) * x**2 / (2 * np.log(1000)))) <= MOST


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


def test_the_law_of_the_gaps_counts_only_where_it_changes():
    assert law_of_gaps(np.log(PYTHIA), gaps_of(PYTHIA)) is not None
    even = np.arange(1000.0, 60_000.0, 1000.0)
    assert law_of_gaps(np.log(even), gaps_of(even)) is None
    for seed in range(10):
        steps = uneven_steps(np.random.default_rng(seed))[10:]
        assert law_of_gaps(np.log(steps), np.diff(np.append(steps[0] / 1.3, steps))) is None
