"""GPT-NeoX and the families that, like it, store Q, K and V in one tensor, head by head."""

from __future__ import annotations

from spectra_cli.architectures.record import Architecture, Rule, Split

BY_HEAD = Split(
    "by head", "heads 3 head_dim, *", (("attn.q", ":, 0"), ("attn.k", ":, 1"), ("attn.v", ":, 2"))
)  # fmt: skip

GPT_NEOX = Architecture(
    name="gpt_neox",
    model_types=("gpt_neox", "gpt_neox_japanese"),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("attention.query_key_value.weight", "attn.qkv", BY_HEAD),
        Rule("attention.dense.weight", "attn.o"),
        Rule("mlp.dense_h_to_4h.weight", "mlp.up"),
        Rule("mlp.dense_4h_to_h.weight", "mlp.down"),
    ),
    outside=(
        Rule("embed_in.weight", "embed"),
        Rule("embed_out.weight", "unembed"),
    ),
)
