"""Two tiny models by canonical name, at any step, and what programs call their matrices. Writes no file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Truth = dict[str, NDArray[np.float32]]
State = dict[str, torch.Tensor]

HIDDEN, HEADS, KV_HEADS, HEAD, INNER, TOKENS, LAYERS = 16, 4, 2, 4, 24, 32, 2


def _drifting(name: str, rows: int, cols: int, step: int) -> NDArray[np.float32]:
    start = np.random.default_rng([rows, cols, *name.encode()]).standard_normal((2, rows, cols))
    return (start[0] + step * start[1] / 1000).astype(np.float32)


def model(step: int, shapes: dict[str, tuple[int, int]], in_layer: dict[str, tuple[int, int]]) -> Truth:
    named = shapes | {f"layers.{n}.{part}": shape for n in range(LAYERS) for part, shape in in_layer.items()}
    return {name: _drifting(name, *shape, step) for name, shape in named.items()}


def gated(step: int) -> Truth:
    """A model like Llama: grouped heads, a gated MLP, an unembedding of its own."""
    return model(
        step,
        {"embed": (TOKENS, HIDDEN), "unembed": (TOKENS, HIDDEN)},
        {
            "attn.q": (HEADS * HEAD, HIDDEN), "attn.k": (KV_HEADS * HEAD, HIDDEN), "attn.v": (KV_HEADS * HEAD, HIDDEN),
            "attn.o": (HIDDEN, HEADS * HEAD), "mlp.gate": (INNER, HIDDEN), "mlp.up": (INNER, HIDDEN),
            "mlp.down": (HIDDEN, INNER),
        },
    )  # fmt: skip


def plain(outside: tuple[str, ...], step: int) -> Truth:
    """A model like GPT: as many k and v heads as q heads, an MLP of four times the width."""
    square = dict.fromkeys(("attn.q", "attn.k", "attn.v", "attn.o"), (HIDDEN, HIDDEN))
    return model(
        step,
        dict.fromkeys(outside, (TOKENS, HIDDEN)),
        {**square, "mlp.up": (4 * HIDDEN, HIDDEN), "mlp.down": (HIDDEN, 4 * HIDDEN)},
    )


LLAMA = {
    "embed": "model.embed_tokens.weight", "unembed": "lm_head.weight",
    "attn.q": "self_attn.q_proj.weight", "attn.k": "self_attn.k_proj.weight", "attn.v": "self_attn.v_proj.weight",
    "attn.o": "self_attn.o_proj.weight", "mlp.gate": "mlp.gate_proj.weight", "mlp.up": "mlp.up_proj.weight",
    "mlp.down": "mlp.down_proj.weight", "layer": "model.layers.",
}  # fmt: skip
LLAMA_OF_META = {
    "embed": "tok_embeddings.weight", "unembed": "output.weight",
    "attn.q": "attention.wq.weight", "attn.k": "attention.wk.weight", "attn.v": "attention.wv.weight",
    "attn.o": "attention.wo.weight", "mlp.gate": "feed_forward.w1.weight", "mlp.up": "feed_forward.w3.weight",
    "mlp.down": "feed_forward.w2.weight", "layer": "layers.",
}  # fmt: skip
OLMO_CORE = {
    "embed": "embeddings.weight", "unembed": "lm_head.w_out.weight",
    "attn.q": "attention.w_q.weight", "attn.k": "attention.w_k.weight", "attn.v": "attention.w_v.weight",
    "attn.o": "attention.w_out.weight", "mlp.gate": "feed_forward.w1.weight", "mlp.up": "feed_forward.w3.weight",
    "mlp.down": "feed_forward.w2.weight", "layer": "blocks.",
}  # fmt: skip
NANOCHAT = {
    "embed": "transformer.wte.weight", "unembed": "lm_head.weight",
    "attn.q": "attn.c_q.weight", "attn.k": "attn.c_k.weight", "attn.v": "attn.c_v.weight",
    "attn.o": "attn.c_proj.weight", "mlp.up": "mlp.c_fc.weight", "mlp.down": "mlp.c_proj.weight",
    "layer": "transformer.h.",
}  # fmt: skip
NEOX_LAYER = {
    "attn.qkv": "attention.query_key_value.weight", "attn.o": "attention.dense.weight",
    "mlp.up": "mlp.dense_h_to_4h.weight", "mlp.down": "mlp.dense_4h_to_h.weight",
}  # fmt: skip
LLAMA_CONFIG = {
    "model_type": "llama", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
    "intermediate_size": INNER, "num_hidden_layers": LAYERS, "vocab_size": TOKENS,
}  # fmt: skip


def named(truth: Truth, names: dict[str, str], prefix: str = "") -> State:
    """Return the matrices under one program's names, with the norms that every model has."""
    state = {}
    for canonical, array in truth.items():
        layer = canonical.split(".")[1] if canonical.startswith("layers.") else None
        part = canonical.removeprefix(f"layers.{layer}.")
        where = names["layer"] + f"{layer}." if layer else ""
        state[f"{prefix}{where}{names[part]}"] = torch.from_numpy(array)
        if part == "attn.q":
            state[f"{prefix}{where}input_layernorm.weight"] = torch.ones(HIDDEN)
    return state


def in_blocks(truth: Truth, layer: int) -> torch.Tensor:
    """Q over K over V."""
    return torch.from_numpy(np.concatenate([truth[f"layers.{layer}.attn.{role}"] for role in "qkv"]))


def by_head(truth: Truth, layer: int) -> torch.Tensor:
    """Each head's q, k and v, one head after the other, as GPT-NeoX has them."""
    heads = [truth[f"layers.{layer}.attn.{role}"].reshape(HEADS, 1, HEAD, HIDDEN) for role in "qkv"]
    return torch.from_numpy(np.concatenate(heads, axis=1).reshape(3 * HIDDEN, HIDDEN))


def by_group(truth: Truth, layer: int) -> torch.Tensor:
    """Each group's q heads and then its k and its v, as Megatron has them."""
    q, k, v = (truth[f"layers.{layer}.attn.{role}"].reshape(KV_HEADS, -1, HEAD, HIDDEN) for role in "qkv")
    return torch.from_numpy(np.concatenate([q, k, v], axis=1).reshape(-1, HIDDEN))


def tensor(truth: Truth, layer: int, part: str) -> torch.Tensor:
    """One matrix of a layer."""
    return torch.from_numpy(truth[f"layers.{layer}.{part}"])
