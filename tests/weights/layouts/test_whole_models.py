"""Models that torch.save(model) wrote whole: the tensors of their state_dict, without a class being imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights
from tests.support.checkpoints import refusal, same
from tests.support.read_matrices import read_matrices


class Net(torch.nn.Module):
    """A parameter of its own, submodules in a list, one buffer that is saved and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.position = torch.nn.Parameter(torch.randn(3, 4))
        self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))
        self.register_buffer("kept", torch.randn(2, 2))
        self.register_buffer("passing", torch.randn(2, 2), persistent=False)


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 3, bias=False)
        self.second = self.first


def around(model: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.ModuleDict({"module": model})


MAKE: tuple[Callable[[], torch.nn.Module], ...] = (
    Net, Tied, lambda: around(Net()), lambda: torch.nn.Sequential(Net(), torch.nn.LayerNorm(4)),
)  # fmt: skip


@pytest.mark.parametrize("as_zip", [True, False], ids=["", "before torch 1.6"])
@pytest.mark.parametrize("make", MAKE, ids=["own parameter", "shared module", "wrapped", "without own parameters"])
@pytest.mark.parametrize("key", [None, "model", "net", "state_dict"])
def test_its_tensors_are_those_of_its_state_dict(tmp_path: Path, make, key: str | None, as_zip: bool) -> None:
    model = make()
    content = model if key is None else {key: model, "optimizer": {"state": {0: torch.ones(2, 2)}}, "epoch": 3}
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=as_zip)
    same(tmp_path / "model.pt", dict(model.state_dict()))
    with open_weights(tmp_path / "model.pt") as weights:
        assert any("a whole model" in note and "read as data" in note for note in weights.notes)


@pytest.mark.slow
def test_a_model_of_transformers_brings_its_own_configuration(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 -- importing it takes seconds

    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=4, vocab_size=11))
    torch.save(model, tmp_path / "model.pt")
    matrices, _ = read_matrices(tmp_path / "model.pt")
    fused = model.state_dict()["transformer.h.0.attn.c_attn.weight"]
    for role, block in zip("qkv", fused.chunk(3, 1), strict=True):
        assert torch.equal(torch.from_numpy(matrices[f"layers.0.attn.{role}"]), block.T)
    assert {"embed", "layers.0.mlp.up"} <= set(matrices)


SAVE = """
import sys, torch
class Elsewhere(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)
torch.save(Elsewhere(), sys.argv[1])
"""


def test_the_class_need_not_be_there(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / "model.pt")], check=True, timeout=100)
    with open_weights(tmp_path / "model.pt") as weights:
        assert set(weights.tensors) == {"inner.weight", "inner.bias"}


def test_a_module_that_holds_itself_ends(tmp_path: Path) -> None:
    model = Net()
    model._modules["again"] = model
    torch.save(model, tmp_path / "model.pt")
    with open_weights(tmp_path / "model.pt") as weights:
        assert "layers.1.weight" in weights.tensors


class Harmful(Net):
    def __reduce__(self) -> tuple[object, ...]:
        return (eval, ("1 + 1",))


def test_what_it_would_run_is_refused(tmp_path: Path) -> None:
    torch.save(Harmful(), tmp_path / "model.pt")
    assert "nothing was run" in refusal(tmp_path / "model.pt")
