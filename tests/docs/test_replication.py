"""The table of what the papers say: each row's commands run, and answer it, on a small copy of the study's folder."""

import json
import shutil

import numpy as np
import pytest

from tests.support.docs_scripts import FOLDER, docs_script

SCRIPT = docs_script("studies/replicate")
REPLICATION = SCRIPT["read_replication"]()
ROWS = [row for paper in REPLICATION.papers for row in paper.rows]
DEPTHS = (4, 6, 8, 12, 16)
RECIPES = ("adamw", "seed-1", "seed-2", "seed-3", "muon", "no-decay", "strong-decay", "low-rate", "wsd", "step")
LOCAL = {"PYTHIA_70M": "depth4/run", "PYTHIA_160M": "depth6/run", "PYTHIA_410M": "depth8/run"}


def small_run(folder, layers, steps, seed=0):
    """Checkpoints on the way from one random model to another, fast at first."""
    import torch

    from tests.support.language_models import BYTES, write_model

    config = BYTES | {"max_position_embeddings": 128, "num_hidden_layers": layers}
    first, last = (write_model(folder / "scratch", "gpt_neox", config, 2 * seed + at).state_dict() for at in (0, 1))
    model = write_model(folder / "scratch", "gpt_neox", config)
    random = np.random.default_rng(seed)
    for step in steps:
        done = (1 - np.exp(-5 * (step - steps[0]) / (steps[-1] - steps[0]))) * (1 + 0.01 * random.standard_normal())
        with torch.no_grad():
            for name, weight in model.state_dict().items():
                weight.copy_((1 - done) * first[name] + done * last[name])
        model.save_pretrained(folder / f"step{step}")
    shutil.rmtree(folder / "scratch")
    return folder


def write_log(path, steps):
    """A loss that falls ever more slowly, under a learning rate that falls to a tenth."""
    last = steps[-1]
    lines = [{"step": at, "val_loss": 2 + 3.5 / (1 + at / 20), "lr": 2e-3 * (1 - 0.9 * at / last)} for at in steps]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory):
    """All that the rows' commands name, made in seconds; the folder that they run in."""
    from spectra_cli.jobs.scan import scan_checkpoints
    from tests.support.language_models import TEXT

    folder = tmp_path_factory.mktemp("study")
    (folder / "held-out.txt").write_text(4 * TEXT, encoding="utf-8")
    for layers in DEPTHS:
        run = small_run(folder / f"depth{layers}" / "run", layers, (0, 10, 30, 60, 100, 200, 400, 900), layers)
        scan_checkpoints(run, folder / f"depth{layers}.parquet")
        write_log(run / "loss.jsonl", range(0, 901, 30))
    for seed in range(3):
        small_run(folder / f"constant-{seed}" / "run", 2, range(140, 241, 10), seed)
    shutil.copytree(folder / "constant-0", folder / "muon-0")
    steps = (0, 1, 2, 4, 8, 16, 24, 36, 54, 84, 120, 180, 240, 300, 360)
    for seed, name in enumerate(RECIPES):
        run = small_run(folder / name / "run", 4, steps, seed)
        scan_checkpoints(run, folder / f"{name}.parquet")
        write_log(folder / f"{name}.jsonl", steps)
    with SCRIPT["beside"](folder):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.where} {row.says}".strip() for row in ROWS])
@pytest.mark.usefixtures("study_folder")
def test_a_row_s_commands_run_and_answer_it(row):
    said = SCRIPT["answers"](row, REPLICATION.inputs | LOCAL)
    assert bool(said) == (not row.elsewhere)


def test_the_page_has_each_row_and_no_other():
    page = (FOLDER / "studies" / "replication.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(shown) == len(ROWS) + len(REPLICATION.papers)
    for row in ROWS:
        (line,) = [line for line in shown if f"{row.says} |" in line]
        assert all(command.split("$")[0] in line for command in row.commands)
