"""Models under the names of the program that trained them, whatever family they become on the Hub."""

from __future__ import annotations

from spectra_cli.architectures.families.llama import NUMBERED_MLP, QKV_BLOCKS
from spectra_cli.architectures.families.moe import DOWN, GATE, GATE_UP, STACKED_DOWN, STACKED_GATE_UP, UP
from spectra_cli.architectures.families.neox import BY_GROUP, UP_DOWN
from spectra_cli.architectures.families.neox import GATE_UP as DENSE_GATE_UP
from spectra_cli.architectures.record import Architecture, Rule, Split

# Meta keeps the two rows that the rotary embedding turns together side by side; Hugging Face, and so the canonical
# order, half a head apart. Only with the heads can the one be made of the other.
ROTARY_Q = Split("rotary pairs apart", "heads head_dim//2 2, *", (("attn.q", ""),), swapped=(1, 2))
ROTARY_K = Split("rotary pairs apart", "kv_heads head_dim//2 2, *", (("attn.k", ""),), swapped=(1, 2))

ROTARY_QKV = Split(
    "blocks of heads, rotary pairs apart", "heads+2*kv_heads head_dim//2 2, *", QKV_BLOCKS.parts, swapped=(1, 2)
)

META_LLAMA = Architecture(
    name="meta_llama",
    model_types=("meta_llama",),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("attention.wq.weight", "attn.q", ROTARY_Q),
        Rule("attention.wk.weight", "attn.k", ROTARY_K),
        Rule("attention.wv.weight", "attn.v"),
        Rule("attention.wo.weight", "attn.o"),
        *NUMBERED_MLP,
    ),
    outside=(Rule("tok_embeddings.weight", "embed"), Rule("output.weight", "unembed")),
    dimensions=(("hidden", "dim"),),
    signs=("attention.wq.weight",),
)

TORCHTUNE = Architecture(
    name="torchtune",
    model_types=("torchtune",),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("attn.q_proj.weight", "attn.q", ROTARY_Q),
        Rule("attn.k_proj.weight", "attn.k", ROTARY_K),
        Rule("attn.v_proj.weight", "attn.v"),
        Rule("attn.output_proj.weight", "attn.o"),
        Rule("mlp.w1.weight", "mlp.gate"),
        Rule("mlp.w3.weight", "mlp.up"),
        Rule("mlp.w2.weight", "mlp.down"),
    ),
    outside=(Rule("tok_embeddings.weight", "embed"), Rule("output.weight", "unembed")),
    signs=("attn.output_proj.weight",),
)

# `attn.attn` is the older name, under which each group's q, k and v lie together; `attn.qkv` holds three blocks.
LITGPT = Architecture(
    name="litgpt",
    model_types=("litgpt",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.qkv.weight", "attn.qkv", QKV_BLOCKS),
        Rule("attn.attn.weight", "attn.qkv", BY_GROUP),
        Rule("attn.proj.weight", "attn.o"),
        Rule("mlp.fc_1.weight", "mlp.gate"),
        Rule("mlp.fc_2.weight", "mlp.up"),
        Rule("mlp.fc.weight", "mlp.up"),
        Rule("mlp.proj.weight", "mlp.down"),
        Rule("mlp.gate.weight", "router"),
        Rule("mlp.experts.{expert}.fc_1.weight", GATE),
        Rule("mlp.experts.{expert}.fc_2.weight", UP),
        Rule("mlp.experts.{expert}.proj.weight", DOWN),
    ),
    outside=(Rule("wte.weight", "embed"), Rule("lm_head.weight", "unembed")),
    dimensions=(("kv_heads", "n_query_groups"), ("head_dim", "head_size"), ("experts", "n_expert")),
)

NANOTRON = Architecture(
    name="nanotron",
    model_types=("nanotron",),
    layers=("decoder.{layer}.pp_block.",),
    in_layer=(
        Rule("attn.qkv_proj.weight", "attn.qkv", ROTARY_QKV, when=("rope_interleaved", True)),
        Rule("attn.qkv_proj.weight", "attn.qkv", QKV_BLOCKS),
        Rule("attn.o_proj.weight", "attn.o"),
        Rule("mlp.gate_up_proj.weight", "mlp.gate_up", DENSE_GATE_UP),
        Rule("mlp.down_proj.weight", "mlp.down"),
    ),
    outside=(
        Rule("token_position_embeddings.pp_block.token_embedding.weight", "embed"),
        Rule("lm_head.pp_block.weight", "unembed"),
    ),
    signs=("pp_block.attn.qkv_proj.weight",),
)

# Experts of Megatron's GroupedMLP: one tensor each for what leads into them and out of them, which its code reads as
# [experts, in, out] without regard to the axes that the file has.
GROUPED_INTO = Split(
    "by expert: gate, up", "experts, *, 2 *", ((GATE, "expert, :, 0"), (UP, "expert, :, 1")), "expert",
    reshape="experts, hidden, rows*cols//(experts*hidden)",
)  # fmt: skip
GROUPED_UP = Split(
    "by expert", "experts, *, *", ((UP, "expert"),), "expert", reshape="experts, hidden, rows*cols//(experts*hidden)"
)
GROUPED_OUT = Split(
    "by expert", "experts, *, *", ((DOWN, "expert"),), "expert", reshape="experts, rows*cols//(experts*hidden), hidden"
)
STACKED_UP = Split("by expert", "experts, *, *", ((UP, "expert"),), "expert")
EXPERT_GATE_UP = Split("gate, up", "2 *, *", ((GATE, "0"), (UP, "1")))
GATED = ("swiglu", True)

MEGATRON = Architecture(
    name="megatron",
    model_types=("megatron",),
    layers=("decoder.layers.{layer}.", "encoder.layers.{layer}."),
    in_layer=(
        Rule("self_attention.linear_qkv.weight", "attn.qkv", BY_GROUP),
        Rule("self_attention.linear_proj.weight", "attn.o"),
        Rule("mlp.linear_fc1.weight", "mlp.gate_up", DENSE_GATE_UP, when=GATED),
        Rule("mlp.linear_fc1.weight", "mlp.up"),
        Rule("mlp.linear_fc2.weight", "mlp.down"),
        Rule("mlp.router.weight", "router"),
        # Experts by themselves, as Transformer Engine numbers them, all in one, and stacked as distributed files are.
        Rule("mlp.experts.local_experts.{expert}.linear_fc1.weight", GATE_UP, EXPERT_GATE_UP, when=GATED),
        Rule("mlp.experts.local_experts.{expert}.linear_fc1.weight", UP),
        Rule("mlp.experts.local_experts.{expert}.linear_fc2.weight", DOWN),
        Rule("mlp.experts.linear_fc1.weight{expert}", GATE_UP, EXPERT_GATE_UP, when=GATED),
        Rule("mlp.experts.linear_fc1.weight{expert}", UP),
        Rule("mlp.experts.linear_fc2.weight{expert}", DOWN),
        Rule("mlp.experts.weight1", GATE_UP, GROUPED_INTO, transposed=True, when=GATED),
        Rule("mlp.experts.weight1", UP, GROUPED_UP, transposed=True),
        Rule("mlp.experts.weight2", DOWN, GROUPED_OUT, transposed=True),
        Rule("mlp.experts.experts.linear_fc1.weight", GATE_UP, STACKED_GATE_UP, when=GATED),
        Rule("mlp.experts.experts.linear_fc1.weight", UP, STACKED_UP),
        Rule("mlp.experts.experts.linear_fc2.weight", DOWN, STACKED_DOWN),
        Rule("mlp.shared_experts.linear_fc1.weight", "shared_expert.gate_up", Split(
            "gate, up", "2 *, *", (("shared_expert.gate", "0"), ("shared_expert.up", "1"))), when=GATED),
        Rule("mlp.shared_experts.linear_fc1.weight", "shared_expert.up"),
        Rule("mlp.shared_experts.linear_fc2.weight", "shared_expert.down"),
        # Before Megatron Core.
        Rule("self_attention.query_key_value.weight", "attn.qkv", BY_GROUP),
        Rule("attention.query_key_value.weight", "attn.qkv", BY_GROUP),
        Rule("self_attention.dense.weight", "attn.o"),
        Rule("attention.dense.weight", "attn.o"),
        Rule("mlp.dense_h_to_4h.weight", "mlp.gate_up", DENSE_GATE_UP, when=GATED),
        *UP_DOWN,
    ),
    outside=(
        Rule("embedding.word_embeddings.weight", "embed"),
        Rule("embedding.position_embeddings.weight", "pos_embed"),
        Rule("output_layer.weight", "unembed"),
    ),
)  # fmt: skip
