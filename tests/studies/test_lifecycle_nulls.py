"""What the studies over depth say where there is nothing: a hundred seeds of each series that looks like a finding."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.lifecycle import CHANCE
from spectra_cli.studies.lifecycle.alpha_and_loss import alpha_and_loss
from spectra_cli.studies.lifecycle.asymmetry import spread_ratio
from spectra_cli.studies.lifecycle.dissociation import dissociation
from spectra_cli.studies.lifecycle.gradients import gradient, is_inverted_u, trend, trends
from spectra_cli.studies.lifecycle.timescales import compare
from spectra_cli.studies.lifecycle.waves import arrival
from spectra_cli.studies.null_exponents import deviation, null_exponents, spread_range
from spectra_cli.studies.regression import estimate
from spectra_cli.studies.scaling import power_law

SEEDS = range(100)
MOST = 7
STEPS = np.unique(np.append(0, np.geomspace(5, 10_000, 39).round()))
CORRELATIONS = [0.0, 0.3, 0.5, 0.8, 1.0]
slow = pytest.mark.slow


def neighbours(random, count, correlation, columns=1):
    """Gaussian values, each like the one before it; where the correlation is 1, a random walk."""
    values = random.standard_normal((count, columns))
    for index in range(1, count):
        fresh = values[index] * (np.sqrt(1 - correlation**2) if correlation < 1 else 1)
        values[index] = correlation * values[index - 1] + fresh
    return values


@slow
@pytest.mark.parametrize("layers", [6, 12, 24])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_layers_like_their_neighbours_make_no_gradient_and_no_inverted_u(layers, correlation):
    fits = trends(0.3 + 0.02 * neighbours(np.random.default_rng(11), layers, correlation, 1000))
    assert sum(fit.slope_p < CHANCE for fit in fits) <= 10 * MOST
    assert sum(is_inverted_u(fit, fit.curvature_p) for fit in fits) <= 10 * MOST


@slow
@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_layers_like_their_neighbours_do_not_part_rank_from_shape(turns, correlation):
    """The layers' own values stay over the steps, beside noise of each; compression turns, or wanders likewise."""
    depth, claimed = np.linspace(-0.5, 0.5, 12)[:, None], 0
    turning = 4 * (np.log1p(STEPS) - np.log1p(500)) if turns else 0
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        first, last, exponent = (neighbours(random, 12, correlation) for _ in range(3))
        course = STEPS / STEPS[-1]
        rank = 30 + turning * depth + (1 - course) * first + course * last
        shape = exponent + 0.1 * random.standard_normal((12, len(STEPS)))
        claimed += dissociation(gradient(STEPS, rank), gradient(STEPS, shape)).claimed
    assert claimed <= MOST


def with_a_loss(seed, correlation, shared, points):
    """An exponent that rises and a loss that falls; of the noise of either, a share of the variance is the other's."""
    random, steps = np.random.default_rng(seed), np.unique(np.append(0, np.geomspace(5, 10_000, points - 1).round()))
    own, other = (neighbours(random, len(steps), correlation)[:, 0] for _ in range(2))
    other = np.sqrt(shared) * own + np.sqrt(1 - shared) * other
    faded = np.log1p(steps) / np.log1p(steps[-1])
    log = pd.DataFrame({"step": steps.astype(int), "loss": 5 - 3 * faded - 0.02 * other})
    exponent = 0.3 + 0.3 * faded**2 + 0.005 * own
    return alpha_and_loss(steps.astype(int), exponent, Losses(Path(), log, "validation", {}))


@slow
@pytest.mark.parametrize("points", [14, 40])
@pytest.mark.parametrize("correlation", CORRELATIONS[:-1])
def test_an_exponent_and_a_loss_that_merely_change_do_not_go_together(points, correlation):
    assert sum(with_a_loss(seed, correlation, 0.0, points).claimed for seed in SEEDS) <= MOST


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_an_exponent_and_a_loss_that_share_their_noise_go_together(correlation):
    found = [with_a_loss(seed, correlation, 0.9, 40) for seed in SEEDS]
    assert sum(one.claimed and one.rho < 0 for one in found) >= 95


@slow
@pytest.mark.parametrize("layers", [6, 12])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_layers_like_their_neighbours_make_no_wave(layers, correlation):
    waves = 0
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        halves = 500 * np.exp((0.1 if correlation == 1 else 0.2) * neighbours(random, layers, correlation))
        compressed = 70 * (1 - 0.5 ** (STEPS / halves)) * (1 + 0.005 * random.standard_normal((layers, len(STEPS))))
        waves += arrival(STEPS, compressed).p < CHANCE
    assert waves <= MOST


@slow
@pytest.mark.parametrize("correlation", CORRELATIONS[:-1])
def test_intervals_hold_what_was_planted_whatever_neighbours_share(correlation):
    depth = np.linspace(0, 1, 12)
    values = (0.3 * depth - 0.5 * depth**2)[:, None] + 0.02 * neighbours(np.random.default_rng(1), 12, correlation, 400)
    powers = np.vander(depth, 3, increasing=True)
    bent = estimate(powers, np.array([0.0, 0.0, 1.0]), values, level=0.9)
    assert np.mean((bent.low <= -0.5) & (bent.high >= -0.5)) >= 0.85
    for fit in trends(values)[:20]:
        assert (fit.slope_p < CHANCE) == (not fit.slope_interval[0] <= 0 <= fit.slope_interval[1])
        opens_downwards = fit.curvature_interval[1] < 0
        assert (fit.curvature_p < CHANCE) == opens_downwards


def test_an_interval_leaves_out_zero_where_the_claim_is_made_and_nowhere_else():
    depth = np.linspace(0, 1, 10)
    for seed in range(20):
        values = 0.06 * depth + 0.02 * np.random.default_rng(seed).standard_normal(10)
        for fit in (trend(values), trend(values, tests=6)):
            low, high = fit.slope_interval
            assert low <= fit.slope <= high
            assert (fit.slope_p < CHANCE) == (not low <= 0 <= high)
    assert fit.level == pytest.approx(1 - 0.05 / 6)


def test_a_profile_without_noise_is_a_slope_and_a_level_one_is_none():
    depth = np.linspace(0, 1, 6)
    straight, level = trend(3 + 0.2 * depth), trend(np.full(6, 0.1 + 0.2))
    assert straight.slope == pytest.approx(0.2)
    assert straight.slope_p < CHANCE
    assert (level.slope, level.slope_p, level.curvature_p) == (0, 1, 0.5)


def test_the_end_is_judged_alone_however_many_checkpoints_came_before():
    random = np.random.default_rng(0)
    late = 0.06 * np.linspace(0, 1, 12)[:, None] + 0.005 * random.standard_normal((12, 4))
    early = 0.02 * random.standard_normal((12, 60))
    steps = np.arange(64)
    short, whole = gradient(steps[:4], late), gradient(steps, np.hstack([early, late]))
    for name in ("slope", "slope_interval", "slope_p", "curvature", "curvature_interval", "curvature_p"):
        assert getattr(short.last, name) == pytest.approx(getattr(whole.last, name), rel=1e-9)
    assert whole.last.slope_p < CHANCE


ASYMMETRY_NULLS = {
    "all alike": lambda random, layers: random.standard_normal((4, layers)),
    "one role far, one near, in each group": lambda random, layers: (
        random.standard_normal((4, layers)) * np.array([[1.4], [0.2], [0.2], [1.4]])
    ),
    "one role far, one near, in q and k": lambda random, layers: (
        random.standard_normal((4, layers)) * np.array([[1.4], [0.2], [1.0], [1.0]])
    ),
    "neighbours alike": lambda random, layers: neighbours(random, layers, 0.8, 4).T,
    "q and k alike in each layer": lambda random, layers: np.vstack(
        [
            random.standard_normal(layers) + 0.2 * random.standard_normal((2, layers)),
            1.02 * random.standard_normal((2, layers)),
        ]
    ),
    "heavy tails": lambda random, layers: random.standard_t(3, (4, layers)),
    "a first layer apart": lambda random, layers: (
        random.standard_normal((4, layers)) * np.where(np.arange(layers) == 0, 5, 1)
    ),
}


@slow
@pytest.mark.parametrize("null", ASYMMETRY_NULLS)
@pytest.mark.parametrize("layers", [6, 12, 24])
def test_groups_that_spread_alike_are_not_told_apart(null, layers):
    findings = []
    for seed in SEEDS:
        values = ASYMMETRY_NULLS[null](np.random.default_rng(seed), layers)
        findings.append(spread_ratio(values[:2], values[2:]))
    assert sum(found.p < CHANCE for found in findings) <= MOST
    assert sum(found.interval[0] <= 1 <= found.interval[1] for found in findings) >= 90


def falling(tau):
    return np.exp(-STEPS / tau)


def noise(random, size, correlation=0.0):
    return size * neighbours(random, len(STEPS), correlation)[:, 0]


def alike(correlation):
    """The same clock for both, with noise that neighbouring checkpoints share."""

    def series(random):
        ranks = 20 + 80 * falling(300) + noise(random, 2, correlation)
        return ranks, 0.5 - 0.25 * falling(300) + noise(random, 0.007, correlation)

    return series


def of_the_rank(fold, curved=0.0):
    """The exponent follows the logarithm of the stable rank, in a line or a parabola."""

    def series(random):
        ranks = (100 / fold + (100 - 100 / fold) * falling(300)) * np.exp(noise(random, 0.01))
        logs = np.log(ranks / 100)
        return ranks, 0.4 - 0.15 * logs - curved * logs**2 + noise(random, 0.003)

    return series


def walking(random):
    return 50 + np.cumsum(noise(random, 1)), 0.4 + np.cumsum(noise(random, 0.01))


def powers(random):
    fallen = (1 + STEPS / 100) ** -0.5
    return 20 + 80 * fallen + noise(random, 2), 0.5 - 0.25 * fallen + noise(random, 0.007)


CLOCK_NULLS = {
    "one clock": alike(0.0), "one clock, correlation 0.5": alike(0.5), "one clock, correlation 0.8": alike(0.8),
    "a line in ln R, twofold": of_the_rank(2), "a line in ln R, fivefold": of_the_rank(5),
    "a line in ln R, tenfold": of_the_rank(10), "a parabola in ln R": of_the_rank(5, -0.03),
    "a parabola in ln R, the other way": of_the_rank(5, 0.06), "random walks": walking, "power laws": powers,
}  # fmt: skip


def verdicts(series):
    return [compare(STEPS, *series(np.random.default_rng(seed))) for seed in SEEDS[::2]]


def test_ranks_that_are_none_leave_the_comparison_with_those_that_are():
    ranks, exponents = 20 + 80 * falling(300), 0.5 - 0.25 * falling(900)
    ranks[[3, 7, 9]] = 0.0, -1.0, np.nan
    assert compare(STEPS, ranks, exponents).gain is not None
    assert compare(STEPS, -ranks, exponents).gain is None


@slow
@pytest.mark.parametrize("null", CLOCK_NULLS)
def test_one_clock_or_none_is_not_called_two(null):
    assert sum(found.two_clocks for found in verdicts(CLOCK_NULLS[null])) <= MOST // 2


@slow
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("taus", [(300, 900), (900, 300)])
def test_two_clocks_are_told_apart_and_their_intervals_hold(taus, correlation):
    def series(random):
        ranks = 5 + 35 * falling(taus[0]) + noise(random, 0.7, correlation)
        return ranks, 0.6 - 0.3 * falling(taus[1]) + noise(random, 0.006, correlation)

    found = verdicts(series)
    assert sum(one.two_clocks and (one.ratio > 1) == (taus[1] > taus[0]) for one in found) >= 43
    for fits, tau in (([one.rank for one in found], taus[0]), ([one.alpha for one in found], taus[1])):
        assert sum(fit.tau_interval[0] <= tau <= fit.tau_interval[1] for fit in fits) >= 43


@slow
@pytest.mark.parametrize("depths", [(8, 12, 16), (4, 6, 8, 12, 16), (12, 24, 16, 24, 36, 12, 8, 16, 30)])
@pytest.mark.parametrize("draw", ["standard_normal", "heavy"])
def test_the_range_of_chance_values_grows_with_depth_and_is_no_law(depths, draw):
    layers, claimed, naive = np.array(depths, float), np.zeros(2), 0
    for seed in range(2 * len(SEEDS)):
        random = np.random.default_rng(seed)
        profiles = [
            random.standard_normal(count) if draw == "standard_normal" else random.standard_t(3, count)
            for count in depths
        ]
        for index, spread in enumerate((spread_range, deviation)):
            values = np.array([spread(profile) for profile in profiles])
            null = null_exponents(profiles, layers, spread)
            law = power_law(layers, values, "Δα", "layers", null=null)
            claimed[index] += law.p < CHANCE and law.exponent > null[1]
            naive += index == 0 and power_law(layers, values, "Δα", "layers").p < CHANCE
    assert (claimed <= 2 * MOST).all()
    if len(depths) > 3:
        assert naive > 3 * MOST, "what the null exponent is for"
