"""Runs as the programs that train models leave them: names, files and what else lies beside. Reads nothing."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint import state_dict_saver

from tests.support import models
from tests.support.models import HEADS, HIDDEN, KV_HEADS, LAYERS, State, Truth

RANKS = 2
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(5, 4), "exp_avg_sq": torch.ones(5, 4)}}, "param_groups": [{"lr": 0.1}]}


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _torch(content: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def trainers_files(folder: Path, step: int) -> None:
    """What transformers' Trainer saves beside the model."""
    _torch(OPTIMIZER, folder / "optimizer.pt")
    _torch({"last_epoch": step}, folder / "scheduler.pt")
    _torch({"cpu": torch.zeros(16, dtype=torch.uint8)}, folder / "rng_state.pth")
    _torch(argparse.Namespace(learning_rate=0.1), folder / "training_args.bin")
    _json(folder / "tokenizer.json", {"version": "1.0"})
    history: list[dict[str, float]] = []
    for at in range(10, step + 1, 10):
        history.append({"epoch": at / 100, "grad_norm": 1.0, "learning_rate": 1e-3 / at, "loss": 10 / at, "step": at})
    history.append({"epoch": step / 100, "eval_loss": 11 / step, "eval_runtime": 0.5, "step": step})
    _json(folder / "trainer_state.json", {"global_step": step, "log_history": history, "best_metric": None})


def trainer(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for place in (folder, run):  # the root holds the model of the last step once more
        save_file(models.named(truth, models.LLAMA), place / "model.safetensors", {"format": "pt"})
        _json(place / "config.json", models.LLAMA_CONFIG)
    trainers_files(folder, step)
    _json(run / "all_results.json", {"train_loss": 1.0})
    _torch([], run / "runs" / "events.out.tfevents.1.pt")


def trainer_with_shards_of_bin(run: Path, step: int, truth: Truth) -> None:
    folder, state = run / f"checkpoint-{step}", models.named(truth, models.LLAMA)
    _json(folder / "config.json", models.LLAMA_CONFIG)
    names, weight_map = sorted(state), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        _torch({name: state[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    _json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": 1}, "weight_map": weight_map})
    trainers_files(folder, step)


def trainer_with_fsdp(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"checkpoint-{step}"
    _distributed({"model": models.named(truth, models.LLAMA)}, folder / "pytorch_model_fsdp_0")
    _distributed({"optimizer": OPTIMIZER}, folder / "optimizer_0")
    trainers_files(folder, step)


def trainer_with_deepspeed(run: Path, step: int, truth: Truth) -> None:
    deepspeed(run / f"checkpoint-{step}", step, truth)
    trainers_files(run / f"checkpoint-{step}", step)
    (run / f"checkpoint-{step}" / "optimizer.pt").unlink()
    (run / f"checkpoint-{step}" / "zero_to_fp32.py").write_text("raise SystemExit\n")
    _json(run / f"checkpoint-{step}" / "config.json", models.LLAMA_CONFIG)


def nanogpt(run: Path, step: int, truth: Truth) -> None:
    state = {"_orig_mod.transformer.wte.weight": torch.from_numpy(truth["embed"])}
    state["_orig_mod.transformer.wpe.weight"] = torch.from_numpy(truth["pos_embed"])
    for layer in range(LAYERS):
        place = f"_orig_mod.transformer.h.{layer}"
        state[f"{place}.ln_1.weight"] = torch.ones(HIDDEN)
        state[f"{place}.attn.c_attn.weight"] = models.in_blocks(truth, layer)
        state[f"{place}.attn.c_proj.weight"] = models.tensor(truth, layer, "attn.o")
        state[f"{place}.mlp.c_fc.weight"] = models.tensor(truth, layer, "mlp.up")
        state[f"{place}.mlp.c_proj.weight"] = models.tensor(truth, layer, "mlp.down")
    state["_orig_mod.lm_head.weight"] = state["_orig_mod.transformer.wte.weight"]
    args = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": HIDDEN, "block_size": 32, "bias": False, "vocab_size": 32}
    content = {
        "model": state, "optimizer": OPTIMIZER, "model_args": args, "iter_num": step,
        "best_val_loss": torch.tensor(3.0), "config": {"out_dir": "out", "compile": True},
    }  # fmt: skip
    _torch(content, run / f"ckpt_{step}.pt")


def nanochat(run: Path, step: int, truth: Truth) -> None:
    _torch(models.named(truth, models.NANOCHAT), run / f"model_{step:06}.pt")
    config = {"n_layer": LAYERS, "n_head": HEADS, "n_kv_head": HEADS, "n_embd": HIDDEN}
    _json(run / f"meta_{step:06}.json", {"step": step, "val_bpb": 1.0, "model_config": config})
    _torch(OPTIMIZER, run / f"optim_{step:06}_rank0.pt")


def modded_nanogpt(run: Path, step: int, truth: Truth) -> None:
    state = {"_orig_mod.embed.weight": torch.from_numpy(truth["embed"])}
    state["_orig_mod.lm_head.weight"] = torch.from_numpy(truth["unembed"])
    for layer in range(LAYERS):
        place = f"_orig_mod.blocks.{layer}"
        stack = [models.tensor(truth, layer, f"attn.{role}") for role in "qkvo"]
        state[f"{place}.attn.qkvo_w"] = torch.stack(stack)
        state[f"{place}.mlp.c_fc.weight"] = models.tensor(truth, layer, "mlp.up")
        state[f"{place}.mlp.c_proj.weight"] = models.tensor(truth, layer, "mlp.down")
    content = {"step": step, "code": "import os", "model": state, "optimizers": [OPTIMIZER, OPTIMIZER]}
    _torch(content, run / f"state_step{step:06}.pt")


def lightning(run: Path, step: int, truth: Truth) -> None:
    content = {
        "epoch": 1, "global_step": step, "pytorch-lightning_version": "2.5.0",
        "state_dict": models.named(truth, models.LLAMA, "model."), "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.0)}}, "optimizer_states": [OPTIMIZER],
        "lr_schedulers": [], "hyper_parameters": {"learning_rate": 0.1},
    }  # fmt: skip
    _torch(content, run / f"epoch=1-step={step}.ckpt")
    _torch(content, run / "last.ckpt")


def _distributed(content: State | dict[str, Any], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        state_dict_saver.save(content, checkpoint_id=folder, no_dist=True)


def torchtitan(run: Path, step: int, truth: Truth) -> None:
    content = {**models.named(truth, models.LLAMA_OF_META), "optimizer": OPTIMIZER, "train_state": {"step": step}}
    _distributed(content, run / f"step-{step}")


def olmo_core(run: Path, step: int, truth: Truth) -> None:
    content = {"model": models.named(truth, models.OLMO_CORE), "optim": OPTIMIZER}
    _distributed(content, run / f"step{step}" / "model_and_optim")
    _torch({"global_step": step}, run / f"step{step}" / "train" / "rank0.pt")
    _json(run / f"step{step}" / "config.json", {"model": {"d_model": HIDDEN, "n_layers": LAYERS}})


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
            _torch({name: _share(name, whole, rank) for name, whole in state.items()}, file)
    for rank in range(RANKS):
        args = {"num_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": HIDDEN, "model_parallel_size": RANKS}
        _torch({"module": None, "args": args, "iteration": step}, folder / f"mp_rank_{rank:02}_model_states.pt")
        zero = folder / f"zero_pp_rank_0_mp_rank_{rank:02}_optim_states.pt"
        _torch({"optimizer_state_dict": OPTIMIZER}, zero)
    (run / "latest").write_text(f"global_step{step}")


def _neox_layer(truth: Truth, layer: int) -> State:
    state = {"attention.query_key_value.weight": models.by_head(truth, layer)}
    return state | {
        stored: models.tensor(truth, layer, part) for part, stored in models.NEOX_LAYER.items() if part != "attn.qkv"
    }


def _share(name: str, whole: torch.Tensor, rank: int) -> torch.Tensor:
    """The part of a tensor that one of the ranks holds: rows of what widens, columns of what narrows."""
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
    _torch(content, folder / "mp_rank_00_model_states.pt")
    _torch({"optimizer_state_dict": OPTIMIZER}, folder / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
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
            place = f"decoder.layers.{layer}"
            halves = [models.tensor(truth, layer, f"mlp.{part}").chunk(RANKS)[rank] for part in ("gate", "up")]
            state[f"{place}.self_attention.linear_qkv.weight"] = _share("qkv", models.by_group(truth, layer), rank)
            state[f"{place}.self_attention.linear_proj.weight"] = _share(
                "linear_proj", models.tensor(truth, layer, "attn.o"), rank
            )
            state[f"{place}.mlp.linear_fc1.weight"] = torch.cat(halves)
            state[f"{place}.mlp.linear_fc2.weight"] = _share(
                "linear_fc2", models.tensor(truth, layer, "mlp.down"), rank
            )
        content = {"args": _megatrons_arguments(), "checkpoint_version": 3.0, "iteration": step, "model": state}
        content["optimizer"] = OPTIMIZER
        _torch(content, run / f"iter_{step:07}" / f"mp_rank_{rank:02}" / "model_optim_rng.pt")
    (run / "latest_checkpointed_iteration.txt").write_text(str(step))


def megatron_distributed(run: Path, step: int, truth: Truth) -> None:
    """Its newer format: all layers of one kind in one tensor, the optimizer's states under flat names."""

    def stack(make: Callable[[int], torch.Tensor]) -> torch.Tensor:
        return torch.stack([make(layer) for layer in range(LAYERS)])

    def both(layer: int) -> torch.Tensor:
        return torch.cat([models.tensor(truth, layer, f"mlp.{part}") for part in ("gate", "up")])

    place, folder = "decoder.layers", run / f"iter_{step:07}"
    state = {
        "embedding.word_embeddings.weight": torch.from_numpy(truth["embed"]),
        "output_layer.weight": torch.from_numpy(truth["unembed"]),
        "decoder.final_layernorm.weight": torch.ones(HIDDEN),
        f"{place}.self_attention.linear_qkv.weight": stack(lambda layer: models.by_group(truth, layer)),
        f"{place}.self_attention.linear_qkv.layer_norm_weight": torch.ones(LAYERS, HIDDEN),
        f"{place}.self_attention.linear_proj.weight": stack(lambda layer: models.tensor(truth, layer, "attn.o")),
        f"{place}.mlp.linear_fc1.weight": stack(both),
        f"{place}.mlp.linear_fc2.weight": stack(lambda layer: models.tensor(truth, layer, "mlp.down")),
    }
    states = {f"optimizer.state.exp_avg.{name}": torch.ones_like(tensor) for name, tensor in state.items()}
    _distributed(state | states, folder)
    _torch({"args": _megatrons_arguments(), "iteration": step, "checkpoint_version": 3.0}, folder / "common.pt")
    _json(folder / "metadata.json", {"sharded_backend": "torch_dist"})


def wrapped(run: Path, step: int, truth: Truth) -> None:
    """A loop of one's own, with DistributedDataParallel around a compiled model."""
    state = models.named(truth, models.LLAMA, "module._orig_mod.")
    args = argparse.Namespace(lr=0.1, num_layers=LAYERS)
    content = {"model_state_dict": state, "optimizer_state_dict": OPTIMIZER, "step": step, "args": args}
    _torch(content, run / f"step_{step}.pt")


def averaged(run: Path, step: int, truth: Truth) -> None:
    """The same with an average of the weights beside them: `truth` is the average."""
    average, other = models.named(truth, models.LLAMA), models.named(models.gated(step + 7), models.LLAMA)
    _torch({"model": other, "ema": average, "optimizer": OPTIMIZER, "step": step}, run / f"step_{step}.pt")


def averaged_in_a_file_of_its_own(run: Path, step: int, truth: Truth) -> None:
    _torch({"model": models.named(models.gated(step + 7), models.LLAMA)}, run / f"step_{step}.pt")
    _torch({"model": models.named(truth, models.LLAMA)}, run / f"step_{step}_ema.pt")


def fp8(run: Path, step: int, truth: Truth) -> None:
    """DeepSeek's way: numbers of eight bits and a scale for each block; `truth` holds what eight bits can say."""
    folder = run / f"step{step}"
    _json(folder / "config.json", {**models.LLAMA_CONFIG, "quantization_config": {"weight_block_size": [8, 8]}})
    state = models.named(truth, models.LLAMA)
    for name in [name for name in state if "proj" in name]:
        numbers = (4 * state[name]).to(torch.float8_e4m3fn)
        state[name], state[f"{name}_scale_inv"] = numbers, torch.full([-(-side // 8) for side in numbers.shape], 0.25)
    save_file(state, folder / "model.safetensors")


def as_fp8(truth: Truth) -> Truth:
    """What is left of the layers' matrices once they went through eight bits, times the scale."""
    small = {name: torch.from_numpy(array).to(torch.float8_e4m3fn).float().numpy() for name, array in truth.items()}
    return {name: small[name] / 4 if name.startswith("layers.") else array for name, array in truth.items()}


Writer = Callable[[Path, int, Truth], None]
