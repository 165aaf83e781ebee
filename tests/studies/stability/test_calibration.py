"""How often planted breakpoints are found, over a hundred seeds: 40 checkpoints, 15% noise, uneven steps."""

import pytest

from spectra_cli.studies.stability import stability
from tests.support.planted_runs import DECLINE, FLOOR, STRAIGHT, covers, plant, within_one

pytestmark = pytest.mark.slow


def found_over_a_hundred_seeds(course):
    return [stability(plant(course, checkpoints=40, noise=0.15, seed=seed)) for seed in range(100)]


def test_the_onset_of_a_floor_lies_within_one_checkpoint_and_its_interval_covers_it():
    found = found_over_a_hundred_seeds(FLOOR)
    assert sum(map(within_one, found)) >= 95
    assert 85 <= sum(map(covers, found)) <= 95


def test_the_interval_covers_the_onset_of_a_slow_decline():
    found = found_over_a_hundred_seeds(DECLINE)
    assert sum(map(within_one, found)) >= 85  # the shallower bend is known less well: docs/studies/stability.md
    assert 85 <= sum(map(covers, found)) <= 95


def test_a_run_without_a_second_phase_is_called_so():
    found = found_over_a_hundred_seeds(STRAIGHT)
    assert sum(run.groups[0].onset.step is None for run in found) >= 95
    assert all(run.groups[0].onset.reason for run in found if run.groups[0].onset.step is None)
