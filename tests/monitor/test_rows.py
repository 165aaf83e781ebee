"""The monitor's rows are those of a scan of the checkpoints saved at the same steps, to the bit."""

from functools import partial

import pytest
import torch

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.monitor import SpectralMonitor
from spectra_cli.storage.table import read_metadata
from tests.support.training import SIZES, differing, neox, rows_of, tied_llama, train


def save(model, run, step):
    model.save_pretrained(run / f"step{step}")


def monitored_and_scanned(tmp_path, model, trained=None, save=save, **options):
    """Train with a monitor that measures steps 0, 2 and 4, save these, and return the rows of both."""
    run, table = tmp_path / "run", tmp_path / "run.parquet"
    run.mkdir()
    with SpectralMonitor(trained or model, every=2, out=table, **options) as monitor:

        def after(step):
            monitor.step(step)
            if step % 2 == 0:
                save(model, run, step)

        train(trained or model, 5, after)
    scan_checkpoints(run, tmp_path / "scan.parquet", losses=False, **options)
    return rows_of(table), rows_of(tmp_path / "scan.parquet")


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (neox, torch.float32),
        (tied_llama, torch.bfloat16),
        pytest.param(neox, torch.bfloat16, marks=pytest.mark.slow),
        pytest.param(tied_llama, torch.float32, marks=pytest.mark.slow),
    ],
)
def test_they_are_those_of_a_scan(tmp_path, make, dtype):
    monitored, scanned = monitored_and_scanned(tmp_path, make(dtype))
    assert sorted(set(monitored["step"])) == [0, 2, 4]
    assert {"q", "k", "v", "embed"} <= set(monitored["role"])
    assert differing(monitored, scanned) == []


@pytest.mark.slow
def test_the_metadata_are_those_of_a_scan_without_a_reference(tmp_path):
    monitored_and_scanned(tmp_path, tied_llama())
    ours, scans = (read_metadata(tmp_path / name) for name in ("run.parquet", "scan.parquet"))
    apart = {name for name in ours.keys() | scans.keys() if ours.get(name) != scans.get(name)}
    assert apart == {"source", "contents", "reference", "row_groups", "sha256"}


@pytest.mark.slow
def test_experts_in_a_stack_give_the_rows_of_experts_saved_apart(tmp_path):
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    model = MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=3, num_key_value_heads=2))
    monitored, scanned = monitored_and_scanned(tmp_path, model)
    assert set(monitored["expert"].dropna()) == {0, 1, 2}
    assert differing(monitored, scanned, but=("tensor",)) == []


def test_a_model_without_a_configuration_is_read_as_its_state_dict_is(tmp_path):
    torch.manual_seed(0)
    shared = torch.nn.Linear(4, 4)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), shared, torch.nn.LayerNorm(4), shared)
    table, saved = tmp_path / "run.parquet", tmp_path / "run"
    saved.mkdir()
    with SpectralMonitor(model, every=1, out=table) as monitor:
        for step in range(2):
            with torch.no_grad():
                shared.weight[step] = 3.0
            monitor.step(step)
            torch.save(model.state_dict(), saved / f"step{step}.pt")
    scan_checkpoints(saved, tmp_path / "scan.parquet", losses=False)
    assert differing(rows_of(table), rows_of(tmp_path / "scan.parquet"), but=("revision",)) == []


class DeepSpeedEngine(torch.nn.Module):
    """Holds the model as DeepSpeed's own does."""

    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.mark.parametrize("wrap", [partial(torch.compile, backend="eager"), torch.nn.DataParallel, DeepSpeedEngine])
def test_wrapped_models_give_the_names_of_the_model_inside(tmp_path, wrap):
    model = neox()
    with SpectralMonitor(wrap(model), every=1, out=tmp_path / "wrapped.parquet", name="x") as monitor:
        monitor.step(0)
    with SpectralMonitor(model, every=1, out=tmp_path / "bare.parquet", name="x") as monitor:
        monitor.step(0)
    assert differing(rows_of(tmp_path / "wrapped.parquet"), rows_of(tmp_path / "bare.parquet")) == []


@pytest.mark.slow
def test_only_the_matrices_that_are_asked_for_are_measured(tmp_path):
    options = {"roles": ("q", "up"), "layers": "1", "metrics": ("alpha", "sd_variation_prev"), "alpha_range": "2:10"}
    monitored, scanned = monitored_and_scanned(tmp_path, neox(), **options)
    assert set(monitored["matrix"]) == {"layers.1.attn.q", "layers.1.mlp.up"}
    assert differing(monitored, scanned) == []


@pytest.mark.slow
def test_training_is_the_same_to_the_bit_with_a_monitor(tmp_path):
    bare, watched = neox(), neox()
    train(bare, 4, lambda _: None)
    options = {"metrics": ("all",), "vectors": 2}
    with SpectralMonitor(watched, every=1, out=tmp_path / "run.parquet", **options) as monitor:
        train(watched, 4, monitor.step)
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), watched.parameters(), strict=True))
