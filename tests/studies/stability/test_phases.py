"""The phases of planted runs: numbers put into tables, and spectra put into real checkpoints that are scanned."""

import time

import numpy as np
import pandas as pd
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import Run, read_run
from spectra_cli.studies.inputs.training_logs import read_losses
from spectra_cli.studies.stability import METRICS, compare_tables, ratios, stability
from spectra_cli.studies.stability.onset import find_onset
from spectra_cli.views.sentences.stability import stability_sentences
from tests.support.planted_runs import (
    BREAKPOINT,
    DECLINE,
    FLOOR,
    HEIGHT,
    PEAK,
    STRAIGHT,
    Planted,
    covers,
    plant,
    plant_checkpoints,
    within_one,
)

DROP = 8000.0


def planted(course, **options):
    return plant(course, **{"checkpoints": 40, "noise": 0.02, "seed": 1, **options})


def log(path, steps, losses, rates):
    rows = pd.DataFrame({"step": np.asarray(steps, dtype=int), "val_loss": losses, "lr": rates})
    rows.to_json(path, orient="records", lines=True)
    return read_losses(path)


def test_peak_floor_and_onset_are_where_they_were_planted():
    whole = stability(planted(FLOOR)).groups[0]
    assert whole.peak.step == pytest.approx(PEAK, rel=0.25)
    assert whole.peak.value == pytest.approx(HEIGHT, rel=0.1)
    assert whole.floor.value == pytest.approx(HEIGHT * (BREAKPOINT / PEAK) ** -1.2, rel=0.05)
    assert whole.onset.step == pytest.approx(BREAKPOINT, rel=0.05)
    assert whole.onset.phase == "floor"


def test_a_slow_decline_is_told_from_a_floor_by_its_slope():
    onset = stability(planted(DECLINE)).groups[0].onset
    assert onset.phase == "slow decline"
    assert onset.slope == pytest.approx(-0.25, abs=0.02)


def test_a_small_bend_within_a_floor_is_not_its_onset():
    x = np.linspace(0, 7, 40)
    noise = 0.005 * np.random.default_rng(0).standard_normal(40)
    logs = -1.2 * np.minimum(x, 3) - 0.05 * np.clip(x - 3, 0, 2) + 0.05 * np.maximum(x - 5, 0) + noise
    onset = find_onset(np.exp(x), np.exp(logs))
    assert onset.step == pytest.approx(np.exp(3), rel=0.1)
    assert len(onset.breakpoints) == 1


def test_a_straight_course_has_no_second_phase_and_says_so_in_words():
    found = stability(planted(STRAIGHT))
    assert found.groups[0].onset.step is None
    assert any(line.startswith("No stable phase is seen") for line in stability_sentences(found))


def test_too_few_checkpoints_are_no_answer():
    found = stability(planted(FLOOR, checkpoints=7))
    assert "at least 7 are needed" in found.groups[0].onset.reason
    assert any("too few" in line for line in stability_sentences(found))


def test_two_checkpoints_are_no_course():
    run = planted(FLOOR)
    found = stability(Run("two", run.numbers[run.numbers["order"] < 2], {}))
    assert stability_sentences(found)[0] == "The variation is known at 1 checkpoint only: too few for a course."


def test_a_wide_interval_is_called_so():
    said = " ".join(stability_sentences(stability(planted(FLOOR, checkpoints=20, noise=0.4, seed=0))))
    assert "known only roughly" in said


def test_a_gap_in_the_checkpoints_is_named():
    run = planted(FLOOR)
    kept = run.numbers[(run.numbers.step < 200) | (run.numbers.step > 9000)]
    found = stability(Run("gap", kept.assign(order=pd.factorize(kept["step"])[0]), {}))
    assert any("nothing was saved between steps" in note for note in found.notes)


def test_the_same_course_saved_unevenly_has_the_same_onset():
    run = planted(FLOOR, checkpoints=60)
    kept = run.numbers[(run.numbers.order % 2 == 0) | (run.numbers.order > 40)]
    other = stability(Run("uneven", kept.assign(order=pd.factorize(kept["step"])[0]), {}))
    assert other.groups[0].onset.step == pytest.approx(stability(run).groups[0].onset.step, rel=0.1)


def test_a_floor_dragged_down_by_the_learning_rate_is_found_per_unit_of_it(tmp_path):
    run = planted(FLOOR)
    steps = run.numbers["step"].to_numpy(float)
    rates = 1e-3 * np.maximum(steps, PEAK) ** -0.6
    means = np.concatenate([[np.nan], rates[1:]])
    numbers = run.numbers.assign(sd_variation_rate=run.numbers["sd_variation_rate"] * means)
    fine = np.unique(np.concatenate([steps, np.geomspace(1, steps[-1], 400).round()]))
    logged = log(tmp_path / "log.jsonl", fine, np.full(len(fine), 1.0), 1e-3 * np.maximum(fine, PEAK) ** -0.6)
    whole = stability(Run("dragged", numbers, {}), logged).groups[0]
    assert whole.onset.phase != "floor"
    assert whole.onset_per_lr.step == pytest.approx(BREAKPOINT, rel=0.15)


def test_a_drop_of_the_learning_rate_shows_the_planted_response(tmp_path):
    run = planted(FLOOR)
    steps = run.numbers["step"].to_numpy(float)
    at = 8000.0
    dropped = np.where(steps > at, 0.1, 1.0) ** 0.8
    numbers = run.numbers.assign(sd_variation_rate=run.numbers["sd_variation_rate"] * dropped)
    fine = np.arange(0, steps[-1] + 1, 50)
    logged = log(tmp_path / "log.jsonl", fine, np.full(len(fine), 1.0), np.where(fine > at, 1e-4, 1e-3))
    (response,) = stability(Run("dropped", numbers, {}), logged).lr_response
    assert response.kind == "drop"
    assert response.lr_before / response.lr_after == pytest.approx(10)
    assert response.floor_before / response.floor_after == pytest.approx(10**0.8, rel=0.1)
    assert response.elasticity == pytest.approx(0.8, abs=0.05)


def test_a_loss_that_bends_with_the_spectra_is_in_step_with_them(tmp_path):
    run = planted(FLOOR)
    steps = np.geomspace(1, run.checkpoints["step"].iloc[-1], 60).round()
    losses = 6 - 0.5 * np.log(np.minimum(steps, BREAKPOINT)) - 0.02 * np.log(np.maximum(steps, BREAKPOINT))
    noise = 1 + 0.001 * np.random.default_rng(0).standard_normal(len(steps))
    found = stability(run, log(tmp_path / "log.jsonl", steps, losses * noise, np.full(len(steps), 1e-3)))
    assert found.loss.onset.step == pytest.approx(BREAKPOINT, rel=0.1)
    assert found.loss.synchrony == pytest.approx(1, rel=0.1)
    assert found.loss.spearman_p > 0.05  # both fall, and beyond that their noise is independent


def test_a_loss_that_rises_at_last_is_not_called_a_slow_descent(tmp_path):
    run = planted(FLOOR)
    steps = np.geomspace(1, run.checkpoints["step"].iloc[-1], 60).round()
    losses = 6 - 0.5 * np.log(np.minimum(steps, BREAKPOINT)) + 0.2 * np.log(np.maximum(steps, BREAKPOINT))
    found = stability(run, log(tmp_path / "log.jsonl", steps, losses, np.full(len(steps), 1e-3)))
    assert found.loss.synchrony is None
    assert any("rises again from step" in line for line in stability_sentences(found))


def test_a_learning_rate_logged_for_other_steps_only_gives_no_onset_per_unit_of_it(tmp_path):
    logged = log(tmp_path / "log.jsonl", [1, 2, 3, 4], [4, 3, 2, 1], [1e-3] * 4)
    found = stability(planted(FLOOR), logged)
    assert "there are no checkpoints with a learning rate" in found.groups[0].onset_per_lr.reason


def test_hundreds_of_checkpoints_are_searched_in_seconds_and_still_found():
    began = time.perf_counter()
    whole = stability(planted(FLOOR, checkpoints=600, noise=0.15)).groups[0]
    assert whole.onset.step == pytest.approx(BREAKPOINT, rel=0.1)
    assert time.perf_counter() - began < 20


def test_a_run_ten_times_lower_is_so_in_peak_and_floor_and_not_in_onset():
    one, other = planted(FLOOR, noise=0.15), planted(FLOOR, noise=0.15, seed=2)
    lower = Run("lower", other.numbers.assign(sd_variation_rate=other.numbers["sd_variation_rate"] / 10), {})
    runs = [one, lower]
    found = {(r.group, r.quantity): r for r in ratios(runs, [stability(run) for run in runs])}
    floor, onset = found["all", "floor"], found["all", "onset"]
    assert found["all", "peak"].value == pytest.approx(0.1, rel=0.3)
    assert floor.interval[0] < 0.1 < floor.interval[1]
    assert onset.interval[0] < 1 < onset.interval[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda numbers: numbers.assign(step=pd.NA), "checkpoints without a step"),
        (lambda numbers: numbers.assign(step=1), "start anew"),
        (lambda numbers: numbers.assign(sd_variation_rate=np.nan), "no sd_variation_rate above 0"),
    ],
)
def test_a_table_with_no_course_is_refused(change, says):
    run = planted(FLOOR)
    with pytest.raises(SpectraError, match=says):
        stability(Run("odd", change(run.numbers), {}))


class Dropping(Planted):
    """A course whose rates fall with a drop of the learning rate."""

    def rates(self, steps):
        return super().rates(steps) * np.where(steps > DROP, 0.1, 1.0) ** 0.8


def test_real_checkpoints_scanned_show_the_planted_response_to_the_learning_rate(tmp_path):
    course = Dropping("dropping", 1.0, -1.2, 0.0)
    plant_checkpoints(tmp_path / "run", course, checkpoints=40, noise=0.02, seed=1)
    table = scan_checkpoints(tmp_path / "run", tmp_path / "a.parquet", metrics=METRICS).output
    fine = np.arange(0, 60_001, 50)
    log(tmp_path / "log.jsonl", fine, np.full(len(fine), 1.0), np.where(fine > DROP, 1e-4, 1e-3))
    (run,) = compare_tables([table], [tmp_path / "log.jsonl"]).runs
    (response,) = run.lr_response
    assert response.step == pytest.approx(DROP, rel=0.3)
    assert response.elasticity == pytest.approx(0.8, abs=0.05)


def test_real_checkpoints_scanned_give_the_planted_course(scanned_run):
    found = stability(read_run(scanned_run.table, METRICS))
    whole = found.groups[0]
    true = scanned_run.rates
    assert np.allclose(whole.series.rates, true, rtol=1e-6)
    assert whole.peak.step == scanned_run.steps[1 + int(np.argmax(true))]
    assert within_one(found)
    assert covers(found)
    assert whole.onset.phase == "floor"
    assert whole.over_bound == 0
    assert whole.tightness <= 1
    close = whole.decoupling[1]
    assert close.spectrum_step <= close.weights_step
