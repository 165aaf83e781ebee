"""Checkpoints in order: what is open at once, what is compared with what, and what a resumed scan opens again."""

import shutil

import numpy as np
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.measure.executors import LocalExecutor, measure_checkpoint
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import LayerSet, Request
from spectra_cli.measure.trajectory import Trajectory


@pytest.fixture
def plan(kept_run):
    return make_plan(Request(str(kept_run)))


def revision(checkpoint):
    return checkpoint and checkpoint.checkpoint.revision


def test_each_checkpoint_is_compared_with_the_last_and_the_one_before(plan):
    with Trajectory(plan, "cpu") as trajectory:
        seen = []
        for checkpoint in plan.checkpoints[:3]:
            with trajectory.compare(checkpoint) as comparison:
                seen.append(tuple(map(revision, (comparison.current, comparison.reference, comparison.previous))))
    names = [checkpoint.revision for checkpoint in plan.checkpoints]
    assert seen == [(names[0], names[-1], None), (names[1], names[-1], names[0]), (names[2], names[-1], names[1])]


def test_the_last_checkpoint_is_the_reference_itself(plan):
    with Trajectory(plan, "cpu") as trajectory, trajectory.compare(plan.checkpoints[-1]) as comparison:
        assert comparison.current is comparison.reference
        assert comparison.checkpoints == (comparison.current,)


def test_what_was_passed_over_last_is_the_previous_one(plan):
    with Trajectory(plan, "cpu") as trajectory:
        trajectory.pass_over(plan.checkpoints[0])
        trajectory.pass_over(plan.checkpoints[1])
        with trajectory.compare(plan.checkpoints[2]) as comparison:
            assert revision(comparison.previous) == plan.checkpoints[1].revision


def numbers(result):
    return [
        (metric, number) for rows in result.rows for metric, number in rows.numbers.items() if isinstance(number, float)
    ]


def test_rows_do_not_depend_on_whether_the_previous_one_was_measured_or_passed_over(plan):
    executor = LocalExecutor("cpu")
    with Trajectory(plan, "cpu") as trajectory:
        first = [measure_checkpoint(executor, trajectory, checkpoint) for checkpoint in plan.checkpoints[:2]][1]
    with Trajectory(plan, "cpu") as trajectory:
        trajectory.pass_over(plan.checkpoints[0])
        second = measure_checkpoint(executor, trajectory, plan.checkpoints[1])
    assert numbers(first) == numbers(second)


def test_a_repeated_checkpoint_takes_over_what_is_known_and_its_rows_are_those_of_computing_them(run):
    shutil.copytree(run / "step2", run / "step3")
    plan = make_plan(Request(str(run)))
    at = [checkpoint.revision for checkpoint in plan.checkpoints].index("step3")
    executor = LocalExecutor("cpu")
    with Trajectory(plan, "cpu") as trajectory:
        *_, own, repeated = [measure_checkpoint(executor, trajectory, one) for one in plan.checkpoints[: at + 1]]
        assert all(len(known) == 2 for known in trajectory.previous.distances.values())
    with Trajectory(plan, "cpu") as trajectory:
        trajectory.pass_over(plan.checkpoints[at - 1])
        alone = measure_checkpoint(executor, trajectory, plan.checkpoints[at])
    assert numbers(repeated) == numbers(alone)
    sds = [[rows.numbers["sd"] for rows in each.rows] for each in (own, repeated)]
    assert all(np.shares_memory(*pair) for pair in zip(*sds, strict=True))
    finals = [[rows.numbers["cos_weights_final"] for rows in each.rows] for each in (own, repeated)]
    assert finals[0] == finals[1]
    cosines = [rows.numbers[name] for rows in repeated.rows for name in ("cos_weights_prev", "cos_spectrum_prev")]
    assert cosines == pytest.approx([1.0] * len(cosines), abs=1e-15)
    assert repeated.duplicate_of == "step2"


def test_a_checkpoint_that_cannot_be_opened_leaves_the_previous_one_in_place(run):
    (run / "step2" / "model.safetensors").write_bytes(b"no checkpoint")
    plan = make_plan(Request(str(run)))
    with Trajectory(plan, "cpu") as trajectory:
        with trajectory.compare(plan.checkpoints[0]):
            pass
        broken = next(checkpoint for checkpoint in plan.checkpoints if checkpoint.revision == "step2")
        with pytest.raises(SpectraError, match="step2"), trajectory.compare(broken):
            pass
        assert revision(trajectory.previous) == plan.checkpoints[0].revision


def test_a_request_parses_its_texts_once_and_keeps_them():
    request = Request("runs/x", steps="10:20", layers="0-2,7", alpha_range="2:0.5", disk="1GB", patience="2m")
    assert request.layer_set == LayerSet(frozenset({0, 1, 2, 7}))
    assert request.layer_set is request.layer_set
    assert (request.disk_bytes, request.patience_seconds) == (10**9, 120.0)
    assert (request.steps, request.layers) == ("10:20", "0-2,7")


@pytest.mark.parametrize(
    "option", [{"steps": "x"}, {"layers": "x"}, {"alpha_range": "9:1"}, {"match": "("}, {"disk": "x"}, {"threads": 0}]
)
def test_a_text_that_cannot_be_parsed_is_a_usage_error_before_anything_is_read(option):
    with pytest.raises(SpectraError) as caught:
        Request("no/such/folder", **option)
    assert caught.value.code == 2
