"""Bad input: two lines that name the file and say what to do, the right exit code, and nothing half-written."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from torch.distributed.checkpoint import state_dict_saver

from tests.support import runs


def error_pairs(result):
    """The error as pairs of lines; fails where there is anything else, such as a traceback."""
    text = result.err.rstrip("\n").split("\n")
    pairs = list(zip(text[::2], text[1::2], strict=True))
    assert all(what.startswith("spectra: ") and todo.startswith("  ") for what, todo in pairs), result.err
    return pairs


def steps_of(path):
    return sorted(pd.read_parquet(path)["step"].unique())


def nothing_written(folder):
    return [path.name for path in folder.iterdir() if "parquet" in path.name] == []


@pytest.mark.parametrize(
    ("damage", "named", "todo"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 100), "is cut short", "again"),
        (lambda path: path.write_bytes(b"\xff" * 64), "model.safetensors", ""),
        (lambda path: path.write_bytes(b""), "model.safetensors", ""),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "LFS",
            "git lfs pull",
        ),
        (lambda path: path.write_text("<!DOCTYPE html><html>not found</html>"), "model.safetensors", ""),
    ],
)
def test_one_bad_checkpoint_does_not_stop_the_others(run, tmp_path, spectra, damage, named, todo):
    damage(run / "step4" / "model.safetensors")
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    ((what, hint),) = error_pairs(result)
    assert "step4/model.safetensors" in what
    assert named in what
    assert todo in hint
    assert steps_of(tmp_path / "a.parquet") == [0, 1, 2, 8, 16]


def test_the_only_checkpoint_being_bad_is_a_failure(run, tmp_path, spectra):
    os.truncate(run / "step4" / "model.safetensors", 3000)
    result = spectra("scan", run / "step4", "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 1
    assert len(error_pairs(result)) == 1
    assert nothing_written(tmp_path)


def test_all_checkpoints_being_bad_is_a_failure(run, tmp_path, spectra):
    for folder in run.iterdir():
        os.truncate(folder / "model.safetensors", 3000)
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 1
    assert nothing_written(tmp_path)


def test_an_unreadable_last_checkpoint_is_replaced_as_reference_and_named(run, tmp_path, spectra):
    os.truncate(run / "step16" / "model.safetensors", 3000)
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    assert "compared with step8 instead" in result.err


def test_an_unreadable_reference_that_was_named_is_a_failure(run, tmp_path, spectra):
    os.truncate(run / "step8" / "model.safetensors", 3000)
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "--reference", "step8", "-q")
    assert result.code == 1
    assert nothing_written(tmp_path)


def test_an_index_that_names_a_missing_shard(run, tmp_path, spectra):
    folder = run / "step2"
    os.rename(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    assert "model-00002-of-00002.safetensors" in error_pairs(result)[0][0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_matrix_that_holds_nan_or_inf_has_nan_rows(run, tmp_path, spectra, value):
    bad = torch.zeros(runs.TOKENS, runs.WIDTH)
    bad[3, 5] = value
    runs.edit(run / "step2", embed_out__weight=bad)
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    ((what, _),) = error_pairs(result)
    assert "step2" in what
    assert "embed_out.weight holds NaN or Inf" in what
    frame = pd.read_parquet(tmp_path / "a.parquet")
    rows = frame[(frame["step"] == 2) & (frame["matrix"] == "unembed") & (frame["metric"] == "stable_rank")]
    assert rows["value"].isna().all()
    assert len(rows) == 1


def test_a_missing_matrix_is_named(run, tmp_path, spectra):
    runs.edit(run / "step2", embed_out__weight=None)
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    assert "step2 has no unembed, which step16 has" in result.err


def test_a_resized_vocabulary_is_named_and_not_compared(run, tmp_path, spectra):
    runs.edit(run / "step2", embed_out__weight=torch.randn(48, runs.WIDTH))
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 3
    assert "48×16 in step2 and 40×16 in step16" in result.err
    frame = pd.read_parquet(tmp_path / "a.parquet")
    there = frame[(frame["step"] == 2) & (frame["matrix"] == "unembed")]
    assert "stable_rank" in set(there["metric"])
    assert "cos_weights_final" not in set(there["metric"])


def test_two_folders_with_one_step(run, tmp_path, spectra):
    shutil.copytree(run / "step4", run / "global_step4")
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "-q")
    assert result.code == 1
    assert "global_step4 and step4" in error_pairs(result)[0][0]
    assert nothing_written(tmp_path)


def test_only_one_checkpoint_says_so(run, tmp_path, spectra):
    result = spectra("scan", run / "step4", "-o", tmp_path / "a.parquet")
    assert result.code == 0
    assert "nothing to compare with: one checkpoint" in result.err


USAGE = {
    "a path that is not there": (["scan", "RUN/nowhere"], 1, "is not there"),
    "a folder without checkpoints": (["scan", "EMPTY"], 1, "holds no checkpoint"),
    "an output folder that does not exist": (["scan", "RUN", "-o", "RUN/no/a.parquet"], 1, "is not there"),
    "an output that is a folder": (["scan", "RUN", "-o", "RUN"], 1, "is a folder"),
    "an output that cannot be made": (["scan", "RUN", "-o", "/proc/a.parquet"], 1, "cannot be written"),
    "a pattern that matches nothing": (["scan", "RUN", "--revisions", "stepp*"], 2, "matches 'stepp*'"),
    "a range of steps that is none": (["scan", "RUN", "--steps", "5:x"], 2, "'5:x'"),
    "steps that are not there": (["scan", "RUN", "--steps", "500:"], 2, "no checkpoint lies in"),
    "an unknown metric": (["scan", "RUN", "--metrics", "alhpa"], 2, "alpha"),
    "an unknown role": (["scan", "RUN", "--roles", "query"], 2, "'query'"),
    "layers that are none": (["scan", "RUN", "--layers", "first"], 2, "'first'"),
    "an expression that is none": (["scan", "RUN", "--match", "("], 2, "'('"),
    "no matrix that fits": (["scan", "RUN", "--match", "nothing"], 1, "no matrix"),
    "an unknown reference": (["scan", "RUN", "--reference", "step99"], 2, "'step99'"),
    "an unknown device": (["scan", "RUN", "--device", "tpu"], 2, "tpu"),
    "too few threads": (["scan", "RUN", "--threads", "0"], 2, "0"),
    "an unknown option": (["scan", "RUN", "--referense", "x"], 2, "--referense"),
    "an unknown command": (["scna"], 2, "scna"),
    "a missing argument": (["scan"], 2, "SOURCE"),
    "an unknown metric's page": (["metrics", "alhpa"], 2, "alhpa"),
    "a run where one checkpoint is wanted": (["diff", "RUN", "RUN/step1"], 2, "6 checkpoints"),
    "a demo in a folder in use": (["demo", "RUN"], 1, "is there already"),
}


@pytest.mark.parametrize("case", USAGE)
def test_it_is_answered_in_two_lines(run, tmp_path, spectra, monkeypatch, case):
    arguments, code, named = USAGE[case]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(run)).replace("EMPTY", str(tmp_path / "empty")) for word in arguments]
    result = spectra(*words)
    assert result.code == code
    ((what, _),) = error_pairs(result)
    assert named in what
    assert result.out == ""
    assert nothing_written(tmp_path)


def test_names_from_a_file_cannot_act_on_the_terminal(run, tmp_path, spectra):
    runs.edit(run / "step2", **{"evil\x1b[31m\n\u202ename": torch.full((4, 4), float("nan"))})
    result = spectra("scan", run, "-o", tmp_path / "a.parquet")
    assert result.code == 3
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err
    assert "evil\\x1b[31m\\n\\u202ename" in result.err


@pytest.mark.slow
def test_a_second_scan_onto_one_output_is_refused(run, tmp_path):
    holder = (
        "import sys, time; from pathlib import Path; from spectra_cli.storage.parts import Parts\n"
        "from spectra_cli.storage.manifest import Manifest\n"
        "with Parts(Path(sys.argv[1]), Manifest()): print('held', flush=True); time.sleep(60)"
    )
    target = tmp_path / "a.parquet"
    with subprocess.Popen([sys.executable, "-c", holder, target], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            command = [sys.executable, "-m", "spectra_cli", "scan", run, "-o", target, "-q"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            other.kill()
    assert result.returncode == 1
    assert f"is being written by process {other.pid}" in result.stderr


def test_a_family_without_a_record_says_so(run, spectra):
    for folder in run.iterdir():
        (folder / "config.json").write_text('{"model_type": "nobody_knows"}')
        runs.edit(folder, gpt_neox__layers__0__attention__query_key_value__weight=None)
    result = spectra("inspect", run, "--record")
    assert result.code == 2
    assert "no record of this family" in error_pairs(result)[0][0]


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("others", [{}, {"b.weight": torch.ones(3, 2)}])
def test_a_reshaped_matrix_that_cannot_be_read_is_not_called_measured(tmp_path, spectra, others):
    for step, rows in ((0, 6), (1, 5)):
        folder = tmp_path / f"run/step{step}"
        state_dict_saver.save({"a.weight": torch.ones(rows, 2)} | others, checkpoint_id=folder, no_dist=True)
    pieces = pickle.loads((folder / ".metadata").read_bytes()).storage_data
    where = next(piece for index, piece in pieces.items() if index.fqn == "a.weight")
    with (folder / where.relative_path).open("r+b") as file:
        file.seek(where.offset)
        file.write(bytes(where.length))
    result = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", "--reference", "step0")
    assert result.code == 3
    ((what, _),) = error_pairs(result)
    assert str(folder / where.relative_path) in what
    assert "5×2" not in what
