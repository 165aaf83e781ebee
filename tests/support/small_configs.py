"""A small config of any model type of transformers: its own default with every size made small."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

WIDTH, HEADS, INNER, LAYERS, TOKENS = 32, 4, 48, 2, 64

# What sizes are called, and what they become.
SMALL: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "dim", "emb_dim", "embed_dim", "word_embed_proj_dim", "embedding_size",
                     "n_embd", "projection_dim", "conv_dim", "out_hidden_size"), WIDTH),
    **dict.fromkeys(("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "n_heads", "n_head",
                     "num_heads", "num_encoder_attention_heads", "num_decoder_attention_heads"), HEADS),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "ffn_dim", "hidden_dim",
                     "mlp_dim"), INNER),
    **dict.fromkeys(("num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "num_decoder_layers",
                     "n_layers", "depth", "num_encoder_layers", "n_layer"), LAYERS),
    **dict.fromkeys(("num_key_value_heads",), 2),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_dim", "mamba_d_head", "mamba_headdim", "mamba_head_dim"), 8),
    "vocab_size": TOKENS, "image_size": 16, "patch_size": 8, "max_position_embeddings": 64, "n_positions": 64,
    "num_mel_bins": 16, "max_source_positions": 8, "max_target_positions": 32, "type_vocab_size": 2,
    "mamba_d_state": 8, "mamba_n_heads": 8, "mamba_n_groups": 1, "mamba_d_ssm": 64, "state_size": 8,
    "mamba_num_heads": 8,
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "num_experts": 3, "num_local_experts": 3, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24,
    "num_experts_per_tok": 2, "shared_intermediate_size": 24,
}  # fmt: skip

SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


def sizes_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make a config small, those of the configs nested in it too."""
    small: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and isinstance(value.get("model_type"), str):
            small[key] = {"model_type": value["model_type"], **sizes_of(value)}
        elif key in SMALL and isinstance(value, int) and not isinstance(value, bool):
            small[key] = SMALL[key]
        elif key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id") and isinstance(
            value, int
        ):
            small[key] = min(value, 2)
    return small


def small_config(model_type: str, **given: Any) -> Any:
    """Return a small config of one model type. given: what is to be otherwise."""
    default = transformers.AutoConfig.for_model(model_type).to_dict()
    config = transformers.AutoConfig.for_model(model_type, **(sizes_of(default) | given))
    config._attn_implementation = "eager"
    return config
