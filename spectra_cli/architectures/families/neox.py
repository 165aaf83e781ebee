"""GPT-NeoX and the families that, like it, store Q, K and V in one tensor, head by head."""

from __future__ import annotations

from spectra_cli.architectures.record import Architecture, Rule, Split

BY_HEAD = Split("by head", "heads 3 head_dim, *", (("attn.q", ":, 0"), ("attn.k", ":, 1"), ("attn.v", ":, 2")))
BY_GROUP = Split(
    "by group",
    "kv_heads heads//kv_heads+2 head_dim, *",
    (("attn.q", ":, :heads//kv_heads"), ("attn.k", ":, heads//kv_heads"), ("attn.v", ":, heads//kv_heads+1")),
)
ONE_KEY_HEAD = Split(
    "one k and v head",
    "heads+2 head_dim, *",
    (("attn.q", ":heads"), ("attn.k", "heads"), ("attn.v", "heads+1")),
)
GATE_UP = Split("gate, up", "2 *, *", (("mlp.gate", "0"), ("mlp.up", "1")))

UP_DOWN = (
    Rule("mlp.dense_h_to_4h.weight", "mlp.up"),
    Rule("mlp.dense_4h_to_h.weight", "mlp.down"),
)

GPT_NEOX = Architecture(
    name="gpt_neox",
    model_types=("gpt_neox", "gpt_neox_japanese"),
    layers=("layers.{layer}.", "layer_{layer+2}.", "sequential.{layer+2}."),  # NeoX's own files count two entries first
    in_layer=(
        Rule("attention.query_key_value.weight", "attn.qkv", BY_HEAD),
        Rule("attention.dense.weight", "attn.o"),
        *UP_DOWN,
    ),
    outside=(
        Rule("embed_in.weight", "embed"),
        Rule("embed_out.weight", "unembed"),
        Rule("lm_head.weight", "unembed"),
        Rule("layer_00.word_embeddings.weight", "embed"),
        Rule("layer_00.position_embeddings.weight", "pos_embed"),
        Rule("sequential.0.word_embeddings.weight", "embed"),
        Rule("sequential.0.position_embeddings.weight", "pos_embed"),
        Rule("word_embeddings.weight", "embed"),
        Rule("final_linear.weight", "unembed"),
        # The last entries of NeoX's own files have a layer's number, which is one past the model's.
        Rule("layer_{layer}.final_linear.weight", "unembed"),
        Rule("sequential.{layer}.final_linear.weight", "unembed"),
    ),
)

PERSIMMON = Architecture(
    name="persimmon",
    model_types=("persimmon", "fuyu"),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("self_attn.query_key_value.weight", "attn.qkv", BY_HEAD),
        Rule("self_attn.dense.weight", "attn.o"),
        *UP_DOWN,
    ),
    outside=(Rule("embed_tokens.weight", "embed"), Rule("lm_head.weight", "unembed")),
)

BLOOM = Architecture(
    name="bloom",
    model_types=("bloom",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("self_attention.query_key_value.weight", "attn.qkv", BY_HEAD),
        Rule("self_attention.dense.weight", "attn.o"),
        *UP_DOWN,
    ),
    outside=(Rule("word_embeddings.weight", "embed"), Rule("lm_head.weight", "unembed")),
    tied=True,
)

# 40b and later: new_decoder_architecture. rw-1b: multi_query is false. 7b: neither is said, or multi_query is true.
FALCON = Architecture(
    name="falcon",
    model_types=("falcon", "RefinedWebModel"),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("self_attention.query_key_value.weight", "attn.qkv", BY_GROUP, when=("new_decoder_architecture", True)),
        Rule("self_attention.query_key_value.weight", "attn.qkv", BY_HEAD, when=("multi_query", False)),
        Rule("self_attention.query_key_value.weight", "attn.qkv", ONE_KEY_HEAD),
        Rule("self_attention.dense.weight", "attn.o"),
        *UP_DOWN,
    ),
    outside=(Rule("word_embeddings.weight", "embed"), Rule("lm_head.weight", "unembed")),
    tied=True,
)
