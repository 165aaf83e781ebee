"""Events: each planted one is seen once, where it was planted; a healthy run has none; a restart changes nothing."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Matrix, MatrixRows
from spectra_cli.storage.table import to_arrow
from spectra_cli.studies.events import (
    BROKEN,
    COLLAPSE,
    PHASE_TWO,
    SPIKE,
    Detector,
    Event,
    EventFile,
    Measurement,
    measurement_of,
)
from spectra_cli.studies.inputs.training_logs import read_losses
from tests.support.planted_events import MATRICES, changed, collapsing, healthy, moment, spiking
from tests.support.planted_runs import DECLINE, FLOOR, STRAIGHT, plant


def events_of(run, *, settling=False, **options):
    detector = Detector(**options)
    return [event for measurement in run for event in detector.see(measurement, settling=settling)]


def kinds(events):
    return [event.kind for event in events]


@pytest.mark.slow
def test_healthy_runs_raise_at_most_two_false_alarms_in_a_hundred():
    assert sum(bool(events_of(healthy(seed))) for seed in range(100)) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "kind", "matrix"), [(collapsing, COLLAPSE, "layers.1.up"), (spiking, SPIKE, "layers.2.q")]
)
def test_what_is_planted_is_seen_in_95_of_100_runs_at_its_own_checkpoint(planted, kind, matrix):
    right = 0
    for seed in range(100):
        run = planted(seed)
        events = [event for event in events_of(run) if event.kind == kind and event.matrices == (matrix,)]
        late = [[m.revision for m in run].index(event.revision) - moment(seed) for event in events]
        right += len(late) == 1 and 0 <= late[0] <= 4
    assert right >= 95


def test_a_matrix_that_breaks_is_named_once_at_the_checkpoint_where_it_does():
    run = healthy(0)[:12]
    run = run[:6] + [changed(m, "frobenius_norm", embed=math.nan, layers__0__q=0.0) for m in run[6:]]
    events = events_of(run)
    assert [(event.step, event.matrices, event.numbers["what"]) for event in events] == [
        (700, ("embed",), "NaN or Inf"),
        (700, ("layers.0.q",), "zero"),
    ]


def test_a_matrix_that_stops_moving_is_named_and_one_that_never_moved_is_not():
    run = [healthy(0)[0]] + [changed(m, "update_norm_prev", embed=0.0) for m in healthy(0)[1:12]]
    assert events_of(run) == []
    stopped = [changed(m, "update_norm_prev", layers__1__v=0.0) if index > 7 else m for index, m in enumerate(run)]
    assert [(event.step, event.matrices) for event in events_of(stopped)] == [(900, ("layers.1.v",))]


def test_a_checkpoint_with_the_numbers_of_an_earlier_one_repeats_it():
    run = healthy(0)[:12]
    again = replace(run[4], revision="step1300", step=1300)
    (event,) = events_of([*run, again])
    assert (event.kind, event.step, event.numbers["repeats"]) == (BROKEN, 1300, 500)


def test_a_role_that_falls_together_is_no_collapse():
    run = healthy(0)[:20]
    together = {f"layers__{layer}__up": 0.2 for layer in range(4)}
    assert events_of([changed(m, "stable_rank", **together) if index > 9 else m for index, m in enumerate(run)]) == []


def test_the_jump_of_the_loss_stands_beside_a_spike(tmp_path):
    run, start = spiking(0), moment(0)
    step = run[start].step
    lines = [f'{{"step": {at}, "loss": {2 + 0.01 * math.sin(at)}}}\n' for at in range(10, step - 40, 10)]
    (tmp_path / "loss.jsonl").write_text("".join(lines) + f'{{"step": {step - 40}, "loss": 3.5}}\n')
    (event,) = events_of(run[: start + 1], losses=lambda: read_losses(tmp_path / "loss.jsonl"))
    assert event.numbers["loss_step"] == step - 40
    assert event.numbers["loss_z"] > 6


def planted_rates(planted, seed, checkpoints=40):
    numbers = plant(planted, checkpoints=checkpoints, noise=0.05, seed=seed).numbers
    rates = zip(numbers["step"], numbers["sd_variation_rate"], strict=True)
    return [
        Measurement(f"step{step}", int(step), {"m": "q"}, {"sd_variation_rate": {"m": rate}} if step else {})
        for step, rate in rates
    ]


def test_phase_two_is_entered_once_with_an_interval_before_the_checkpoint_that_shows_it():
    (event,) = events_of(planted_rates(FLOOR, 1), settling=True)
    assert event.kind == PHASE_TWO
    assert event.numbers["low"] <= event.numbers["onset"] <= event.numbers["high"] < event.step
    assert event.numbers["phase"] == "floor"


@pytest.mark.parametrize("stopped", [1, 20, 45, 59])
def test_after_a_restart_the_same_events_come_each_once(stopped):
    run = collapsing(3)
    whole = events_of(run)
    before = events_of(run[:stopped])
    detector = Detector()
    lost = detector.rebuild(run[:stopped], before)
    assert lost == ()
    assert before + [event for m in run[stopped:] for event in detector.see(m, settling=False)] == whole
    assert Detector().rebuild(run, before) == tuple(whole[len(before) :])


def test_the_numbers_come_from_the_rows_of_a_table():
    checkpoint, matrix = Checkpoint("m", "step4", None, 4), Matrix("embed", "embed", "e", 4, 4)
    numbers = {"stable_rank": 2.0, "alpha": 1.0, "sd": np.ones(4, np.float32)}
    rows = [MatrixRows(checkpoint, matrix, numbers)]
    seen = measurement_of(to_arrow(rows))
    assert (seen.revision, seen.step, seen.roles) == ("step4", 4, {"embed": "embed"})
    assert seen.of("stable_rank") == {"embed": 2.0}
    assert isinstance(to_arrow(rows), pa.Table)


def test_events_are_kept_beside_the_table(tmp_path):
    events = [Event(BROKEN, "step4", 4, ("a",), {"what": "zero"}), Event(SPIKE, "step8", 8, ("b",), {"z": [7.0]})]
    file = EventFile(tmp_path / "t.parquet")
    file.add(events[:1])
    file.add(events[1:])
    assert EventFile(tmp_path / "t.parquet").events == events
    file.drop_from(["step8"])
    assert EventFile(tmp_path / "t.parquet").events == events[:1]
    file.path.write_text("no event\n")
    with pytest.raises(SpectraError, match="cannot be read as events"):
        EventFile(tmp_path / "t.parquet")


def test_no_matrix_of_a_healthy_run_is_left_out():
    assert set(healthy(0)[0].roles) == set(MATRICES)


@pytest.mark.slow
@pytest.mark.parametrize(("planted", "least", "most"), [(FLOOR, 9, 10), (DECLINE, 9, 10), (STRAIGHT, 0, 1)])
def test_phase_two_is_found_while_a_run_goes_on(planted, least, most):
    entered = sum(PHASE_TWO in kinds(events_of(planted_rates(planted, seed), settling=True)) for seed in range(10))
    assert least <= entered <= most
