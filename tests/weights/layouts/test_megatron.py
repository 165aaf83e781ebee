"""Megatron's folders of ranks, stages and expert ranks, cut here as Megatron cuts them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from spectra_cli.weights import open_weights
from tests.support.checkpoints import refusal
from tests.support.read_matrices import same_matrices

HIDDEN, INNER, EXPERTS, LAYERS = 12, 8, 4, 2
ARGUMENTS = {
    "hidden_size": HIDDEN, "moe_ffn_hidden_size": INNER, "num_attention_heads": 2, "kv_channels": 6, "swiglu": True,
    "num_experts": EXPERTS, "num_layers": LAYERS,
}  # fmt: skip
Experts = dict[str, torch.Tensor]


def experts(layer: int) -> Experts:
    generator = torch.Generator().manual_seed(layer)
    shapes = {"gate": (EXPERTS, INNER, HIDDEN), "up": (EXPERTS, INNER, HIDDEN), "down": (EXPERTS, HIDDEN, INNER),
              "router": (EXPERTS, HIDDEN)}  # fmt: skip
    return {part: torch.randn(shape, generator=generator) for part, shape in shapes.items()}


def by_expert(whole: Experts, layer: int, parts: tuple[str, ...]) -> Experts:
    return {f"layers.{layer}.experts.{n}.{part}": whole[part][n] for n in range(EXPERTS) for part in parts}


def write(
    run: Path, *, ranks: int = 1, stages: int = 1, expert_ranks: int = 1, grouped: bool = False, **changes: object
) -> None:
    """Write a step of a model of experts, with as many parts as asked for, and Megatron's names for their folders."""
    sizes = {"tensor_model_parallel_size": ranks, "pipeline_model_parallel_size": stages,
             "expert_model_parallel_size": expert_ranks}  # fmt: skip
    arguments = argparse.Namespace(**(ARGUMENTS | sizes | changes))
    for stage in range(stages):
        for expert_rank in range(expert_ranks):
            for rank in range(ranks):
                state = {}
                for own, layer in enumerate(range(stage * LAYERS // stages, (stage + 1) * LAYERS // stages)):
                    state |= _layer(own, experts(layer), rank, ranks, expert_rank, expert_ranks, grouped)
                name = f"mp_rank_{rank:02}" + (f"_{stage:03}" if stages > 1 else "")
                name += f"_{expert_rank:03}" if expert_ranks > 1 else ""
                folder = run / "iter_0000100" / name
                folder.mkdir(parents=True)
                torch.save({"args": arguments, "iteration": 100, "model": state}, folder / "model_optim_rng.pt")


def _layer(
    own: int, whole: Experts, rank: int, ranks: int, expert_rank: int, expert_ranks: int, grouped: bool
) -> Experts:
    prefix, count = f"decoder.layers.{own}.mlp.", EXPERTS // expert_ranks
    state = {f"{prefix}router.weight": whole["router"].clone()}
    for number in range(count):
        expert = expert_rank * count + number
        into = torch.cat([whole[part][expert].chunk(ranks, 0)[rank] for part in ("gate", "up")])
        out = whole["down"][expert].chunk(ranks, 1)[rank].clone()
        for name, tensor in (("linear_fc1", into), ("linear_fc2", out)):
            single = f"local_experts.{number}.{name}.weight"
            state[f"{prefix}experts." + (f"{name}.weight{number}" if grouped else single)] = tensor
    return state


@pytest.mark.parametrize("grouped", [False, True], ids=["experts by themselves", "numbered by Transformer Engine"])
@pytest.mark.parametrize(
    ("ranks", "stages", "expert_ranks"), [(1, 1, 1), (1, 1, 2), (2, 1, 2), (1, 2, 2), (2, 2, 4), (2, 2, 1)]
)
def test_ranks_stages_and_expert_ranks_make_one_model(
    tmp_path: Path, ranks: int, stages: int, expert_ranks: int, grouped: bool
) -> None:
    write(tmp_path, ranks=ranks, stages=stages, expert_ranks=expert_ranks, grouped=grouped)
    truth = {f"layers.{layer}.router": experts(layer)["router"] for layer in range(LAYERS)}
    for layer in range(LAYERS):
        truth |= by_expert(experts(layer), layer, ("gate", "up", "down"))
    same_matrices(tmp_path / "iter_0000100", truth)


@pytest.mark.parametrize("glu", [True, False])
def test_experts_in_one_tensor_are_read_as_megatrons_code_does(tmp_path: Path, glu: bool) -> None:
    whole = experts(0)
    parts = ("gate", "up") if glu else ("up",)
    into = torch.cat([whole[part].transpose(1, 2) for part in parts], 2)  # [experts, in, out]
    out = whole["down"].transpose(1, 2)
    state = {
        "decoder.layers.0.mlp.experts.weight1": into.reshape(HIDDEN, -1).clone(),
        "decoder.layers.0.mlp.experts.weight2": out.reshape(-1, HIDDEN).clone(),
    }
    folder = tmp_path / "mp_rank_00"
    folder.mkdir()
    arguments = argparse.Namespace(**(ARGUMENTS | {"num_layers": 1, "swiglu": glu}))
    torch.save({"args": arguments, "model": state}, folder / "model_optim_rng.pt")
    same_matrices(tmp_path, by_expert(whole, 0, (*parts, "down")))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_layers": 3}, "holds 2 layers, and its arguments say num_layers 3"),
        ({"num_experts": 8}, "holds 4 experts a layer, and its arguments say num_experts 8"),
        ({"tensor_model_parallel_size": 4}, "2 tensor-parallel ranks, and its arguments say tensor_model_"),
        ({"expert_model_parallel_size": 4}, "2 expert ranks, and its arguments say expert_model_parallel_size 4"),
        (
            {"pipeline_model_parallel_size": 2, "expert_model_parallel_size": 1},
            "holds 4 layers, and its arguments say num_layers 2",
        ),
    ],
)
def test_counts_that_contradict_the_arguments_are_refused_with_both_numbers(tmp_path: Path, wrong, says: str) -> None:
    write(tmp_path, ranks=2, expert_ranks=2, **wrong)
    assert says in refusal(tmp_path / "iter_0000100")


def test_without_arguments_it_says_what_a_folders_number_was_taken_for(tmp_path: Path) -> None:
    for stage in range(2):
        folder = tmp_path / f"mp_rank_00_{stage:03}"
        folder.mkdir()
        torch.save({"model": {"decoder.layers.0.mlp.linear_fc2.weight": torch.ones(2, 2)}}, folder / "model_rng.pt")
    with open_weights(tmp_path) as weights:
        assert len(weights.tensors) == 2
        assert "taken for a stage of the pipeline" in weights.notes[0]
