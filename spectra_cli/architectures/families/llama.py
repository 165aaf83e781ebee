"""Llama and the many families that store every matrix by itself under Llama's names."""

from __future__ import annotations

from spectra_cli.architectures.record import Architecture, Rule

ATTENTION = (
    Rule("self_attn.q_proj.weight", "attn.q"),
    Rule("self_attn.k_proj.weight", "attn.k"),
    Rule("self_attn.v_proj.weight", "attn.v"),
    Rule("self_attn.o_proj.weight", "attn.o"),
)
GATED_MLP = (
    Rule("mlp.gate_proj.weight", "mlp.gate"),
    Rule("mlp.up_proj.weight", "mlp.up"),
    Rule("mlp.down_proj.weight", "mlp.down"),
)
OUTSIDE = (
    Rule("embed_tokens.weight", "embed"),
    Rule("lm_head.weight", "unembed"),
)

LLAMA = Architecture(
    name="llama",
    model_types=("llama", "mistral", "qwen2", "qwen3", "olmo2", "olmo3", "olmo", "smollm3", "apertus"),
    layers=("layers.{layer}.",),
    in_layer=ATTENTION + GATED_MLP,
    outside=OUTSIDE,
)
