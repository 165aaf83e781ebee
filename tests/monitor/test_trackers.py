"""The scalars reach each tracker that has a run, where that is installed; none is needed."""

import json
import sqlite3

import pytest
import torch

from spectra_cli.monitor import SpectralMonitor
from tests.support.training import rows_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of what is not ours


def watch(tmp_path, log_loss):
    """Train while the program logs its own loss at every step; return the scalar that is then looked for, by step."""
    with SpectralMonitor(torch.nn.Linear(32, 32), every=2, out=tmp_path / "run.parquet") as monitor:
        for step in range(5):
            log_loss(step)
            monitor.step(step)
    rows = rows_of(tmp_path / "run.parquet")
    ranks = rows[rows["metric"] == "stable_rank"]
    return dict(zip(ranks["step"], ranks["value"], strict=True))


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        ranks = watch(tmp_path, lambda step: mlflow.log_metric("loss", 1.0, step=step))
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "spectra/stable_rank/other")
    assert {point.step: point.value for point in history} == ranks


def test_trackio(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio")
    trackio.init(project="x", embed=False)
    ranks = watch(tmp_path, lambda _: trackio.log({"loss": 1.0}))
    trackio.finish()
    with sqlite3.connect(tmp_path / "trackio" / "x.db") as database:
        logged = [(step, json.loads(text)) for step, text in database.execute("SELECT step, metrics FROM metrics")]
    name = "spectra/stable_rank/other"
    assert {step: values[name] for step, values in logged if name in values} == ranks


def test_weights_and_biases(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = wandb.init(project="x", dir=str(tmp_path))
    ranks = watch(tmp_path, lambda _: run.log({"loss": 1.0}))
    shown = dict(run.summary)
    run.finish()
    assert (shown["spectra/step"], shown["spectra/stable_rank/other"]) == (4, ranks[4])
