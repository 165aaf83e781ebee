"""What a number rests on is said by the scan itself, once each, and stands in the table's metadata."""

import json

import pytest
import torch
from safetensors.torch import save_file

from spectra_cli.storage.table import read_metadata
from tests.support import runs
from tests.support.adapter_runs import write_adapters


def fused_without_config(folder):
    runs.write_run(folder, (0, 1))
    for checkpoint in folder.iterdir():
        (checkpoint / "config.json").unlink()
        tensors = {
            "gpt_neox.layers.0.attention.query_key_value.weight": torch.randn(72, 24),
            "gpt_neox.layers.0.attention.dense.weight": torch.randn(24, 24),
        }
        save_file(tensors, checkpoint / "model.safetensors")


def fused_in_an_unknown_family(folder):
    for step in (0, 1):
        tensors = {"h.0.attn.Wqkv.weight": torch.randn(72, 24), "h.0.attn.out.weight": torch.randn(24, 24)}
        runs.write_checkpoint(folder / f"step{step}", tensors, {"model_type": "nobodys"})


def adapters(folder):
    folder.mkdir()
    write_adapters(folder, {"model.layers.0.self_attn.q_proj": (16, 16)})


def no_config(folder):
    for step in (0, 1):
        tensors = {f"model.layers.0.self_attn.{part}_proj.weight": torch.randn(16, 16) for part in "qkvo"}
        checkpoint = runs.write_checkpoint(folder / f"step{step}", tensors)
        (checkpoint / "config.json").unlink()


GROUNDS = {
    "fused, no config": (fused_without_config, "query_key_value.weight looks fused and is kept whole"),
    "fused, unknown family": (fused_in_an_unknown_family, "Wqkv.weight looks fused and is kept whole"),
    "adapters": (adapters, "the changes it makes, not the model's weights"),
    "no config": (no_config, "the tensors' names show llama"),
}


@pytest.mark.parametrize(("write", "words"), GROUNDS.values(), ids=GROUNDS)
def test_it_is_said_once_at_the_end_and_kept(tmp_path, spectra, write, words):
    write(tmp_path / "run")
    result = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert result.code == 0, result.err
    (line,) = (line for line in result.err.splitlines() if words in line)
    assert line.startswith("note: ")
    (layout,) = read_metadata(tmp_path / "a.parquet")["layouts"]
    (kept,) = (note for note in layout["notes"] if words in note)
    assert line == f"note: {kept}"[: len(line)]


@pytest.mark.slow
@pytest.mark.parametrize(("write", "words"), GROUNDS.values(), ids=GROUNDS)
def test_inspect_says_the_same(tmp_path, spectra, write, words):
    write(tmp_path / "run")
    assert words in " ".join(spectra("inspect", tmp_path / "run").out.split())


def test_whole_fused_tensors_that_were_asked_for_are_said(run, tmp_path, spectra):
    assert "kept whole, as --fused asks" in spectra("scan", run, "-o", tmp_path / "a.parquet", "--fused").err
    assert read_metadata(tmp_path / "a.parquet")["options"]["fused"] is True
    assert "--fused" not in spectra("scan", run, "-o", tmp_path / "b.parquet").err


def test_an_ordinary_run_has_no_note(run, tmp_path, spectra):
    result = spectra("scan", run, "-o", tmp_path / "a.parquet", "--json")
    assert [layout["notes"] for layout in json.loads(result.out)["metadata"]["layouts"]] == [[]]
    assert "note:" not in spectra("scan", run, "-o", tmp_path / "b.parquet").err
