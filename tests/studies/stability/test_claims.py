"""The paper's claims on a short training of the demo's kind, as they turn out; numbers in docs/studies/stability.md."""

import pytest

from spectra_cli.jobs import demo
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.inputs.runs import read_run
from spectra_cli.studies.inputs.training_logs import read_losses
from spectra_cli.studies.stability import METRICS, stability

pytestmark = pytest.mark.slow
SAVED = (0, 2, 4, 8, 16, 24, *range(30, 101, 5))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A hundred steps; the learning rate drops to a third at step 50 and to a tenth at step 80."""
    folder = tmp_path_factory.mktemp("claims")
    recipe = demo.Recipe(schedule="step")
    run = demo.train(folder / "short", on_progress=lambda _: None, steps=100, saved=SAVED, recipe=recipe)
    table = scan_checkpoints(run, folder / "short.parquet", metrics=METRICS).output
    return stability(read_run(table, METRICS), read_losses(run / "loss.jsonl"))


def test_the_variation_peaks_early_and_falls_by_more_than_five(found):
    whole = found.groups[0]
    assert whole.peak.step <= 50
    assert whole.peak.value > 5 * whole.floor.value


def test_the_mlp_s_peak_is_below_attention_s(found):
    assert found.group("mlp").peak.value < found.group("attention").peak.value


def test_spectra_are_close_to_the_final_ones_before_weights_are(found):
    close = found.groups[0].decoupling[1]
    assert close.spectrum_step < close.weights_step


def test_a_drop_of_the_learning_rate_drops_the_variation_at_once(found):
    responses = found.lr_response
    assert [one.kind for one in responses] == ["drop", "drop"]
    assert all(one.floor_after < one.floor_before for one in responses)
    assert responses[0].elasticity == pytest.approx(1, abs=0.5)


def test_the_bound_holds_and_is_loose(found):
    assert all(one.over_bound == 0 for one in found.groups)
    assert found.groups[0].tightness < 0.1


def test_the_loss_is_told_from_a_power_law_only_where_it_is_none(found):
    onset = found.loss.onset
    assert onset.step is not None or "it flattens" in onset.reason
