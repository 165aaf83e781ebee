"""The code of docs/monitoring.md runs as it is written."""

import re
from pathlib import Path

import pytest
import torch

from spectra_cli.monitor import SpectralMonitor
from tests.monitor.test_trainers import Tokens, hugging_face_trainer
from tests.support.training import lightning_model, neox, rows_of

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r'```python title="(\w+)"\n(.*?)```', PAGE, re.DOTALL))

pytestmark = pytest.mark.filterwarnings("default")  # of trainers and what they import


def run(name, **names):
    exec(compile(BLOCKS[name].replace("range(1, 101)", "range(1, 27)"), f"docs/monitoring.md, {name}", "exec"), names)


def test_every_block_is_run_below():
    assert BLOCKS.keys() == {"loop", "transformers", "lightning", "table", "events", "cost"}


def test_events_stop_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layer = torch.nn.Linear(8, 8)

    def ruin():
        with torch.no_grad():
            layer.weight.fill_(torch.nan)

    with pytest.raises(RuntimeError, match="step 25: 0: NaN or Inf"):
        run("events", model=torch.nn.Sequential(layer), train_one_step=ruin)


def test_what_was_paid(tmp_path, capsys):
    with SpectralMonitor(torch.nn.Linear(8, 8), every=1, out=tmp_path / "run.parquet") as monitor:
        monitor.step(0)
    run("cost", monitor=monitor)
    assert capsys.readouterr().out.startswith("1 step measured: training waited 0.")


def test_a_loop_and_what_is_read_of_its_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("loop", model=neox(), train_one_step=lambda: None)
    assert set(rows_of(tmp_path / "run.parquet")["step"]) == {25}
    run("table")
    assert "unembed" in capsys.readouterr().out


@pytest.mark.slow
def test_transformers(tmp_path):
    run("transformers", trainer=hugging_face_trainer(tmp_path, 26, None))
    assert 0 in set(rows_of(tmp_path / "spectra.parquet")["step"])


@pytest.mark.slow
def test_lightning(tmp_path, monkeypatch):
    import lightning

    monkeypatch.chdir(tmp_path)
    batches = torch.utils.data.DataLoader(Tokens(), batch_size=16)
    run("lightning", lightning=lightning, model=lightning_model(), batches=batches)
    (table,) = tmp_path.rglob("spectra.parquet")
    assert 0 in set(rows_of(table)["step"])
