"""The Lifecycle study on planted waves, gradients, asymmetries and timescales, each with its null twin."""

import json

import numpy as np
import pandas as pd
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.lifecycle import CHANCE, LifecycleComparison, compare_lifecycles, correct, lifecycle
from spectra_cli.studies.lifecycle.asymmetry import spread_ratio
from spectra_cli.studies.lifecycle.dissociation import dissociation
from spectra_cli.studies.lifecycle.gradients import gradient, is_inverted_u, trend, trends, turns
from spectra_cli.studies.lifecycle.timescales import Decay, decay, ratio_of
from spectra_cli.studies.lifecycle.waves import arrival
from spectra_cli.views.console.lifecycle import lifecycle_json
from spectra_cli.views.sentences.lifecycle import lifecycle_sentences
from tests.support.planted_runs import plant_wave

STEPS = np.unique(np.concatenate([[0], np.geomspace(1, 10_000, 39).round()])).astype(float)
DEPTH = 12
SPEED, PEAK, TURN, TAU = 0.01, 0.6, 500.0, 300.0
SEEDS = range(100)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def wave_of(seed, direction, layers=DEPTH):
    """Compression in %, half of it at 600 steps in the first layer to compress, and 1/SPEED steps later in the next."""
    place = np.arange(layers)
    place = {1: place, -1: layers - 1 - place, 0: 4 * np.ones(layers)}[direction]
    half = 600 + place / SPEED
    clean = 60 / (1 + (half[:, None] / np.maximum(STEPS, 1e-9)) ** 4)
    return clean * (1 + 0.02 * noise(seed, *clean.shape)) + 0.5 * noise(seed + 1000, *clean.shape)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_wave_is_found_with_its_direction_and_velocity(direction):
    found = [arrival(STEPS, wave_of(seed, direction)) for seed in SEEDS]
    assert sum(one.p < CHANCE and np.sign(one.rho) == direction for one in found) >= 95
    assert sum(abs(one.velocity / (SPEED * direction) - 1) < 0.1 for one in found) >= 95


def test_layers_that_compress_together_are_no_wave():
    assert sum(arrival(STEPS, wave_of(seed, 0)).p < CHANCE for seed in SEEDS) <= 7


def test_four_layers_are_never_enough_for_a_wave():
    assert not any(arrival(STEPS, wave_of(seed, 1, 4)).p < CHANCE for seed in range(10))


def test_layers_that_never_compress_have_no_arrival():
    assert not np.isfinite(arrival(STEPS, noise(0, DEPTH, len(STEPS))).half_steps).any()


def alpha_of(seed, curved):
    depth = np.linspace(0, 1, DEPTH)
    return 0.4 - 0.4 * curved * (depth - PEAK) ** 2 + 0.02 * noise(seed, DEPTH)


def test_an_inverted_u_is_found_with_its_peak():
    found = [trend(alpha_of(seed, True)) for seed in SEEDS]
    assert sum(is_inverted_u(one, one.curvature_p) for one in found) >= 88
    assert sum(one.peak is not None and abs(one.peak / PEAK - 1) < 0.1 for one in found) >= 95


def test_a_flat_profile_is_neither_an_inverted_u_nor_a_slope():
    found = [trend(alpha_of(seed, False)) for seed in SEEDS]
    assert sum(is_inverted_u(one, one.curvature_p) for one in found) <= 7
    assert sum(one.slope_p < CHANCE for one in found) <= 7


def turns_of(seed, slopes):
    depth = np.linspace(-0.5, 0.5, DEPTH)
    values = 30 + slopes * depth[:, None] + 0.5 * noise(seed, DEPTH, len(STEPS))
    fits = trends(values)
    return turns(STEPS, np.array([fit.slope for fit in fits]), correct([fit.slope_p for fit in fits]))


def test_a_gradient_that_turns_is_seen_to_at_its_step():
    found = [turns_of(seed, 4 * (np.log1p(STEPS) - np.log1p(TURN))) for seed in SEEDS]
    assert sum(len(one) == 1 for one in found) >= 95
    assert sum(len(one) == 1 and abs(one[0] / TURN - 1) < 0.1 for one in found) >= 95


@pytest.mark.parametrize("slope", [4.0, 0.0])
def test_a_gradient_that_keeps_its_sign_or_has_none_never_turns(slope):
    assert sum(bool(turns_of(seed, np.full(len(STEPS), slope))) for seed in SEEDS) <= 7


TURNING, STAYING = 4 * (np.log1p(STEPS) - np.log1p(TURN)), np.full(len(STEPS), 12.0)


def parted(seed, rank, shape):
    """Compression and an exponent whose slopes over depth are these at each step."""
    depth = np.linspace(-0.5, 0.5, DEPTH)[:, None]
    rank_noise, shape_noise = 0.5 * noise(seed, 2, DEPTH, len(STEPS))
    return dissociation(
        gradient(STEPS, 30 + rank * depth + rank_noise), gradient(STEPS, 30 + shape * depth + shape_noise)
    )


def test_rank_and_shape_that_part_over_depth_are_told():
    found = [parted(seed, TURNING, STAYING) for seed in SEEDS]
    assert sum(one.claimed and abs(one.rank_turns[0] / TURN - 1) < 0.1 for one in found) >= 95
    assert all(one.stays_from in STEPS[:3] for one in found if one.claimed)


@pytest.mark.parametrize(
    ("rank", "shape"), [(TURNING, TURNING), (STAYING, STAYING), (TURNING, 0 * STEPS), (0 * STEPS, STAYING)]
)
def test_rank_and_shape_that_turn_or_stay_together_do_not_part(rank, shape):
    assert sum(parted(seed, rank, shape).claimed for seed in SEEDS) <= 7


def approach(seed, tau, height, level):
    return level + height * np.exp(-STEPS / tau) + 0.02 * abs(height) * noise(seed, len(STEPS))


def test_timescales_are_found_and_told_apart():
    fast = [decay(STEPS, approach(seed, TAU, 35, 5)) for seed in SEEDS]
    slow = [decay(STEPS, approach(seed + 500, 3 * TAU, -0.3, 0.6)) for seed in SEEDS]
    assert sum(abs(one.tau / TAU - 1) < 0.1 for one in fast) >= 95
    assert sum(one.tau_interval[0] <= TAU <= one.tau_interval[1] for one in fast) >= 85
    assert sum(ratio_of(a, b)[1][0] > 1 for a, b in zip(slow, fast, strict=True)) >= 95


def test_equal_timescales_are_not_told_apart():
    pairs = [(decay(STEPS, approach(s, TAU, 35, 5)), decay(STEPS, approach(s + 500, TAU, -0.3, 0.6))) for s in SEEDS]
    assert sum(not ratio_of(*pair)[1][0] <= 1 <= ratio_of(*pair)[1][1] for pair in pairs) <= 7


def test_a_ratio_that_nothing_determines_has_no_end_and_no_warning():
    open_fit = Decay(1.0, (0.0, np.inf), 800.0, 0.0, 1.0, 0.5, 0.1, 6)
    assert ratio_of(open_fit, open_fit) == (1.0, (0.0, np.inf))


def test_a_course_that_approaches_nothing_has_no_timescale():
    assert decay(STEPS, np.full(len(STEPS), 3.0)) is None
    assert decay(STEPS[:5], STEPS[:5]) is None
    assert decay(STEPS, STEPS) is None


def test_roles_that_spread_farther_are_told_and_equal_ones_are_not():
    pairs = [(noise(seed, 2, DEPTH), noise(seed + 500, 2, DEPTH)) for seed in SEEDS]
    assert sum(spread_ratio(3 * a, b).p < CHANCE for a, b in pairs) >= 95
    assert sum(spread_ratio(a, b).p < CHANCE for a, b in pairs) <= 7


def test_p_values_are_corrected_for_the_tests_beside_them():
    assert correct([0.01, 0.02, np.nan, 0.5]).tolist()[:2] == pytest.approx([0.03, 0.03])
    assert np.isnan(correct([0.01, np.nan])[1])


def planted_run(seed=0, layers=8, steps=STEPS):
    """All four roles and the MLP; a wave from the first layer on, α an inverted U, q and k spread as v and o."""
    lines = []
    for role in ("q", "k", "v", "o", "up", "down"):
        lost = wave_of(seed + len(role) + ord(role[0]), 1, layers) / 100
        for layer in range(layers):
            for order, step in enumerate(steps):
                depth = layer / (layers - 1)
                alpha = 0.3 + 0.2 * (1 - np.exp(-step / 900)) - 0.4 * (depth - PEAK) ** 2
                lines.append(
                    {
                        "model": "m", "revision": f"step{step:.0f}", "stage": None, "step": int(step), "tokens": None,
                        "matrix": f"layers.{layer}.{role}", "role": role, "layer": layer, "order": order,
                        "rows": 64, "cols": 64,
                        "stable_rank": 40 * (1 - lost[layer, order]), "entropy": 3 + 0.2 * depth, "alpha": alpha,
                    }
                )  # fmt: skip
    return Run("planted", pd.DataFrame(lines), {})


def test_a_whole_run_is_told_in_sentences_and_as_an_object():
    found = lifecycle(planted_run())
    said = " ".join(lifecycle_sentences(found))
    assert "as a wave, from the first layer to the last" in said
    assert "alpha" in said
    assert "inverted U with its peak at depth 0.6" in said
    assert "entropy rises with depth" in said
    assert "alpha of q" in said
    assert "claims were tested" in said
    (run,) = json.loads(json.dumps(lifecycle_json(LifecycleComparison((found,))), allow_nan=False))["runs"]
    for name in ("compression", "compression_gradient", "wave", "alpha_gradient", "entropy_gradient", "timescales"):
        assert {"value", "interval", "verdict", "n"} <= set(run[name])
    assert {one["quantity"] for one in run["asymmetry"]} == {"compression", "alpha"}
    for one in (*run["asymmetry"], run["compression"]):
        low, high = one["interval"]
        assert low <= one["value"] <= high
    assert {len(course) for course in run["compression"]["by_role"].values()} == {len(STEPS)}
    assert [len(line) for line in run["compression"]["by_layer"]] == [len(STEPS)] * 8
    assert len(run["timescales"]["stable_rank"]["residuals"]) == len(STEPS)


def test_alpha_of_every_layer_has_its_own_timescale():
    found = lifecycle(planted_run()).timescales
    assert [one.tau for one in found.by_layer] == pytest.approx([900] * 8, rel=1e-3)
    assert found.alpha.residual < 1e-9
    assert np.abs(found.alpha.at(STEPS) - found.alpha_series).max() < 1e-8


def test_layers_that_were_not_scanned_leave_gaps_and_shift_no_other():
    whole = planted_run()
    kept = whole.numbers[whole.numbers["layer"] % 2 == 1]
    some, every = lifecycle(Run("odd", kept, {})), lifecycle(whole)
    assert some.layers == 4
    assert some.wave.half_steps[1::2] == pytest.approx(every.wave.half_steps[1::2])
    assert not np.isfinite(some.wave.half_steps[::2]).any()
    assert some.wave.velocity == pytest.approx(every.wave.velocity, rel=0.1)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (planted_run(layers=3), "3 layers: too few"),
        (planted_run(steps=STEPS[:3]), "3 checkpoints of 8 layers: too few"),
        (Run("odd", planted_run().numbers.assign(step=pd.NA), {}), "without a step"),
    ],
)
def test_too_little_of_a_run_is_refused(run, says):
    with pytest.raises(SpectraError, match=says):
        lifecycle(run)


def test_real_checkpoints_with_a_planted_wave_give_it_by_the_command_line(tmp_path, spectra):
    table = scan_checkpoints(plant_wave(tmp_path / "run"), tmp_path / "a.parquet").output
    (found,) = compare_lifecycles([table], None, "alpha").runs
    assert found.wave.rho == pytest.approx(1.0)
    said = spectra("lifecycle", table)
    assert said.code == 0, said.err
    assert "as a wave, from the first layer to the last" in said.out
    assert (
        json.loads(spectra("lifecycle", table, "--alpha", "alpha_hill", "--json").out)["runs"][0]["alpha"]
        == "alpha_hill"
    )


def test_wrong_choices_are_said_in_two_lines(table_path, spectra):
    said = spectra("lifecycle", table_path, "--alpha", "alphas")
    assert (said.code, said.err.count("\n")) == (2, 2)
    said = spectra("lifecycle", table_path)
    assert (said.code, said.err.count("\n")) == (1, 2)
    assert "too few for a course over depth" in said.err


def test_the_command_says_whether_the_exponent_goes_with_a_loss(tmp_path, spectra):
    table = scan_checkpoints(plant_wave(tmp_path / "run"), tmp_path / "run.parquet").output
    log = tmp_path / "loss.jsonl"
    log.write_text(
        "".join(json.dumps({"step": step, "val_loss": 5 - step / 400}) + "\n" for step in range(0, 1300, 50))
    )
    (found,) = json.loads(spectra("lifecycle", table, "--loss", log, "--json").out)["runs"]
    assert found["alpha_loss"]["n"] == 8
    assert "cannot be told from so few checkpoints" in found["alpha_loss"]["verdict"]
    assert found["alpha_loss"]["verdict"] in found["findings"]
    assert json.loads(spectra("lifecycle", table, "--json").out)["runs"][0]["alpha_loss"] is None
