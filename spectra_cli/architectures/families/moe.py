"""Mixtures of experts: one tensor for each expert, or all of them stacked; one matrix each from both."""

from __future__ import annotations

from spectra_cli.architectures.families.llama import ATTENTION, GATED_MLP, OUTSIDE, QKV_BLOCKS
from spectra_cli.architectures.record import Architecture, Rule, Split

GATE = "experts.{expert}.gate"
UP = "experts.{expert}.up"
DOWN = "experts.{expert}.down"
GATE_UP = "experts.{expert}.gate_up"

# [E, 2·I, H] and [E, H, I]; Llama 4 keeps [E, H, 2·I], and gpt-oss gate and up in turns within it.
STACKED_GATE_UP = Split("by expert: gate, up", "experts, 2 *, *", ((GATE, "expert, 0"), (UP, "expert, 1")), "expert")
COLUMNS_GATE_UP = Split(
    "by expert: gate, up", "experts, *, 2 *", ((GATE, "expert, :, 0"), (UP, "expert, :, 1")), "expert"
)
TURNS_GATE_UP = Split(
    "by expert: gate and up in turns",
    "experts, *, * 2",
    ((GATE, "expert, :, :, 0"), (UP, "expert, :, :, 1")),
    "expert",
)
STACKED_DOWN = Split("by expert", "experts, *, *", ((DOWN, "expert"),), "expert")

STACKED = (
    Rule("mlp.experts.gate_up_proj", GATE_UP, STACKED_GATE_UP),
    Rule("mlp.experts.down_proj", DOWN, STACKED_DOWN),
)
ONE_BY_ONE = (
    Rule("mlp.experts.{expert}.gate_proj.weight", GATE),
    Rule("mlp.experts.{expert}.up_proj.weight", UP),
    Rule("mlp.experts.{expert}.down_proj.weight", DOWN),
)
# Mixtral's names: w1 is activated, w3 multiplied, w2 leads back.
NUMBERED = (
    Rule("block_sparse_moe.gate.weight", "router"),
    Rule("block_sparse_moe.experts.{expert}.w1.weight", GATE),
    Rule("block_sparse_moe.experts.{expert}.w3.weight", UP),
    Rule("block_sparse_moe.experts.{expert}.w2.weight", DOWN),
)
SHARED = tuple(
    Rule(f"mlp.{stored}.{matrix}_proj.weight", f"shared_expert.{matrix}")
    for stored in ("shared_expert", "shared_experts", "shared_mlp")
    for matrix in ("gate", "up", "down")
)
ROUTER = (
    Rule("mlp.gate.weight", "router"),
    Rule("mlp.router.weight", "router"),
    Rule("mlp.router.gate.weight", "router"),
    Rule("mlp.gate.wg.weight", "router"),
    Rule("mlp.shared_expert_gate.weight", None),
    # Gates on what attention gives, beside q, k and v.
    Rule("self_attn.gate_proj.weight", None),
    Rule("self_attn.g_proj.weight", None),
)

MIXTRAL = Architecture(
    name="mixtral",
    model_types=("mixtral", "phimoe", "minimax_m2"),
    layers=("layers.{layer}.",),
    in_layer=ATTENTION + NUMBERED + STACKED + ROUTER,
    outside=OUTSIDE,
)

QWEN_MOE = Architecture(
    name="qwen_moe",
    model_types=(
        "qwen2_moe", "qwen3_moe", "flint", "olmoe", "flex_olmo", "cohere2_moe", "mellum", "dots1", "ernie4_5_moe",
        "exaone_moe", "glm4_moe", "hunyuan_v1_moe", "hy_v3", "kolibri1", "laguna", "mimo_v2_flash", "solar_open",
        "afmoe", "qwen3_vl_moe_text", "glm4v_moe_text", "qwen3_omni_moe_text",
    ),
    layers=("layers.{layer}.",),
    in_layer=ATTENTION + GATED_MLP + ONE_BY_ONE + STACKED + SHARED + ROUTER,
    outside=OUTSIDE,
)  # fmt: skip

# Multi-head latent attention: two factors for the queries, two for keys and values; each is its own matrix, under
# its stored name, until someone shows a better reading.
LATENT_ATTENTION = (
    Rule("self_attn.q_proj.weight", "attn.q"),
    Rule("self_attn.o_proj.weight", "attn.o"),
    Rule("self_attn.q_a_proj.weight", None),
    Rule("self_attn.q_b_proj.weight", None),
    Rule("self_attn.kv_a_proj_with_mqa.weight", None),
    Rule("self_attn.kv_b_proj.weight", None),
)

DEEPSEEK = Architecture(
    name="deepseek",
    model_types=("deepseek_v2", "deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu"),
    layers=("layers.{layer}.",),
    in_layer=LATENT_ATTENTION + GATED_MLP + ONE_BY_ONE + STACKED + SHARED + ROUTER,
    outside=OUTSIDE,
)

GPT_OSS = Architecture(
    name="gpt_oss",
    model_types=("gpt_oss",),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("mlp.experts.gate_up_proj", GATE_UP, TURNS_GATE_UP, transposed=True),
        Rule("mlp.experts.down_proj", DOWN, STACKED_DOWN, transposed=True),
        Rule("mlp.router.weight", "router"),
    ),
    outside=OUTSIDE,
)

LLAMA4 = Architecture(
    name="llama4",
    model_types=("llama4", "llama4_text"),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("feed_forward.gate_proj.weight", "mlp.gate"),
        Rule("feed_forward.up_proj.weight", "mlp.up"),
        Rule("feed_forward.down_proj.weight", "mlp.down"),
        Rule("feed_forward.router.weight", "router"),
        Rule("feed_forward.experts.gate_up_proj", GATE_UP, COLUMNS_GATE_UP, transposed=True),
        Rule("feed_forward.experts.down_proj", DOWN, STACKED_DOWN, transposed=True),
        Rule("feed_forward.shared_expert.gate_proj.weight", "shared_expert.gate"),
        Rule("feed_forward.shared_expert.up_proj.weight", "shared_expert.up"),
        Rule("feed_forward.shared_expert.down_proj.weight", "shared_expert.down"),
    ),
    outside=OUTSIDE,
)

SHARED_GATE_UP = Split("gate, up", "2 *, *", (("shared_expert.gate", "0"), ("shared_expert.up", "1")))

GRANITE_MOE = Architecture(
    name="granitemoe",
    model_types=("granitemoe", "granitemoeshared", "granitemoe_swa"),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        Rule("block_sparse_moe.router.layer.weight", "router"),
        Rule("block_sparse_moe.router.weight", "router"),
        Rule("block_sparse_moe.input_linear.weight", GATE_UP, STACKED_GATE_UP),
        Rule("block_sparse_moe.output_linear.weight", DOWN, STACKED_DOWN),
        Rule("block_sparse_moe.experts.gate_up_proj", GATE_UP, STACKED_GATE_UP),
        Rule("block_sparse_moe.experts.down_proj", DOWN, STACKED_DOWN),
        Rule("shared_mlp.input_linear.weight", "shared_expert.gate_up", SHARED_GATE_UP),
        Rule("shared_mlp.output_linear.weight", "shared_expert.down"),
    ),
    outside=OUTSIDE,
    tied=True,
)

DBRX = Architecture(
    name="dbrx",
    model_types=("dbrx",),
    layers=("blocks.{layer}.",),
    in_layer=(
        Rule("norm_attn_norm.attn.Wqkv.weight", "attn.qkv", QKV_BLOCKS),
        Rule("norm_attn_norm.attn.out_proj.weight", "attn.o"),
        Rule("ffn.router.layer.weight", "router"),
        Rule("ffn.experts.mlp.w1", GATE, Split("by expert", "experts *, *", ((GATE, "expert"),), "expert")),
        Rule("ffn.experts.mlp.v1", UP, Split("by expert", "experts *, *", ((UP, "expert"),), "expert")),
        Rule("ffn.experts.mlp.w2", DOWN, Split("by expert", "experts *, *", ((DOWN, "expert"),), "expert"), True),
    ),
    outside=(Rule("wte.weight", "embed"), Rule("lm_head.weight", "unembed")),
)
