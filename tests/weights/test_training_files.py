"""Files that training programs leave: a model's tensors and its configuration are picked out of all the rest."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import torch

from spectra_cli.weights import open_weights
from tests.support.checkpoints import example, refusal, same, save_config, save_torch


def test_optimizer_states_are_left_out_and_said_so(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iter_num": 1}
    path = save_torch(content, tmp_path / "ckpt.pt")
    same(path, dict(model.state_dict()))
    with open_weights(path) as weights:
        assert weights.notes == ("left out: optimizer states",)


def test_a_file_of_optimizer_states_alone_is_an_error(tmp_path: Path) -> None:
    path = save_torch({"optimizer": {"state": {0: {"exp_avg": torch.ones(2, 2)}}}}, tmp_path / "last.pt")
    assert "holds no tensors of a model" in refusal(path)


def test_averaged_weights_are_taken_when_asked_for(tmp_path: Path) -> None:
    path = save_torch({"model": example(), "ema": example(seed=1)}, tmp_path / "a.pt")
    same(path, example())
    same(path, example(seed=1), ema=True)
    with open_weights(path) as weights:
        assert "EMA weights" in weights.notes[0]
    assert "holds no EMA weights" in refusal(save_torch({"model": example()}, tmp_path / "b.pt"), ema=True)


def test_averaged_weights_may_stand_beside_the_others_under_a_prefix(tmp_path: Path) -> None:
    both = {**{f"model.{k}": v for k, v in example().items()}, **{f"ema.model.{k}": v for k, v in example(1).items()}}
    path = save_torch({"state_dict": both}, tmp_path / "a.ckpt")
    same(path, {f"model.{name}": tensor for name, tensor in example().items()})
    same(path, {f"model.{name}": tensor for name, tensor in example(1).items()}, ema=True)


def test_nanogpt_files_carry_their_configuration(tmp_path: Path) -> None:
    args = {"n_layer": 2, "n_head": 2, "n_embd": 4, "block_size": 8, "bias": False, "vocab_size": 11, "dropout": 0.0}
    content = {"model": {f"_orig_mod.{k}": v for k, v in example().items()}, "model_args": args, "iter_num": 5}
    path = save_torch(content, tmp_path / "ckpt.pt")
    with open_weights(path) as weights:
        assert weights.config == {"model_type": "nanogpt", **args}
        assert set(weights.tensors) == {f"_orig_mod.{name}" for name in example()}


def test_nanochat_files_have_their_configuration_beside_them(tmp_path: Path) -> None:
    path = save_torch(example(), tmp_path / "model_000500.pt")
    (tmp_path / "meta_000500.json").write_text('{"step": 500, "model_config": {"n_layer": 4, "n_head": 2}}')
    with open_weights(path) as weights:
        assert weights.config["model_type"] == "nanochat"
        assert (weights.config["step"], weights.config["n_layer"]) == (500, 4)


def test_modded_nanogpt_files_keep_code_and_optimizers_out_of_the_way(tmp_path: Path) -> None:
    content = {"step": 1500, "code": "import os", "model": example(), "optimizers": [{"state": {0: torch.ones(2, 2)}}]}
    same(save_torch(content, tmp_path / "state_step001500.pt"), example())


def test_lightning_files_give_their_hyperparameters(tmp_path: Path) -> None:
    content = {
        "epoch": 1, "global_step": 2000, "pytorch-lightning_version": "2.5", "state_dict": example(), "loops": {},
        "callbacks": {"best": torch.ones(3)}, "optimizer_states": [{"state": {}}], "lr_schedulers": [],
        "hyper_parameters": {"width": 4, "heads": 2},
    }  # fmt: skip
    path = save_torch(content, tmp_path / "epoch=1-step=2000.ckpt")
    same(path, example())
    with open_weights(path) as weights:
        assert weights.config == {"width": 4, "heads": 2}


def test_composer_keeps_all_its_states_under_one_key(tmp_path: Path) -> None:
    optimizers = {"Adam": {"state": {"w": {"exp_avg": torch.ones(2, 2)}}}}
    content = {"state": {"model": example(), "optimizers": optimizers}, "rng": [torch.zeros(3, 3)]}
    path = save_torch(content, tmp_path / "ep0-ba100-rank0.pt")
    same(path, example())


def test_objects_of_other_classes_are_passed_over_without_being_built(tmp_path: Path) -> None:
    content = {
        "model": example(),
        "args": argparse.Namespace(num_layers=2),
        "other": SimpleNamespace(a=1),
        "p": Path("x"),
    }
    path = save_torch(content, tmp_path / "a.pt")
    same(path, example())
    with open_weights(path) as weights:
        assert weights.config == {"num_layers": 2}  # any program may call its arguments so


def test_the_configuration_beside_a_file_wins_over_the_one_within(tmp_path: Path) -> None:
    save_torch({"model": example(), "model_args": {"n_layer": 1}}, tmp_path / "ckpt.pt")
    save_config(tmp_path, model_type="gpt2")
    with open_weights(tmp_path) as weights:
        assert weights.config == {"model_type": "gpt2", "n_layer": 1}


def test_averaged_weights_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    save_torch(example(), tmp_path / "model.pt")
    save_torch(example(seed=1), tmp_path / "model_ema.pt")
    same(tmp_path, example())
    same(tmp_path, example(seed=1), ema=True)
