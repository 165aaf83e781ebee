"""GPT-2 and its descendants: Q, K and V as three blocks, on the Hub as Conv1D, that is [in, out]."""

from __future__ import annotations

from spectra_cli.architectures.record import Architecture, Rule, Split

THREE_BLOCKS = Split(
    "three blocks", "3 hidden, hidden", (("attn.q", "0"), ("attn.k", "1"), ("attn.v", "2"))
)  # fmt: skip
THREE_BLOCKS_OF_COLUMNS = Split(
    "three blocks", "hidden, 3 hidden", (("attn.q", ":, 0"), ("attn.k", ":, 1"), ("attn.v", ":, 2"))
)  # fmt: skip

OUTSIDE = (
    Rule("wte.weight", "embed"),
    Rule("wpe.weight", "pos_embed"),
    Rule("lm_head.weight", "unembed"),
)

GPT2 = Architecture(
    name="gpt2",
    model_types=("gpt2",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.c_attn.weight", "attn.qkv", THREE_BLOCKS_OF_COLUMNS, transposed=True),
        Rule("attn.c_proj.weight", "attn.o", transposed=True),
        Rule("mlp.c_fc.weight", "mlp.up", transposed=True),
        Rule("mlp.c_proj.weight", "mlp.down", transposed=True),
    ),
    outside=OUTSIDE,
    tied=True,
)

NANOGPT = Architecture(
    name="nanogpt",
    model_types=("nanogpt",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.c_attn.weight", "attn.qkv", THREE_BLOCKS),
        Rule("attn.c_proj.weight", "attn.o"),
        Rule("mlp.c_fc.weight", "mlp.up"),
        Rule("mlp.c_proj.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
    tied=True,
)
