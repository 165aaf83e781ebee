"""Whether series that are independent are said to go together: a hundred seeds of each, and some that share noise."""

import numpy as np
import pytest

from spectra_cli.studies.stability.together import FEWEST, beyond_trends
from tests.studies.stability.test_nulls import correlated, uneven_steps

SEEDS = 100
MOST = 7


def walk(random, x):
    return 0.1 * np.cumsum(random.standard_normal(len(x)))


def wandering(random, x):
    return 0.3 * correlated(random, len(x), 0.8)


def falling(random, x):
    return -random.uniform(0.5, 1.3) * x + 0.3 * random.standard_normal(len(x))


def settling(random, x):
    return -np.minimum(x, 7.0) + 0.15 * random.standard_normal(len(x))


def said(pair, count):
    """Count the seeds for which two series, given by their random numbers, are said to go together or against."""
    answers = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        x = np.log(uneven_steps(random, count))
        answers.append(beyond_trends(x, *pair(random, x)))
    return sum(answer is not None and answer[1] < 0.05 for answer in answers)


@pytest.mark.slow
@pytest.mark.parametrize("count", [14, 40])
@pytest.mark.parametrize("series", [walk, wandering, falling, settling])
def test_independent_series_do_not_go_together(series, count):
    assert said(lambda random, x: (series(random, x), series(random, x)), count) <= MOST


@pytest.mark.slow
def test_series_that_share_their_noise_go_together():
    def sharing(random, x):
        shared = 0.3 * random.standard_normal(len(x))
        return [slope * x + shared + 0.15 * random.standard_normal(len(x)) for slope in (-0.5, -1.3)]

    assert said(sharing, 40) >= 90


def test_a_shared_swing_is_seen_beyond_two_different_falls():
    x = np.linspace(0, 5, 30)
    swing = np.random.default_rng(0).standard_normal(30)
    rho, p = beyond_trends(x, -x + 0.1 * swing, -3 * x + 0.2 * swing)
    assert rho == pytest.approx(1)
    assert p < 0.001


def test_few_points_or_a_series_without_news_give_no_answer():
    x = np.linspace(0, 5, FEWEST)
    noise = np.random.default_rng(0).standard_normal(FEWEST)
    assert beyond_trends(x[:-1], noise[:-1], noise[:-1]) is None
    assert beyond_trends(x, noise, -2 * x) is None
