"""Makes checkpoints of a given size on the disk: GPT-NeoX names, fp16, random plus low rank, as trained models are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

SHAPES = {
    "tiny": {"layers": 2, "width": 64, "tokens": 256},
    "70m": {"layers": 6, "width": 512, "tokens": 50304},
    "160m": {"layers": 12, "width": 768, "tokens": 50304},
    "410m": {"layers": 24, "width": 1024, "tokens": 50304},
    "1b": {"layers": 16, "width": 2048, "tokens": 50304},
    "4096": {"layers": 2, "width": 4096, "tokens": 50304},  # as wide as models of 7 B parameters
}
"""Pythia's, heads of 64 everywhere."""


def matrix(rows: int, cols: int, random: torch.Generator) -> torch.Tensor:
    """Make a random matrix with a low-rank part, in fp16."""
    noise = torch.randn(rows, cols, generator=random) * 0.02
    left, right = torch.randn(rows, 8, generator=random), torch.randn(8, cols, generator=random)
    return (noise + 0.005 * left @ right).to(torch.float16)


def write_checkpoint(folder: Path, *, layers: int, width: int, tokens: int, seed: int) -> Path:
    """Write one checkpoint as `folder`/model.safetensors with its config.json."""
    random = torch.Generator().manual_seed(seed)
    tensors = {
        "gpt_neox.embed_in.weight": matrix(tokens, width, random),
        "embed_out.weight": matrix(tokens, width, random),
    }
    for layer in range(layers):
        place = f"gpt_neox.layers.{layer}"
        tensors[f"{place}.attention.query_key_value.weight"] = matrix(3 * width, width, random)
        tensors[f"{place}.attention.dense.weight"] = matrix(width, width, random)
        tensors[f"{place}.mlp.dense_h_to_4h.weight"] = matrix(4 * width, width, random)
        tensors[f"{place}.mlp.dense_4h_to_h.weight"] = matrix(width, 4 * width, random)
    folder.mkdir(parents=True)
    config = {"model_type": "gpt_neox", "hidden_size": width, "num_attention_heads": width // 64}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_experts(folder: Path, count: int) -> Path:
    """Write one checkpoint of so many matrices of 64×96, the experts of a small mixture, three an expert."""
    random, parts = torch.Generator().manual_seed(0), ("gate_proj", "up_proj", "down_proj")
    name = "model.layers.{0}.mlp.experts.{1}.{2}.weight"
    tensors = {name.format(i // 300, i % 300 // 3, parts[i % 3]): matrix(64, 96, random) for i in range(count)}
    folder.mkdir(parents=True)
    config = {"model_type": "qwen3_moe", "hidden_size": 96, "num_attention_heads": 8, "moe_intermediate_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def matrices(checkpoint: Path) -> list[torch.Tensor]:
    """Read a checkpoint's matrices into memory, q, k and v apart."""
    from safetensors.torch import load_file

    found = []
    for name, stored in sorted(load_file(checkpoint / "model.safetensors").items()):
        if "query_key_value" not in name:
            found.append(stored)
            continue
        width = stored.shape[1]
        heads = stored.reshape(width // 64, 3, 64, width)
        found += [heads[:, part].reshape(width, width) for part in range(3)]
    return found
