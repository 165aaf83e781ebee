"""Folders that hold two sets of weights: one is read, and the other is named by what it holds."""

import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_saver

from spectra_cli.jobs.scan import Scan, scan_checkpoints
from spectra_cli.storage.table import read_rows
from tests.support.checkpoints import example, save_config, save_safetensors, save_shards, save_torch


def scan(folder: Path) -> Scan:
    save_config(folder, model_type="llama")
    return scan_checkpoints(folder, folder.parent / "table.parquet", metrics=("alpha",))


def left_out(scanned: Scan) -> str:
    (problem,) = scanned.problems
    assert problem.message in scanned.metadata["problems"]
    return problem.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "step1").mkdir()
    save_file(example(), tmp_path / "step1" / "model.safetensors")
    return tmp_path / "step1"


OTHERS = {
    "the same names": (example(seed=1), "its layers.0.down.weight has other entries"),
    "one tensor more": (
        {**example(), "lm_head.weight": torch.ones(11, 4)},
        "1 tensors of its own, such as lm_head.weight",
    ),
    "another shape": ({"embed.weight": torch.ones(12, 4)}, "1 tensors of its own, such as embed.weight"),
    "other names": (
        {"tok_embeddings.weight": torch.ones(11, 4)},
        "1 tensors of its own, such as tok_embeddings.weight",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model_5.pt"])
def test_a_file_of_other_weights_is_named(folder: Path, kind: str, name: str) -> None:
    tensors, says = OTHERS[kind]
    save_torch(tensors, folder / name)
    message = left_out(scan(folder))
    assert message.startswith(f"step1: {name} is left out: a file of weights beside model.safetensors, which is read; ")
    assert says in message


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_weights_in_another_format_are_a_note(folder: Path, dtype: torch.dtype) -> None:
    save_torch({name: tensor.to(dtype) for name, tensor in example().items()}, folder / "pytorch_model.bin")
    scanned = scan(folder)
    assert not scanned.problems
    assert "pytorch_model.bin repeats what is read, and is not read itself" in scanned.metadata["layouts"][0]["notes"]


def test_a_consolidated_file_beside_shards_is_named_and_shards_are_named_once(tmp_path: Path) -> None:
    folder = tmp_path / "step1"
    tensors = save_shards(folder)
    save_file({"layers.0.attention.wq.weight": torch.ones(4, 4)}, folder / "consolidated.safetensors")
    for number in (1, 2):
        save_torch({f"w{number}": torch.ones(3, 3)}, folder / f"pytorch_model-0000{number}-of-00002.bin")
    scanned = scan(folder)
    assert set(read_rows(scanned.output).to_pandas()["tensor"].astype(str)) == tensors.keys() - {"norm.weight"}
    messages = [problem.message for problem in scanned.problems]
    assert len(messages) == 2
    assert "consolidated.safetensors is left out" in messages[0]
    assert "pytorch_model-00001-of-00002.bin is left out" in messages[1]
    assert messages[1].endswith("such as w1 (and 1 more of its set)")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "more.safetensors"])
def test_a_file_of_weights_that_cannot_be_looked_into_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"something")
    assert f"{name} is left out: it cannot be looked into" in left_out(scan(folder))


def save_dcp(content: dict[str, object], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state_dict_saver.save(content, checkpoint_id=folder, no_dist=True)


SAVERS = {
    "zip": lambda content, folder: save_torch(content, folder / "model.pt"),
    "stream": lambda content, folder: save_torch(content, folder / "model.pt", as_zip=False),
    "distributed": save_dcp,
}


@pytest.mark.parametrize("save", SAVERS)
def test_a_second_model_in_one_file_is_named(tmp_path: Path, save: str) -> None:
    folder = tmp_path / "step1"
    folder.mkdir()
    second = {"head.weight": torch.ones(3, 2), "head.bias": torch.ones(3)}
    optimizer = {"state": {0: {"exp_avg": torch.ones(4, 4)}}}
    SAVERS[save]({"model": example(), "discriminator": second, "optimizer": optimizer}, folder)
    scanned = scan(folder)
    assert left_out(scanned).startswith("step1: discriminator.head.weight is left out: it lies beside the model's own")
    assert "embed.weight" in set(read_rows(scanned.output).to_pandas()["tensor"].astype(str))


def test_what_trainers_leave_beside_the_weights_is_no_weight(folder: Path) -> None:
    torch.save({"state": {0: {"exp_avg": torch.ones(4, 4)}}}, folder / "optimizer.pt")
    torch.save({"lr": 0.1, "table": torch.ones(4)}, folder / "other.pt")
    torch.save(example(), folder / "training_args.bin")
    (folder / "tokens.bin").write_bytes(b"any")
    assert not scan(folder).problems


def test_the_config_of_the_run_serves_checkpoints_without_one(tmp_path: Path) -> None:
    for step in (1, 2):
        save_safetensors(tmp_path / "run" / f"step{step}", {"model.layers.0.self_attn.q_proj.weight": torch.eye(4)})
    save_config(tmp_path / "run" / "step2", model_type="llama")
    save_config(tmp_path / "run", model_type="llama", num_attention_heads=2)
    notes = [layout["notes"] for layout in scan(tmp_path / "run").metadata["layouts"]]
    assert notes == [["the run's own config.json serves checkpoints that have none"], []]


def test_a_config_above_that_is_no_models_is_left_alone(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "run" / "step1", {"q.weight": torch.eye(4)})
    (tmp_path / "run" / "config.json").write_text('{"editor": "small"}')
    scanned = scan_checkpoints(tmp_path / "run", tmp_path / "table.parquet", metrics=("alpha",))
    assert scanned.metadata["layouts"][0]["notes"] == [
        "there is no config: every matrix keeps its stored name, with role other"
    ]
