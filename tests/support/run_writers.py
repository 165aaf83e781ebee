"""Runs as the programs that train models leave them: names, files and what else is beside them. Reads nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.support import models
from tests.support.models import HEADS, HIDDEN, LAYERS, Truth
from tests.support.run_files import OPTIMIZER, save_distributed, save_json, save_torch, trainers_files


def trainer(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for target in (folder, run):  # the root holds the model of the last step once more
        save_file(models.named(truth, models.LLAMA), target / "model.safetensors", {"format": "pt"})
        save_json(target / "config.json", models.LLAMA_CONFIG)
    trainers_files(folder, step)
    save_json(run / "all_results.json", {"train_loss": 1.0})
    save_torch([], run / "runs" / "events.out.tfevents.1.pt")


def trainer_with_shards_of_bin(run: Path, step: int, truth: Truth) -> None:
    folder, state = run / f"checkpoint-{step}", models.named(truth, models.LLAMA)
    save_json(folder / "config.json", models.LLAMA_CONFIG)
    names, weight_map = sorted(state), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        save_torch({name: state[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    save_json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": 1}, "weight_map": weight_map})
    trainers_files(folder, step)


def trainer_with_fsdp(run: Path, step: int, truth: Truth) -> None:
    folder = run / f"checkpoint-{step}"
    save_distributed({"model": models.named(truth, models.LLAMA)}, folder / "pytorch_model_fsdp_0")
    save_distributed({"optimizer": OPTIMIZER}, folder / "optimizer_0")
    trainers_files(folder, step)


def nanogpt(run: Path, step: int, truth: Truth) -> None:
    state = {"_orig_mod.transformer.wte.weight": torch.from_numpy(truth["embed"])}
    state["_orig_mod.transformer.wpe.weight"] = torch.from_numpy(truth["pos_embed"])
    for layer in range(LAYERS):
        prefix = f"_orig_mod.transformer.h.{layer}"
        state[f"{prefix}.ln_1.weight"] = torch.ones(HIDDEN)
        state[f"{prefix}.attn.c_attn.weight"] = models.in_blocks(truth, layer)
        state[f"{prefix}.attn.c_proj.weight"] = models.tensor(truth, layer, "attn.o")
        state[f"{prefix}.mlp.c_fc.weight"] = models.tensor(truth, layer, "mlp.up")
        state[f"{prefix}.mlp.c_proj.weight"] = models.tensor(truth, layer, "mlp.down")
    state["_orig_mod.lm_head.weight"] = state["_orig_mod.transformer.wte.weight"]
    args = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": HIDDEN, "block_size": 32, "bias": False, "vocab_size": 32}
    content = {
        "model": state, "optimizer": OPTIMIZER, "model_args": args, "iter_num": step,
        "best_val_loss": torch.tensor(3.0), "config": {"out_dir": "out", "compile": True},
    }  # fmt: skip
    save_torch(content, run / f"ckpt_{step}.pt")


def nanochat(run: Path, step: int, truth: Truth) -> None:
    save_torch(models.named(truth, models.NANOCHAT), run / f"model_{step:06}.pt")
    config = {"n_layer": LAYERS, "n_head": HEADS, "n_kv_head": HEADS, "n_embd": HIDDEN}
    save_json(run / f"meta_{step:06}.json", {"step": step, "val_bpb": 1.0, "model_config": config})
    save_torch(OPTIMIZER, run / f"optim_{step:06}_rank0.pt")


def modded_nanogpt(run: Path, step: int, truth: Truth) -> None:
    state = {"_orig_mod.embed.weight": torch.from_numpy(truth["embed"])}
    state["_orig_mod.lm_head.weight"] = torch.from_numpy(truth["unembed"])
    for layer in range(LAYERS):
        prefix = f"_orig_mod.blocks.{layer}"
        stack = [models.tensor(truth, layer, f"attn.{role}") for role in "qkvo"]
        state[f"{prefix}.attn.qkvo_w"] = torch.stack(stack)
        state[f"{prefix}.mlp.c_fc.weight"] = models.tensor(truth, layer, "mlp.up")
        state[f"{prefix}.mlp.c_proj.weight"] = models.tensor(truth, layer, "mlp.down")
    content = {"step": step, "code": "import os", "model": state, "optimizers": [OPTIMIZER, OPTIMIZER]}
    save_torch(content, run / f"state_step{step:06}.pt")


def lightning(run: Path, step: int, truth: Truth) -> None:
    content = {
        "epoch": 1, "global_step": step, "pytorch-lightning_version": "2.5.0",
        "state_dict": models.named(truth, models.LLAMA, "model."), "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.0)}}, "optimizer_states": [OPTIMIZER],
        "lr_schedulers": [], "hyper_parameters": {"learning_rate": 0.1},
    }  # fmt: skip
    save_torch(content, run / f"epoch=1-step={step}.ckpt")
    save_torch(content, run / "last.ckpt")


def torchtitan(run: Path, step: int, truth: Truth) -> None:
    content = {**models.named(truth, models.LLAMA_OF_META), "optimizer": OPTIMIZER, "train_state": {"step": step}}
    save_distributed(content, run / f"step-{step}")


def olmo_core(run: Path, step: int, truth: Truth) -> None:
    content = {"model": models.named(truth, models.OLMO_CORE), "optim": OPTIMIZER}
    save_distributed(content, run / f"step{step}" / "model_and_optim")
    save_torch({"global_step": step}, run / f"step{step}" / "train" / "rank0.pt")
    save_json(run / f"step{step}" / "config.json", {"model": {"d_model": HIDDEN, "n_layers": LAYERS}})


def wrapped(run: Path, step: int, truth: Truth) -> None:
    """A loop of one's own, with DistributedDataParallel around a compiled model."""
    state = models.named(truth, models.LLAMA, "module._orig_mod.")
    args = argparse.Namespace(lr=0.1, num_layers=LAYERS)
    content = {"model_state_dict": state, "optimizer_state_dict": OPTIMIZER, "step": step, "args": args}
    save_torch(content, run / f"step_{step}.pt")


def averaged(run: Path, step: int, truth: Truth) -> None:
    """The same with an average of the weights beside them: `truth` is the average."""
    average, other = models.named(truth, models.LLAMA), models.named(models.gated(step + 7), models.LLAMA)
    save_torch({"model": other, "ema": average, "optimizer": OPTIMIZER, "step": step}, run / f"step_{step}.pt")


def averaged_in_a_file_of_its_own(run: Path, step: int, truth: Truth) -> None:
    save_torch({"model": models.named(models.gated(step + 7), models.LLAMA)}, run / f"step_{step}.pt")
    save_torch({"model": models.named(truth, models.LLAMA)}, run / f"step_{step}_ema.pt")


def fp8(run: Path, step: int, truth: Truth) -> None:
    """As DeepSeek saves: numbers of eight bits and a scale for each block; `truth` holds what they can hold."""
    folder = run / f"step{step}"
    save_json(folder / "config.json", {**models.LLAMA_CONFIG, "quantization_config": {"weight_block_size": [8, 8]}})
    state = models.named(truth, models.LLAMA)
    for name in [name for name in state if "proj" in name]:
        numbers = (4 * state[name]).to(torch.float8_e4m3fn)
        state[name], state[f"{name}_scale_inv"] = numbers, torch.full([-(-side // 8) for side in numbers.shape], 0.25)
    save_file(state, folder / "model.safetensors")


def as_fp8(truth: Truth) -> Truth:
    """Return the layers' matrices rounded to eight bits, times the scale."""
    small = {name: torch.from_numpy(array).to(torch.float8_e4m3fn).float().numpy() for name, array in truth.items()}
    return {name: small[name] / 4 if name.startswith("layers.") else array for name, array in truth.items()}


Writer = Callable[[Path, int, Truth], None]
