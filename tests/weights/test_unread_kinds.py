"""Kinds that are known and not read: the error names the kind, and its second line leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from tests.support import models
from tests.support.checkpoints import same, save_safetensors
from tests.support.read_matrices import read_matrices
from tests.support.run_files import OPTIMIZER, save_torch

WEIGHTS = models.named(models.gated(1), models.LLAMA)


def one_file(name: str, data: bytes = b"GGUF" + bytes(64)):
    def write(run: Path) -> None:
        (run / "step100").mkdir(parents=True)
        (run / "step100" / name).write_bytes(data)

    return write


def states_alone(run: Path) -> None:
    for step in (1, 2):
        save_torch(OPTIMIZER, run / f"checkpoint-{step}" / "optimizer.pt")


def orbax(run: Path) -> None:
    (run / "1000" / "ocdbt.process_0").mkdir(parents=True)


def zero3(run: Path) -> None:
    for rank in range(2):
        prefix = run / "global_step10" / f"zero_pp_rank_{rank}_mp_rank_00"
        save_torch({"module": {"w": torch.zeros(0)}}, Path(f"{prefix}_model_states.pt"))
        save_torch({"optimizer_state_dict": OPTIMIZER}, Path(f"{prefix}_optim_states.pt"))


@pytest.mark.parametrize(
    ("write", "cause", "way_out"),
    [
        (one_file("model-Q4.gguf"), "in GGUF, llama.cpp's own format", "safetensors or torch files"),
        (one_file("model.onnx"), "ONNX", "safetensors or torch files"),
        (one_file("flax_model.msgpack"), "Flax", "save the tensors as safetensors"),
        (one_file("tf_model.h5"), "TensorFlow", "save the tensors as safetensors"),
        (one_file("model.ckpt-100.data-00000-of-00001"), "TensorFlow", "save the tensors as safetensors"),
        (one_file("llama.nemo"), "NeMo", "tar"),
        (one_file("weights.npz"), "NumPy", "save the tensors as safetensors"),
        (one_file("__0_0.distcp"), "without its .metadata", "copy the hidden file .metadata"),
        (orbax, "Orbax", "save the tensors as safetensors"),
        (states_alone, "the optimizer's states and no weights", "the folder that the weights were saved in"),
        (zero3, "ZeRO-3", "zero_to_fp32.py"),
    ],
)
@pytest.mark.parametrize("below", [True, False], ids=["the run", "its step"])
def test_the_cause_and_the_way_out_are_told(tmp_path: Path, spectra, write, cause: str, way_out: str, below) -> None:
    write(tmp_path / "run")
    source = tmp_path / "run" if below else next((tmp_path / "run").iterdir())
    said = spectra("scan", source, "-o", tmp_path / "a.parquet")
    assert said.code == 1
    what, todo = said.err.splitlines()
    assert cause in what
    assert way_out in todo


def test_a_file_of_such_a_kind_says_so_too(tmp_path: Path, spectra) -> None:
    one_file("model.gguf")(tmp_path / "run")
    said = spectra("diff", *[tmp_path / "run" / "step100" / "model.gguf"] * 2)
    assert said.code == 1
    assert "GGUF" in said.err


@pytest.mark.parametrize("main", [True, False], ids=["with the branch's commit", "without"])
@pytest.mark.parametrize("root", ["a repository", "the cache"])
def test_the_hint_at_a_cache_is_a_command_that_works(tmp_path: Path, spectra, root: str, main: bool) -> None:
    repository = tmp_path / "hub" / "models--org--name"
    for number, letter in enumerate("ab"):
        truth = models.gated(number)
        save_safetensors(repository / "snapshots" / (letter * 40), models.named(truth, models.LLAMA))
    if main:
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("b" * 40)
    source = repository if root == "a repository" else repository.parent
    said = spectra("scan", source, "-o", tmp_path / "a.parquet")
    assert said.code == 1
    assert "Hub's cache" in said.err
    command = re.search(r"`spectra (.+)`", said.err)
    assert command is not None
    assert ("b" if main else "a") * 40 in command[1]
    assert spectra(*shlex.split(command[1]), "-o", tmp_path / "a.parquet", "-q").code == 0


def test_weights_beside_such_files_are_read(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "step100", WEIGHTS)
    (tmp_path / "step100" / "model.gguf").write_bytes(b"GGUF" + bytes(64))
    save_torch(OPTIMIZER, tmp_path / "step100" / "optimizer.pt")
    assert read_matrices(tmp_path / "step100")[0].keys() == models.gated(1).keys()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nested", [True, False], ids=["with the axis of its parts", ""])
def test_deepspeeds_universal_format_is_read_tensor_by_tensor(tmp_path: Path, prefix: str, nested: bool) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in WEIGHTS.items()}
    for name, tensor in state.items():
        folder = tmp_path / "zero" / name
        save_torch({"param": tensor, "cat_dim": 0} if nested else {"param": tensor}, folder / "fp32.pt")
        save_torch({"param": torch.zeros_like(tensor)}, folder / "exp_avg.pt")
    save_torch({"ds_version": "0.16", "iteration": 10}, tmp_path / "mp_rank_00_model_states.pt")
    same(tmp_path, state)


def test_files_that_no_name_ties_together_are_told_of(tmp_path: Path, spectra) -> None:
    for name in ("model_tp0.pt", "model_tp1.pt"):
        save_torch({"q.weight": torch.ones(2, 2)}, tmp_path / "run" / "step1" / name)
    said = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet")
    assert said.code == 1
    what, todo = said.err.splitlines()
    assert what.endswith("step1 holds several files of weights, and no name says how they belong together")
    (command,) = re.findall("`spectra (.+)`", todo)
    assert spectra(*shlex.split(command), "-o", tmp_path / "a.parquet").code == 0
