"""Small real training runs for the tests: GPT-NeoX-shaped checkpoints, as transformers writes them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

LAYERS, WIDTH, HEADS, TOKENS = 2, 16, 2, 40
CONFIG = {
    "model_type": "gpt_neox",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": 4 * WIDTH,
    "vocab_size": TOKENS,
}
STEPS = (0, 1, 2, 4, 8, 16)


def neox_tensors(seed: int, *, tokens: int = TOKENS, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """One checkpoint's tensors: random matrices, and vectors and buffers as the family has them."""
    random = torch.Generator().manual_seed(seed)

    def matrix(rows: int, cols: int) -> torch.Tensor:
        return (torch.randn(rows, cols, generator=random) * 0.1).to(dtype)

    tensors = {"gpt_neox.embed_in.weight": matrix(tokens, WIDTH), "embed_out.weight": matrix(tokens, WIDTH)}
    for layer in range(LAYERS):
        place = f"gpt_neox.layers.{layer}"
        tensors[f"{place}.attention.query_key_value.weight"] = matrix(3 * WIDTH, WIDTH)
        tensors[f"{place}.attention.query_key_value.bias"] = torch.zeros(3 * WIDTH, dtype=dtype)
        tensors[f"{place}.attention.dense.weight"] = matrix(WIDTH, WIDTH)
        tensors[f"{place}.mlp.dense_h_to_4h.weight"] = matrix(4 * WIDTH, WIDTH)
        tensors[f"{place}.mlp.dense_4h_to_h.weight"] = matrix(WIDTH, 4 * WIDTH)
        tensors[f"{place}.attention.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    return tensors


def write_checkpoint(folder: Path, tensors: dict[str, torch.Tensor], config: dict | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_run(folder: Path, steps: Sequence[int] = STEPS) -> Path:
    """A run that drifts from one random state towards another, so that neighbours are closer than strangers."""
    first, last = neox_tensors(1), neox_tensors(2)
    for step in steps:
        share = step / max(1, steps[-1])
        mixed = {
            name: one if one.ndim < 2 or not one.is_floating_point() else (one + share * last[name]).to(one.dtype)
            for name, one in first.items()
        }
        write_checkpoint(folder / f"step{step}", mixed)
    return folder


def edit(checkpoint: Path, **changes: torch.Tensor | None) -> None:
    """Replace (or with None remove) tensors of a checkpoint; `__` in a name stands for a dot."""
    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    for name, value in changes.items():
        full = name.replace("__", ".")
        tensors.pop(full, None)
        if value is not None:
            tensors[full] = value
    save_file(tensors, path)


def float64_matrices(checkpoint: Path) -> dict[str, np.ndarray]:
    """Every matrix of a checkpoint by its canonical name, split by hand, in float64."""
    tensors = {name: value.double().numpy() for name, value in load_file(checkpoint / "model.safetensors").items()}
    found = {"embed": tensors["gpt_neox.embed_in.weight"], "unembed": tensors["embed_out.weight"]}
    for layer in range(LAYERS):
        place, name = f"gpt_neox.layers.{layer}", f"layers.{layer}"
        heads = tensors[f"{place}.attention.query_key_value.weight"].reshape(HEADS, 3, WIDTH // HEADS, WIDTH)
        for index, letter in enumerate("qkv"):
            found[f"{name}.attn.{letter}"] = heads[:, index].reshape(WIDTH, WIDTH)
        found[f"{name}.attn.o"] = tensors[f"{place}.attention.dense.weight"]
        found[f"{name}.mlp.up"] = tensors[f"{place}.mlp.dense_h_to_4h.weight"]
        found[f"{name}.mlp.down"] = tensors[f"{place}.mlp.dense_4h_to_h.weight"]
    return found
