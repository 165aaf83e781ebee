"""Runs that tensor-parallel training leaves: GPT-NeoX's, DeepSpeed's and Megatron's files by rank. Reads nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from tests.support import models
from tests.support.models import HEADS, HIDDEN, KV_HEADS, LAYERS, State, Truth
from tests.support.run_files import OPTIMIZER, save_distributed, save_json, save_torch, trainers_files

RANKS = 2


def neox(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"global_step{step}"
    layers: dict[int, State] = {0: {"word_embeddings.weight": torch.from_numpy(truth["embed"])}}
    for layer in range(LAYERS):
        layers[layer + 2] = _neox_layer(truth, layer) | {"input_layernorm.weight": torch.ones(HIDDEN)}
    layers[LAYERS + 3] = {"norm.weight": torch.ones(HIDDEN)}
    layers[LAYERS + 4] = {"final_linear.weight": torch.from_numpy(truth["unembed"])}
    for number, state in layers.items():
        for rank in range(RANKS):
            file = folder / f"layer_{number:02}-model_{rank:02}-model_states.pt"
            save_torch({name: _share(name, whole, rank) for name, whole in state.items()}, file)
    for rank in range(RANKS):
        args = {"num_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": HIDDEN, "model_parallel_size": RANKS}
        save_torch({"module": None, "args": args, "iteration": step}, folder / f"mp_rank_{rank:02}_model_states.pt")
        zero = folder / f"zero_pp_rank_0_mp_rank_{rank:02}_optim_states.pt"
        save_torch({"optimizer_state_dict": OPTIMIZER}, zero)
    (run / "latest").write_text(f"global_step{step}")


def _neox_layer(truth: Truth, layer: int) -> State:
    state = {"attention.query_key_value.weight": models.by_head(truth, layer)}
    return state | {
        stored: models.tensor(truth, layer, part) for part, stored in models.NEOX_LAYER.items() if part != "attn.qkv"
    }


def _share(name: str, whole: torch.Tensor, rank: int) -> torch.Tensor:
    """Return one rank's part of a tensor: rows of what widens, columns of what narrows."""
    if "norm" in name:
        return whole.clone()
    narrows = ("attention.dense", "dense_4h_to_h", "linear_proj", "linear_fc2")
    return whole.chunk(RANKS, 1 if any(word in name for word in narrows) else 0)[rank].clone()


def deepspeed(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"global_step{step}"
    content = {
        "module": models.named(truth, models.LLAMA), "optimizer": None, "global_steps": step, "ds_version": "0.16.0",
        "ds_config": {"train_batch_size": 8}, "param_shapes": None, "mp_world_size": 1,
    }  # fmt: skip
    save_torch(content, folder / "mp_rank_00_model_states.pt")
    save_torch({"optimizer_state_dict": OPTIMIZER}, folder / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    (run / "latest").write_text(f"global_step{step}")


def _megatrons_arguments() -> argparse.Namespace:
    return argparse.Namespace(
        num_layers=LAYERS, hidden_size=HIDDEN, num_attention_heads=HEADS, num_query_groups=KV_HEADS, swiglu=True,
        kv_channels=models.HEAD, tensor_model_parallel_size=RANKS,
    )  # fmt: skip


def megatron(run: Path, step: int, truth: Truth) -> None:
    for rank in range(RANKS):
        state = {
            "embedding.word_embeddings.weight": torch.from_numpy(truth["embed"]).chunk(RANKS)[rank].clone(),
            "output_layer.weight": torch.from_numpy(truth["unembed"]).chunk(RANKS)[rank].clone(),
        }
        for layer in range(LAYERS):
            prefix = f"decoder.layers.{layer}"
            halves = [models.tensor(truth, layer, f"mlp.{part}").chunk(RANKS)[rank] for part in ("gate", "up")]
            state[f"{prefix}.self_attention.linear_qkv.weight"] = _share("qkv", models.by_group(truth, layer), rank)
            state[f"{prefix}.self_attention.linear_proj.weight"] = _share(
                "linear_proj", models.tensor(truth, layer, "attn.o"), rank
            )
            state[f"{prefix}.mlp.linear_fc1.weight"] = torch.cat(halves)
            state[f"{prefix}.mlp.linear_fc2.weight"] = _share(
                "linear_fc2", models.tensor(truth, layer, "mlp.down"), rank
            )
        content = {"args": _megatrons_arguments(), "checkpoint_version": 3.0, "iteration": step, "model": state}
        content["optimizer"] = OPTIMIZER
        save_torch(content, run / f"iter_{step:07}" / f"mp_rank_{rank:02}" / "model_optim_rng.pt")
    (run / "latest_checkpointed_iteration.txt").write_text(str(step))


def megatron_distributed(run: Path, step: int, truth: Truth) -> None:
    """Megatron's newer format: all layers of one kind in one tensor, the optimizer's states under flat names."""

    def stack(make: Callable[[int], torch.Tensor]) -> torch.Tensor:
        return torch.stack([make(layer) for layer in range(LAYERS)])

    def both(layer: int) -> torch.Tensor:
        return torch.cat([models.tensor(truth, layer, f"mlp.{part}") for part in ("gate", "up")])

    prefix, folder = "decoder.layers", run / f"iter_{step:07}"
    state = {
        "embedding.word_embeddings.weight": torch.from_numpy(truth["embed"]),
        "output_layer.weight": torch.from_numpy(truth["unembed"]),
        "decoder.final_layernorm.weight": torch.ones(HIDDEN),
        f"{prefix}.self_attention.linear_qkv.weight": stack(lambda layer: models.by_group(truth, layer)),
        f"{prefix}.self_attention.linear_qkv.layer_norm_weight": torch.ones(LAYERS, HIDDEN),
        f"{prefix}.self_attention.linear_proj.weight": stack(lambda layer: models.tensor(truth, layer, "attn.o")),
        f"{prefix}.mlp.linear_fc1.weight": stack(both),
        f"{prefix}.mlp.linear_fc2.weight": stack(lambda layer: models.tensor(truth, layer, "mlp.down")),
    }
    states = {f"optimizer.state.exp_avg.{name}": torch.ones_like(tensor) for name, tensor in state.items()}
    save_distributed(state | states, folder)
    save_torch({"args": _megatrons_arguments(), "iteration": step, "checkpoint_version": 3.0}, folder / "common.pt")
    save_json(folder / "metadata.json", {"sharded_backend": "torch_dist"})


def trainer_with_deepspeed(run: Path, step: int, truth: Truth) -> None:
    deepspeed(run / f"checkpoint-{step}", step, truth)
    trainers_files(run / f"checkpoint-{step}", step)
    (run / f"checkpoint-{step}" / "optimizer.pt").unlink()
    (run / f"checkpoint-{step}" / "zero_to_fp32.py").write_text("raise SystemExit\n")
    save_json(run / f"checkpoint-{step}" / "config.json", models.LLAMA_CONFIG)
