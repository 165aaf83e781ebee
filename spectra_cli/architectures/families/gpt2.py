"""GPT-2 and its descendants: Q, K and V as three blocks, on the Hub as Conv1D, that is [in, out]."""

from __future__ import annotations

from spectra_cli.architectures.families.neox import BY_HEAD, ONE_KEY_HEAD
from spectra_cli.architectures.record import Architecture, Rule, Split

THREE_BLOCKS = Split("three blocks", "3 hidden, hidden", (("attn.q", "0"), ("attn.k", "1"), ("attn.v", "2")))
THREE_BLOCKS_OF_COLUMNS = Split(
    "three blocks", "hidden, 3 hidden", (("attn.q", ":, 0"), ("attn.k", ":, 1"), ("attn.v", ":, 2"))
)

OUTSIDE = (
    Rule("wte.weight", "embed"),
    Rule("wpe.weight", "pos_embed"),
    Rule("tokens_embed.weight", "embed"),  # the first GPT
    Rule("positions_embed.weight", "pos_embed"),
    Rule("lm_head.weight", "unembed"),
)
C_PROJ_C_FC = (
    Rule("attn.c_proj.weight", "attn.o"),
    Rule("mlp.c_fc.weight", "mlp.up"),
    Rule("mlp.c_proj.weight", "mlp.down"),
)

GPT2 = Architecture(
    name="gpt2",
    model_types=("gpt2", "openai-gpt", "gpt-sw3", "imagegpt"),
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
    in_layer=(Rule("attn.c_attn.weight", "attn.qkv", THREE_BLOCKS), *C_PROJ_C_FC),
    outside=OUTSIDE,
    tied=True,
)

GPT_BIGCODE = Architecture(
    name="gpt_bigcode",
    model_types=("gpt_bigcode",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.c_attn.weight", "attn.qkv", BY_HEAD, when=("multi_query", False)),
        Rule("attn.c_attn.weight", "attn.qkv", ONE_KEY_HEAD),
        *C_PROJ_C_FC,
    ),
    outside=OUTSIDE,
    tied=True,
)

# Its own files keep GPT-2's names, the Hub's copies have Llama's.
NANOCHAT = Architecture(
    name="nanochat",
    model_types=("nanochat",),
    layers=("h.{layer}.", "layers.{layer}."),
    in_layer=(
        Rule("attn.c_q.weight", "attn.q"),
        Rule("attn.c_k.weight", "attn.k"),
        Rule("attn.c_v.weight", "attn.v"),
        *C_PROJ_C_FC,
        Rule("self_attn.q_proj.weight", "attn.q"),
        Rule("self_attn.k_proj.weight", "attn.k"),
        Rule("self_attn.v_proj.weight", "attn.v"),
        Rule("self_attn.o_proj.weight", "attn.o"),
        Rule("mlp.fc1.weight", "mlp.up"),
        Rule("mlp.fc2.weight", "mlp.down"),
    ),
    outside=(*OUTSIDE, Rule("embed_tokens.weight", "embed")),
)

STACKED_QKV = Split("stacked", "3, *, *", (("attn.q", "0"), ("attn.k", "1"), ("attn.v", "2")))
STACKED_QKVO = Split("stacked", "4, *, *", (("attn.q", "0"), ("attn.k", "1"), ("attn.v", "2"), ("attn.o", "3")))

# From September 2025 on one matrix [H, 4·H], which its code reads as four [H, H] without regard to the axes.
RESHAPED_QKVO = Split("stacked", STACKED_QKVO.view, STACKED_QKVO.parts, reshape="4, rows, rows")

MODDED_NANOGPT = Architecture(
    name="modded_nanogpt",
    model_types=("modded_nanogpt",),
    layers=("blocks.{layer}.", "h.{layer}."),
    in_layer=(
        Rule("attn.qkv_w", "attn.qkv", STACKED_QKV),
        Rule("attn.qkvo_w", "attn.qkvo", STACKED_QKVO),
        Rule("attn.qkvo_w", "attn.qkvo", RESHAPED_QKVO),
        Rule("attn.c_q.weight", "attn.q"),
        Rule("attn.c_k.weight", "attn.k"),
        Rule("attn.c_v.weight", "attn.v"),
        *C_PROJ_C_FC,
        Rule("mlp.c_fc", "mlp.up"),
        Rule("mlp.c_proj", "mlp.down"),
    ),
    outside=(Rule("embed.weight", "embed"), *OUTSIDE),
    signs=("attn.qkv_w", "attn.qkvo_w"),
)
