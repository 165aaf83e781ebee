"""Llama and the many families that store every matrix by itself, mostly under Llama's names."""

from __future__ import annotations

from spectra_cli.architectures.families.gpt2 import THREE_BLOCKS
from spectra_cli.architectures.families.neox import GATE_UP
from spectra_cli.architectures.record import Architecture, Rule, Split

ATTENTION = (
    Rule("self_attn.q_proj.weight", "attn.q"),
    Rule("self_attn.k_proj.weight", "attn.k"),
    Rule("self_attn.v_proj.weight", "attn.v"),
    Rule("self_attn.o_proj.weight", "attn.o"),
)
GATED_MLP = (
    Rule("mlp.gate_proj.weight", "mlp.gate"),
    Rule("mlp.up_proj.weight", "mlp.up"),  # by itself in a model without a gate
    Rule("mlp.down_proj.weight", "mlp.down"),
)
OUTSIDE = (
    Rule("embed_tokens.weight", "embed"),
    Rule("lm_head.weight", "unembed"),
)

LLAMA = Architecture(
    name="llama",
    model_types=(
        "llama", "mistral", "qwen2", "qwen3", "olmo", "olmo2", "olmo3", "smollm3", "apertus", "arcee", "bitnet",
        "cwm", "ernie4_5", "exaone4", "helium", "hunyuan_v1_dense", "hyperclovax", "internlm3",
        "iquestcoder", "jais2", "ministral", "ministral3", "nemotron", "seed_oss", "stablelm",
        "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text", "granite_swa",
        "eurobert", "ultrabert", "granite4_vision_text", "granite_docling_text",
        "emu3_text_model", "paddleocr_vl_text", "qwen2_5_omni_text",
    ),
    layers=("layers.{layer}.",),
    in_layer=ATTENTION + GATED_MLP,
    outside=OUTSIDE,
    signs=tuple(rule.stored for rule in ATTENTION),  # adapters may change one of them alone
)  # fmt: skip

# The MLP as Meta numbers it: w1 is activated, w3 multiplied, w2 leads back.
NUMBERED_MLP = (
    Rule("feed_forward.w1.weight", "mlp.gate"),
    Rule("feed_forward.w3.weight", "mlp.up"),
    Rule("feed_forward.w2.weight", "mlp.down"),
)

OLMO_CORE = Architecture(
    name="olmo_core",
    model_types=("olmo_core",),
    layers=("blocks.{layer}.",),
    in_layer=(
        Rule("attention.w_q.weight", "attn.q"),
        Rule("attention.w_k.weight", "attn.k"),
        Rule("attention.w_v.weight", "attn.v"),
        Rule("attention.w_out.weight", "attn.o"),
        *NUMBERED_MLP,
    ),
    outside=(Rule("embeddings.weight", "embed"), Rule("lm_head.w_out.weight", "unembed")),
    signs=("attention.w_q.weight",),
)

GEMMA = Architecture(
    name="gemma",
    model_types=(
        "gemma", "gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text", "gemma4_unified_text",
        "vaultgemma", "cohere", "cohere2", "granite",
    ),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        *GATED_MLP,
        Rule("per_layer_input_gate.weight", None),
        Rule("per_layer_projection.weight", None),
    ),
    outside=(
        *OUTSIDE,
        Rule("embed_tokens_per_layer.weight", None),
        Rule("per_layer_model_projection.weight", None),
    ),
    tied=True,
)  # fmt: skip

GLM = Architecture(
    name="glm",
    model_types=("glm", "glm4", "glm4v_text", "glm_ocr_text", "glm_image_text"),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("mlp.gate_up_proj.weight", "mlp.gate_up", GATE_UP),
        Rule("mlp.down_proj.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
)

QKV_BLOCKS = Split(
    "blocks of heads",
    "heads+2*kv_heads head_dim, *",
    (("attn.q", ":heads"), ("attn.k", "heads:heads+kv_heads"), ("attn.v", "heads+kv_heads:")),
)

PHI3 = Architecture(
    name="phi3",
    model_types=("phi3",),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("self_attn.qkv_proj.weight", "attn.qkv", QKV_BLOCKS),
        Rule("self_attn.o_proj.weight", "attn.o"),
        Rule("mlp.gate_up_proj.weight", "mlp.gate_up", GATE_UP),
        Rule("mlp.down_proj.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
)

PHI = Architecture(
    name="phi",
    model_types=("phi",),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("self_attn.dense.weight", "attn.o"),
        Rule("mlp.fc1.weight", "mlp.up"),
        Rule("mlp.fc2.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
)

STARCODER2 = Architecture(
    name="starcoder2",
    model_types=("starcoder2",),
    layers=("layers.{layer}.",),
    in_layer=(*ATTENTION, Rule("mlp.c_fc.weight", "mlp.up"), Rule("mlp.c_proj.weight", "mlp.down")),
    outside=OUTSIDE,
    tied=True,
)

OPT = Architecture(
    name="opt",
    model_types=("opt", "xglm", "biogpt"),
    layers=("decoder.layers.{layer}.", "layers.{layer}."),
    in_layer=(
        *ATTENTION,
        Rule("self_attn.out_proj.weight", "attn.o"),
        Rule("fc1.weight", "mlp.up"),
        Rule("fc2.weight", "mlp.down"),
    ),
    outside=(
        Rule("decoder.embed_tokens.weight", "embed"),
        Rule("decoder.embed_positions.weight", "pos_embed"),
        Rule("embed_positions.weight", "pos_embed"),
        Rule("output_projection.weight", "unembed"),
        *OUTSIDE,
    ),
    tied=True,
)

# OLMo's own files: the MLP's fused tensor holds what is multiplied first, and what is activated second.
UP_GATE = Split("up, gate", "2 *, *", (("mlp.up", "0"), ("mlp.gate", "1")))

OLMO_NATIVE = Architecture(
    name="hf_olmo",
    model_types=("hf_olmo", "olmo_native"),
    layers=("blocks.{layer}.",),
    in_layer=(
        Rule("att_proj.weight", "attn.qkv", QKV_BLOCKS),
        Rule("attn_out.weight", "attn.o"),
        Rule("ff_proj.weight", "mlp.up_gate", UP_GATE),
        Rule("ff_out.weight", "mlp.down"),
    ),
    outside=(Rule("wte.weight", "embed"), Rule("ff_out.weight", "unembed")),
)

MPT = Architecture(
    name="mpt",
    model_types=("mpt",),
    layers=("blocks.{layer}.",),
    in_layer=(
        Rule("attn.Wqkv.weight", "attn.qkv", THREE_BLOCKS),
        Rule("attn.out_proj.weight", "attn.o"),
        Rule("ffn.up_proj.weight", "mlp.up"),
        Rule("ffn.down_proj.weight", "mlp.down"),
    ),
    outside=(Rule("wte.weight", "embed"), Rule("wpe.weight", "pos_embed"), Rule("lm_head.weight", "unembed")),
    tied=True,
)

LFM2 = Architecture(
    name="lfm2",
    model_types=("lfm2",),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("self_attn.out_proj.weight", "attn.o"),
        *NUMBERED_MLP,
        Rule("conv.in_proj.weight", None),
        Rule("conv.out_proj.weight", None),
    ),
    outside=OUTSIDE,
    tied=True,
)
