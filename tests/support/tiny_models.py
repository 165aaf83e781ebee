"""Every family as a tiny random model: the table of the truth test. A new family is one line here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

Apply = Callable[[nn.Module, Tensor], Tensor]

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 61,
    "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 16}
GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16, "vocab_size": 61}
SECTIONS: dict[str, Any] = {
    "head_dim": 8,
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "partial_rotary_factor": 1.0,
    },
}  # fmt: skip
EXPERTS: dict[str, Any] = {
    "num_experts": 3, "num_local_experts": 3, "n_routed_experts": 3, "moe_num_experts": 3, "moe_intermediate_size": 24,
    "num_experts_per_tok": 2, "moe_k": 2, "first_k_dense_replace": 0, "moe_layer_start_index": 0, "n_group": 1,
    "topk_group": 1, "decoder_sparse_step": 1, "mlp_only_layers": [], "num_dense_layers": 0,
    "mlp_layer_types": ["sparse", "sparse"],
}  # fmt: skip


LATENT: dict[str, Any] = {
    "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_shared_experts": 1,
    "num_key_value_heads": 4,
}  # fmt: skip


def mlp(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.get_submodule("mlp")(x)


def bert_feed_forward(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.get_submodule("output.dense")(layer.get_submodule("intermediate")(x))


def bloom_feed_forward(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.get_submodule("mlp")(x, torch.zeros_like(x))


def mpt_feed_forward(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.get_submodule("ffn")(x, torch.zeros_like(x))


def opt_feed_forward(layer: Any, x: Tensor) -> Tensor:
    return layer.fc2(layer.activation_fn(layer.fc1(x)))


def feed_forward(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.get_submodule("feed_forward")(x)


@dataclass(frozen=True)
class Tiny:
    """A model_type, the config of a tiny one, and how its layers differ from the most common kind.

    mlp: applies the layer's dense feed-forward part. experts: the path of the module that holds the experts, and
    shared: that of the one every token uses. output: the path of the module whose output is the attention's.
    scaled: q comes multiplied by 1/√head_dim. roles: those that attention has a matrix of
    its own for. gate: what a gate that sees nothing makes of attention's result. reordered: the forward pass brings
    the rows of q into another order before it uses them, so that only spectra can be compared. base: the model without
    a head, whose names lack a prefix.
    """

    model_type: str
    config: dict[str, Any] = field(default_factory=dict)
    activation: str = "silu"
    mlp: Apply | None = mlp
    experts: str | None = None
    shared: str | None = None
    output: str | None = None
    scaled: bool = False
    roles: str = "qkvo"
    gate: float = 1.0
    reordered: bool = False
    base: bool = False
    title: str = ""

    def __str__(self) -> str:
        return self.title or self.model_type


def llama(model_type: str, activation: str = "silu", title: str = "", **config: Any) -> Tiny:
    return Tiny(model_type, SIZES | GROUPED | config, activation, title=title)


def sparse(model_type: str, shared: str | None = None, experts: str = "mlp.experts", **config: Any) -> Tiny:
    return Tiny(model_type, SIZES | GROUPED | EXPERTS | config, mlp=None, experts=experts, shared=shared)


FAMILIES = (
    Tiny("gpt_neox", SIZES, "gelu"),
    Tiny("gpt_neox_japanese", SIZES | {"intermediate_multiple_size": 2}, "gelu"),
    Tiny("bloom", SIZES | {"n_layer": 2, "n_head": 4}, "gelu_new", bloom_feed_forward),
    Tiny("falcon", SIZES | {"multi_query": False, "alibi": True, "bias": True}, "gelu", title="falcon-rw"),
    Tiny("falcon", SIZES | {"multi_query": True}, "gelu", title="falcon-7b"),
    Tiny("falcon", SIZES | {"new_decoder_architecture": True, "num_kv_heads": 2}, "gelu", title="falcon-40b"),
    Tiny("persimmon", SIZES | {"hidden_act": "relu2"}, "relu2"),
    Tiny("gpt2", GPT, "gelu_new"),
    Tiny("gpt2", GPT | {"n_inner": 24}, "gelu_new", title="gpt2, narrow"),
    Tiny("openai-gpt", GPT, "gelu_new"),
    Tiny("gpt_bigcode", GPT | {"multi_query": True}, "gelu_pytorch_tanh", title="gpt_bigcode, multi-query"),
    Tiny("gpt_bigcode", GPT | {"multi_query": False}, "gelu_pytorch_tanh", title="gpt_bigcode, multi-head"),
    Tiny("nanochat", SIZES | {"num_key_value_heads": 2}, "relu2"),
    llama("llama"),
    llama("llama", title="llama, one key head", num_key_value_heads=1),
    llama("llama", title="llama, tied", tie_word_embeddings=True),
    llama("mistral"),
    llama("qwen2"),
    llama("qwen3"),
    llama("olmo"),
    llama("olmo2"),
    llama("olmo3"),
    llama("smollm3"),
    llama("apertus", "mlp.act_fn"),
    llama("arcee", "relu2"),
    Tiny("bitnet", SIZES | {"num_key_value_heads": 2}, "relu2"),
    llama("cwm"),
    llama("ernie4_5"),
    llama("exaone4"),
    Tiny("helium", SIZES | {"num_key_value_heads": 2, "head_dim": 8}, "silu"),
    llama("hunyuan_v1_dense"),
    llama("hyperclovax"),
    llama("internlm3"),
    llama("iquestcoder"),
    llama("jais2", "relu2"),
    llama("ministral"),
    llama("ministral3"),
    llama("nemotron", "relu2"),
    llama("seed_oss"),
    Tiny("stablelm", SIZES | {"num_key_value_heads": 2}, "silu"),
    llama("flint"),
    replace(llama("granite_swa"), gate=0.5),
    llama("gemma", "gelu_pytorch_tanh"),
    llama("gemma2", "gelu_pytorch_tanh"),
    llama("gemma3_text", "gelu_pytorch_tanh"),
    llama("gemma4_text", "gelu_pytorch_tanh", global_head_dim=16, vocab_size_per_layer_input=61,
          hidden_size_per_layer_input=8, num_kv_shared_layers=0),
    llama("gemma4_unified_text", "gelu_pytorch_tanh", global_head_dim=16),
    llama("vaultgemma", "gelu_pytorch_tanh"),
    llama("cohere"),
    llama("cohere2"),
    llama("granite"),
    llama("glm"),
    llama("glm4"),
    llama("phi3"),
    Tiny("phi", SIZES | {"num_key_value_heads": 2}, "gelu_new"),
    llama("starcoder2", "gelu_pytorch_tanh"),
    Tiny("opt", SIZES | {"ffn_dim": 40, "word_embed_proj_dim": 32}, "relu", opt_feed_forward, scaled=True),
    Tiny("xglm", {"d_model": 32, "ffn_dim": 40, "num_layers": 2, "attention_heads": 4, "vocab_size": 61,
                  "max_position_embeddings": 16}, "gelu", opt_feed_forward, scaled=True),
    Tiny("biogpt", SIZES, "gelu", opt_feed_forward),
    Tiny("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 61, "max_seq_len": 16}, "gelu",
         mpt_feed_forward),
    Tiny("gptj", GPT | {"rotary_dim": 4}, "gelu_new"),
    Tiny("codegen", GPT | {"rotary_dim": 4}, "gelu_new"),
    Tiny("codegen", GPT | {"rotary_dim": 4, "n_head": 8}, "gelu_new", title="codegen, eight heads"),
    Tiny("gpt_neo", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global"], 2]],
                     "intermediate_size": 40, "vocab_size": 61, "max_position_embeddings": 16}, "gelu_new"),
    *(
        Tiny(model_type, SIZES | {"is_decoder": True, "type_vocab_size": 2, "embedding_size": 32,
                           "input_embedding_size": 32, "output_embedding_size": 32}, "gelu",
             bert_feed_forward, output="attention.output.dense")
        for model_type in ("bert", "roberta", "camembert", "xlm-roberta", "data2vec-text", "electra", "ernie",
                           "bert-generation", "roc_bert", "rembert", "roformer", "xlm-roberta-xl", "megatron-bert",
                           "roberta-prelayernorm")
    ),
    Tiny("big_bird", SIZES | {"is_decoder": True, "attention_type": "original_full"}, "gelu_new", bert_feed_forward,
         output="attention.output.dense"),
    Tiny("modernbert-decoder", SIZES | {"layer_types": ["full_attention"] * 2}, "gelu"),
    replace(llama("lfm2", layer_types=["full_attention"] * 2, block_auto_adjust_ff_dim=False), mlp=feed_forward),
    *(
        replace(tiny, base=True, title=f"{tiny}, without a head")
        for tiny in (
            Tiny("gpt_neox", SIZES, "gelu"),
            Tiny("gpt2", GPT, "gelu_new"),
            llama("qwen2_vl_text", **SECTIONS),
            llama("qwen2_5_vl_text", **SECTIONS),
            llama("qwen3_vl_text"),
            llama("glm4v_text", **SECTIONS),
            sparse("qwen3_vl_moe_text"),
            sparse("glm4v_moe_text", "mlp.shared_experts", **SECTIONS),
        )
    ),
    sparse("mixtral"),
    sparse("phimoe"),
    sparse("minimax_m2"),
    sparse("qwen2_moe", "mlp.shared_expert", shared_expert_intermediate_size=16),
    sparse("qwen3_moe"),
    sparse("olmoe", head_dim=8),
    sparse("flex_olmo"),
    sparse("cohere2_moe"),
    sparse("mellum"),
    sparse("dots1", "mlp.shared_experts", n_shared_experts=1),
    sparse("ernie4_5_moe", "mlp.shared_experts", moe_num_shared_experts=1),
    sparse("exaone_moe", "mlp.shared_experts"),
    sparse("glm4_moe", "mlp.shared_experts"),
    sparse("hunyuan_v1_moe", "mlp.shared_mlp", moe_topk=2),
    sparse("hy_v3", "mlp.shared_experts"),
    sparse("kolibri1", "mlp.shared_experts"),
    replace(sparse("laguna", "mlp.shared_experts"), gate=math.log(2.0)),
    sparse("mimo_v2_flash", v_head_dim=16, attention_value_scale=None),
    sparse("solar_open", "mlp.shared_experts"),
    replace(sparse("afmoe", "mlp.shared_experts"), gate=0.5),
    sparse("gpt_oss", rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
    sparse("llama4_text", "feed_forward.shared_expert", "feed_forward.experts"),
    sparse("granitemoe", experts="block_sparse_moe.experts"),
    replace(sparse("granitemoe_swa", experts="block_sparse_moe.experts"), gate=0.5),
    sparse("granitemoeshared", "shared_mlp", "block_sparse_moe.experts", shared_intermediate_size=24),
    Tiny("dbrx", {"d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 61, "max_seq_len": 16,
                  "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 1e6},
                  "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 3, "moe_top_k": 2, "hidden_size": 32}},
         mlp=None, experts="ffn.experts"),
    *(
        Tiny(model_type, SIZES | EXPERTS | LATENT | {"q_lora_rank": rank}, mlp=None, experts="mlp.experts",
             shared="mlp.shared_experts", roles=roles, reordered=True, title=f"{model_type}, {title}")
        for model_type in ("deepseek_v2", "deepseek_v3", "glm4_moe_lite")
        for rank, roles, title in ((8, "o", "queries in two factors"), (None, "qo", "queries whole"))
    ),
    *(
        Tiny(model_type, SIZES | LATENT | {"q_lora_rank": 8}, roles="o")
        for model_type in ("minicpm3", "youtu")
    ),
)  # fmt: skip
