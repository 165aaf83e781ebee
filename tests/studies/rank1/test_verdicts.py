"""Verdicts on planted sequences: a line that oscillates is found, and nothing that merely drifts is taken for one."""

import numpy as np
import pytest

from spectra_cli.studies.rank1 import Group, study_group
from tests.support.planted_sequences import gram_of, line, noise, walk

COUNT, WINDOW, DRAWS = 20, 5, 100

DRIFTS = {
    "a random walk": lambda random: walk(random, COUNT),
    "a random walk in twenty directions": lambda random: walk(random, COUNT, 20),
    "a random walk of uneven directions": lambda random: walk(random, COUNT, 2000, decay=1.0),
    "a persistent walk": lambda random: walk(random, COUNT, persistence=0.8),
    "a very persistent walk": lambda random: walk(random, COUNT, persistence=0.9),
    "white noise": lambda random: noise(random, COUNT),
}
OSCILLATIONS = ("noise", "alternating", "sine")


def found(points, seed=0):
    return study_group(Group("all", gram_of(points), points.shape[1]), WINDOW, draws=DRAWS, seed=seed)


@pytest.mark.parametrize("share", [0.7, 0.9, 0.99])
@pytest.mark.parametrize("oscillation", OSCILLATIONS)
def test_the_share_of_a_planted_line_is_found_within_a_hundredth(share, oscillation):
    result = found(line(np.random.default_rng(1), COUNT, share, oscillation=oscillation))
    assert result.raw.shares[0] == pytest.approx(share, abs=0.01)
    assert sum(result.raw.shares) == pytest.approx(1, abs=0.03)


def test_a_line_is_one_dimensional_and_a_walk_is_not():
    random = np.random.default_rng(2)
    assert found(line(random, COUNT, 0.9)).merged.verdict == "one-dimensional"
    assert found(walk(random, COUNT)).merged.verdict == "not beyond drift"


def test_few_merged_checkpoints_get_no_verdict():
    points = line(np.random.default_rng(3), 9, 0.9)
    result = found(points)
    assert len(result.merged.points) == 5
    assert result.merged.verdict == "too few checkpoints"
    assert result.raw.verdict == "one-dimensional"


def test_the_nulls_of_an_endless_walk_are_its_exact_limits():
    steps = np.arange(COUNT)
    brownian = np.minimum(steps[:, None], steps[None, :]).astype(float)
    result = study_group(Group("all", brownian, 10**9), WINDOW)
    assert result.raw.null_walk.share == pytest.approx(0.611, abs=0.001)
    assert result.merged.null_walk.share == pytest.approx(0.768, abs=0.001)
    assert result.halves.cosine == pytest.approx(0)
    assert result.raw.update_cosine == pytest.approx(0)
    assert result.merged.update_cosine == pytest.approx(1 - 1 / WINDOW)


@pytest.mark.slow
def test_the_null_of_a_walk_spreads_as_walks_in_as_many_directions_do():
    random = np.random.default_rng(4)
    shares = [found(walk(random, COUNT, 50)).raw for _ in range(40)]
    expected = np.std([sequence.shares[0] for sequence in shares])
    widths = [(sequence.null_walk.interval[1] - sequence.null_walk.interval[0]) / 3.92 for sequence in shares]
    assert np.median(widths) == pytest.approx(expected, rel=0.35)


def test_a_step_is_parted_into_progress_and_oscillation():
    points = np.zeros((COUNT, 3))
    points[:, 0] = np.arange(COUNT)
    points[:, 1] = 2 * (-1.0) ** np.arange(COUNT)
    steps = study_group(Group("all", gram_of(points), 3), 2).steps
    assert steps.progress == pytest.approx(1 / 17, abs=1e-9)
    assert steps.back_and_forth == pytest.approx(0, abs=1e-9)
    assert steps.across == pytest.approx(16 / 17, abs=1e-9)


def test_the_same_seed_gives_the_same_findings_and_another_seed_others():
    points = walk(np.random.default_rng(5), COUNT)
    assert found(points) == found(points)
    assert found(points) != found(points, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRIFTS)
def test_what_merely_drifts_is_taken_for_a_line_in_few_of_a_hundred_seeds(kind):
    results = [found(DRIFTS[kind](np.random.default_rng(seed)), seed) for seed in range(100)]
    for sequences in ([result.raw for result in results], [result.merged for result in results]):
        assert sum(sequence.verdict == "one-dimensional" for sequence in sequences) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("oscillation", OSCILLATIONS)
def test_a_line_that_oscillates_is_found_in_nearly_all_of_a_hundred_seeds(oscillation):
    lines = (line(np.random.default_rng(seed), COUNT, 0.9, oscillation=oscillation) for seed in range(100))
    results = [found(points, seed) for seed, points in enumerate(lines)]
    assert sum(result.merged.verdict == "one-dimensional" for result in results) >= 95
    assert sum(result.raw.verdict == "one-dimensional" for result in results) >= 95
