"""Tiny random models of transformers, saved as it saves them, for tests of new checkpoints."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.support.small_configs import small_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

# Those that new checkpoints are held to: names, and what of their configuration is not the small default.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt_neox": ("gpt_neox", {}),
    "gpt2": ("gpt2", {}),
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "gemma3": ("gemma3_text", {}),
    "qwen3_moe": ("qwen3_moe", {}),
}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16]}
SIDE = 16  # of a block that shares a scale


def random_model(kind: str, seed: int, **sizes: int) -> Any:
    model_type, given = KINDS[kind]
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(small_config(model_type, **given, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def usual_start(config: Any, seed: int) -> dict[str, torch.Tensor]:
    """What transformers starts a model of a configuration with."""
    torch.manual_seed(seed)
    return transformers.AutoModelForCausalLM.from_config(config).state_dict()


def save(model: Any, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    model.to(dtype).save_pretrained(folder)
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 19)[None], use_cache=False).logits


def to_fp8(folder: Path) -> None:
    """Keep the matrices of a saved llama's layers as 8-bit numbers, with a scale for each block of 16 by 16."""
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if "_proj" in name]:
        blocks = tensors[name].unflatten(0, (-1, SIDE)).unflatten(2, (-1, SIDE))
        scale = blocks.abs().amax((1, 3)) / 448
        numbers = (blocks / scale[:, None, :, None]).flatten(2).flatten(0, 1)
        tensors[name], tensors[f"{name}_scale_inv"] = numbers.to(torch.float8_e4m3fn), scale
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"quantization_config": FP8}
    (folder / "config.json").write_text(json.dumps(config))


def from_fp8(folder: Path) -> dict[str, torch.Tensor]:
    """Return what the weights of such a folder mean, without transformers."""
    tensors = load_file(folder / "model.safetensors")
    scales = {name: tensors.pop(f"{name}_scale_inv") for name in list(tensors) if f"{name}_scale_inv" in tensors}
    for name, scale in scales.items():
        tensors[name] = tensors[name].float() * scale.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
    return tensors
