"""Layouts that tensor-parallel training leaves: the parts are cut here the way each program cuts, then joined."""

import argparse
import shutil
from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights, recognise
from tests.support.checkpoints import refusal, same

RANKS = pytest.mark.parametrize("ranks", [1, 2, 4])


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


Whole = dict[str, tuple[torch.Tensor, int | None]]

LAYER: Whole = {
    "attention.query_key_value.weight": (numbers(24, 8), 0),
    "attention.query_key_value.bias": (numbers(24), 0),
    "attention.dense.weight": (numbers(8, 8), 1),
    "mlp.dense_h_to_4h.weight": (numbers(32, 8), 0),
    "mlp.dense_4h_to_h.weight": (numbers(8, 32), 1),
    "input_layernorm.weight": (numbers(8), None),
}


def part(tensor: torch.Tensor, axis: int | None, rank: int, ranks: int) -> torch.Tensor:
    return tensor.clone() if axis is None else tensor.chunk(ranks, axis)[rank].clone()


def save_neox(folder: Path, ranks: int) -> dict[str, torch.Tensor]:
    layers: dict[str, Whole] = {
        "00": {"word_embeddings.weight": (numbers(16, 8), 0)},
        "02": LAYER,
        "03": {name: (tensor + 1, axis) for name, (tensor, axis) in LAYER.items()},
        "05": {"norm.weight": (numbers(8), None)},
        "06": {"final_linear.weight": (numbers(16, 8), 0)},
    }
    folder.mkdir()
    for layer, tensors in layers.items():
        for rank in range(ranks):
            parts = {name: part(tensor, axis, rank, ranks) for name, (tensor, axis) in tensors.items()}
            torch.save(parts, folder / f"layer_{layer}-model_{rank:02}-model_states.pt")
    for rank in range(ranks):
        args = {"num_layers": 2, "num_attention_heads": 2, "hidden_size": 8}
        state = {"module": None, "args": args, "optimizer": {"exp_avg": torch.ones(3, 3)}, "iteration": 1000}
        torch.save(state, folder / f"mp_rank_{rank:02}_model_states.pt")
    return {f"layer_{layer}.{name}": tensor for layer, ts in layers.items() for name, (tensor, _) in ts.items()}


@RANKS
def test_neox_layers_are_joined_on_the_axis_of_their_kind(tmp_path: Path, ranks: int) -> None:
    expected = save_neox(tmp_path / "global_step1000", ranks)
    assert recognise(tmp_path / "global_step1000") == "neox"
    same(tmp_path / "global_step1000", expected)


def test_neox_gives_the_configuration_of_its_arguments(tmp_path: Path) -> None:
    save_neox(tmp_path / "a", 2)
    with open_weights(tmp_path / "a") as weights:
        config = weights.config
        assert (config["model_type"], config["num_attention_heads"], config["num_hidden_layers"]) == ("gpt_neox", 2, 2)


def test_a_part_of_a_layer_that_is_missing_is_told(tmp_path: Path) -> None:
    save_neox(tmp_path / "a", 2)
    (tmp_path / "a" / "layer_02-model_01-model_states.pt").unlink()
    assert "lacks parts" in refusal(tmp_path / "a")
    for path in (tmp_path / "a").glob("layer_*-model_01-*"):
        path.unlink()
    for path in (tmp_path / "a").glob("layer_*-model_00-*"):
        shutil.copy(path, str(path).replace("model_00-", "model_02-"))
    assert "lacks part 1 of 3" in refusal(tmp_path / "a")


def test_a_matrix_that_no_rule_knows_is_not_joined_by_guess(tmp_path: Path) -> None:
    for rank in range(2):
        state = {"strange.weight": torch.ones(4, 4), "attention.dense.weight": torch.ones(4, 2)}
        torch.save({"module": state}, tmp_path / f"mp_rank_{rank:02}_model_states.pt")
    with open_weights(tmp_path) as weights:
        assert weights.tensors["attention.dense.weight"].shape == (4, 4)
        assert [(skip.tensor, "no rule" in skip.reason) for skip in weights.unreadable] == [("strange.weight", True)]


def test_parts_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    for rank in range(2):
        state = {"attention.dense.weight": torch.ones(4 + rank, 2)}
        torch.save({"module": state}, tmp_path / f"mp_rank_{rank:02}_model_states.pt")
    assert "do not fit together" in refusal(tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_tensor_that_one_rank_alone_has_is_an_error(tmp_path: Path, rank: int) -> None:
    save_neox(tmp_path / "step", 2)
    path = tmp_path / "step" / f"layer_02-model_{rank:02}-model_states.pt"
    torch.save({**torch.load(path), "mlp.extra.weight": torch.ones(4, 4)}, path)
    assert "mlp.extra.weight is not in every part" in refusal(tmp_path / "step")


@RANKS
def test_deepspeed_keeps_the_state_under_module(tmp_path: Path, ranks: int) -> None:
    for rank in range(ranks):
        state = {f"layers.0.{name}": part(tensor, axis, rank, ranks) for name, (tensor, axis) in LAYER.items()}
        content = {
            "module": state,
            "optimizer": None,
            "ds_config": {},
            "global_steps": 5,
            "args": argparse.Namespace(a=1),
        }
        torch.save(content, tmp_path / f"mp_rank_{rank:02}_model_states.pt")
    assert recognise(tmp_path) == "deepspeed"
    same(tmp_path, {f"layers.0.{name}": tensor for name, (tensor, _) in LAYER.items()})


def test_weights_that_zero3_keeps_elsewhere_are_told_of(tmp_path: Path) -> None:
    torch.save({"module": {"a.weight": torch.zeros(0)}}, tmp_path / "mp_rank_00_model_states.pt")
    assert "ZeRO-3" in refusal(tmp_path)


@RANKS
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("swiglu", [False, True])
def test_megatron_ranks_and_stages_make_one_model(tmp_path: Path, ranks: int, stages: int, swiglu: bool) -> None:
    gate, up, embed = numbers(16, 8), numbers(16, 8) + 1, numbers(16, 8)
    attention, down = numbers(24, 8), numbers(8, 16)
    args = argparse.Namespace(swiglu=swiglu, num_attention_heads=4, pipeline_model_parallel_size=stages)
    for stage in range(stages):
        for rank in range(ranks):
            state: dict[str, object] = {}
            for layer in range(2):
                halves = [part(gate, 0, rank, ranks), part(up, 0, rank, ranks)]
                fused = torch.cat(halves) if swiglu else part(torch.cat([gate, up]), 0, rank, ranks)
                state[f"decoder.layers.{layer}.mlp.linear_fc1.weight"] = fused + stage
                state[f"decoder.layers.{layer}.mlp.linear_fc2.weight"] = part(down, 1, rank, ranks)
                state[f"decoder.layers.{layer}.self_attention.linear_qkv.weight"] = part(attention, 0, rank, ranks)
            if stage == 0:
                state["embedding.word_embeddings.weight"] = part(embed, 0, rank, ranks)
            name = f"mp_rank_{rank:02}_{stage:03}" if stages > 1 else f"mp_rank_{rank:02}"
            (tmp_path / name).mkdir()
            content = {"model": state, "args": args, "optimizer": {"m": torch.ones(3)}, "iteration": 5}
            torch.save(content, tmp_path / name / "model_optim_rng.pt")
    expected = {"embedding.word_embeddings.weight": embed}
    for layer in range(2 * stages):
        expected[f"decoder.layers.{layer}.mlp.linear_fc1.weight"] = torch.cat([gate, up]) + layer // 2
        expected[f"decoder.layers.{layer}.mlp.linear_fc2.weight"] = down
        expected[f"decoder.layers.{layer}.self_attention.linear_qkv.weight"] = attention
    assert recognise(tmp_path) == "megatron"
    same(tmp_path, expected)
    with open_weights(tmp_path) as weights:
        assert (weights.config["model_type"], weights.config["num_attention_heads"]) == ("megatron", 4)


def test_megatron_before_core_nests_its_dictionaries(tmp_path: Path) -> None:
    encoder = {"layers.0.mlp.dense_h_to_4h.weight": torch.ones(8, 2)}
    state = {"language_model": {"embedding": {"word_embeddings": {"weight": torch.ones(6, 2)}}, "encoder": encoder}}
    (tmp_path / "mp_rank_00").mkdir()
    torch.save({"model": state, "args": argparse.Namespace()}, tmp_path / "mp_rank_00" / "model_optim_rng.pt")
    with open_weights(tmp_path) as weights:
        assert set(weights.tensors) == {
            "language_model.embedding.word_embeddings.weight",
            "language_model.encoder.layers.0.mlp.dense_h_to_4h.weight",
        }


def test_a_model_saved_whole_beside_the_trainers_files_is_preferred(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "pytorch_model.bin")
    torch.save({"module": {"v": torch.ones(2, 2)}}, tmp_path / "mp_rank_00_model_states.pt")
    assert recognise(tmp_path) == "torch"
