"""The loss and learning rate of a Trainer's run, as they are left beside its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import models, run_writers, runs


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    for step in (20, 40):
        run_writers.trainer(tmp_path / "run", step, models.gated(step))
    return tmp_path / "run"


def lines(table: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in table.with_name(f"{table.name}.loss.jsonl").read_text().splitlines()]


def test_the_last_checkpoint_s_history_is_left_beside_the_table_and_told(trained, tmp_path, spectra):
    said = spectra("scan", trained, "-o", tmp_path / "a.parquet")
    assert said.code == 0
    assert f"next: spectra stability {tmp_path}/a.parquet --loss {tmp_path}/a.parquet.loss.jsonl" in said.err
    assert lines(tmp_path / "a.parquet") == [
        {"step": 10, "train_loss": 1.0, "lr": 1e-4},
        {"step": 20, "train_loss": 0.5, "lr": 5e-5},
        {"step": 30, "train_loss": 10 / 30, "lr": 1e-3 / 30},
        {"step": 40, "train_loss": 0.25, "val_loss": 0.275, "lr": 2.5e-5},
    ]


def test_it_is_the_same_to_the_byte_and_named_in_json(trained, tmp_path, spectra):
    texts = []
    for name in ("a.parquet", "b.parquet"):
        said = spectra("scan", trained, "-o", tmp_path / name, "--json")
        texts.append(Path(json.loads(said.out)["losses"]).read_bytes())
    assert texts[0] == texts[1]


def test_the_run_s_own_history_counts_where_it_is_longer_but_not_its_mean_loss(trained, tmp_path, spectra):
    state = json.loads((trained / "checkpoint-40" / "trainer_state.json").read_text())
    state["log_history"] += [{"step": 50, "loss": 0.2}, {"step": 50, "train_loss": 9.0, "train_runtime": 1.0}]
    (trained / "trainer_state.json").write_text(json.dumps(state))
    assert spectra("scan", trained, "-o", tmp_path / "a.parquet", "-q").code == 0
    assert lines(tmp_path / "a.parquet")[-1] == {"step": 50, "train_loss": 0.2}


def test_other_runs_leave_nothing(tmp_path, spectra):
    runs.write_run(tmp_path / "run")
    assert spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q").code == 0
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.slow
def test_a_table_for_standard_output_has_no_companion(trained, tmp_path):
    command = [sys.executable, "-m", "spectra_cli", "scan", str(trained), "-o", "-"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, env=environment)
    assert said.stdout.startswith(b"PAR1")
    assert b"loss" not in said.stderr
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize("text", ["", "{", "[]", "version https://git-lfs.github.com/spec/v1\n"])
def test_a_history_that_cannot_be_read_is_told_and_the_table_stands(trained, tmp_path, spectra, text):
    (trained / "checkpoint-40" / "trainer_state.json").write_text(text)
    said = spectra("scan", trained, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert "trainer_state.json" in said.err
    assert said.err.count("\n") == 2
    assert (tmp_path / "a.parquet").exists()
    assert not list(tmp_path.glob("*.jsonl"))


def test_numbers_that_are_none_are_left_out(trained, tmp_path, spectra):
    entries = '[7, {"step": 1.5, "loss": 1}, {"step": 2, "loss": NaN, "learning_rate": true}, {"step": 3, "loss": 2}]'
    (trained / "checkpoint-40" / "trainer_state.json").write_text(f'{{"log_history": {entries}}}')
    assert spectra("scan", trained, "-o", tmp_path / "a.parquet", "-q").code == 0
    assert lines(tmp_path / "a.parquet") == [{"step": 3, "train_loss": 2.0}]


def test_numbers_that_no_float_holds_are_left_out(run, tmp_path, spectra):
    entries = [{"step": 1, "loss": 10**400, "learning_rate": 1e-3}, {"step": 2, "loss": float("inf")}]
    (run / "trainer_state.json").write_text(json.dumps({"log_history": entries}))
    assert spectra("scan", run, "-o", tmp_path / "a.parquet", "-q").code == 0
    assert lines(tmp_path / "a.parquet") == [{"step": 1, "lr": 1e-3}]


def test_a_pipe_in_place_of_the_history_does_not_hang_and_the_table_stands(run, tmp_path, spectra):
    os.mkfifo(run / "trainer_state.json")
    said = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert said.code == 3
    assert "is a named pipe" in said.err
    assert (tmp_path / "a.parquet").is_file()


def test_a_log_beside_the_checkpoints_is_named_for_the_studies(run, tmp_path, spectra):
    (run / "loss.jsonl").write_text('{"step": 0, "val_loss": 5.0}\n')
    said = spectra("scan", run, "-o", tmp_path / "a.parquet")
    assert f"next: spectra stability {tmp_path}/a.parquet --loss {run}/loss.jsonl" in said.err
