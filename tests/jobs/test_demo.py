"""The demo's training: a real run with checkpoints and losses, the same each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from spectra_cli.jobs import demo
from spectra_cli.jobs.scan import scan_checkpoints
from tests.support.next_commands import next_commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return demo.train(tmp_path_factory.mktemp("demo") / "here", on_progress=print, steps=4)


def test_it_saves_at_least_two_dozen_checkpoints_on_a_rough_geometric_grid():
    assert len(demo.SAVED) >= 24
    assert demo.SAVED[-1] == demo.STEPS
    assert all(after <= 2 * before for before, after in zip(demo.SAVED[2:], demo.SAVED[3:], strict=False))


def test_the_command_leaves_a_table_and_a_page_and_names_them(tmp_path, spectra):
    said = spectra("demo", tmp_path / "demo")
    assert said.code == 0
    page = (tmp_path / "demo" / "demo.html").read_text()
    assert "Phase I:" in page
    assert "Phase II:" in page
    assert f"{tmp_path}/demo/demo.html" in said.err
    assert set(pd.read_parquet(tmp_path / "demo" / "demo.parquet")["step"]) == set(demo.SAVED)
    commands = next_commands(said.err)
    assert [words[0] for words in commands] == ["inspect", "diff", "stability", "rank1", "merge", "ablate"]
    for words in commands:
        assert spectra(*words).code == 0
    (look,) = [line for line in said.err.splitlines() if line.strip().startswith("python -c")]
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert "unembed" in subprocess.run(look, shell=True, capture_output=True, text=True, check=True, env=found).stdout


def test_losses_lie_beside_the_checkpoints(trained):
    lines = [json.loads(line) for line in (trained / "loss.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 4]
    assert set(lines[0]) == {"step", "train_loss", "val_loss", "lr"}
    assert lines[-1]["val_loss"] < lines[0]["val_loss"]


def test_its_run_can_be_scanned(trained, tmp_path):
    frame = pd.read_parquet(scan_checkpoints(trained, tmp_path / "a.parquet").output)
    assert set(frame["step"]) == {0, 1, 2, 4}
    assert {"q", "k", "v", "o", "up", "down", "embed", "unembed"} == set(frame["role"])


def test_the_same_seed_gives_the_same_weights(trained, tmp_path):
    again = demo.train(tmp_path / "again", on_progress=print, steps=4)
    name = "step4/model.safetensors"
    assert (again / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.parametrize(
    "recipe",
    [
        demo.Recipe(optimizer="muon"),
        demo.Recipe(schedule="wsd", weight_decay=0.0),
        demo.Recipe(layers=2),
        demo.Recipe(schedule="constant"),
    ],
)
def test_another_recipe_trains_too(recipe, tmp_path):
    run = demo.train(tmp_path / "other", on_progress=print, steps=4, saved=(0, 2), recipe=recipe)
    lines = [json.loads(line) for line in (run / "loss.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4]
    assert json.loads((run / "step4" / "config.json").read_text())["num_hidden_layers"] == recipe.layers
    assert lines[-1]["val_loss"] < lines[0]["val_loss"]
