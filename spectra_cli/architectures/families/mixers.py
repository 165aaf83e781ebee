"""Mamba and the hybrids: layers that keep a state, beside or instead of attention, with roles of their own."""

from __future__ import annotations

from spectra_cli.architectures.families.encoder_decoder import attention
from spectra_cli.architectures.families.llama import ATTENTION, GATED_MLP, OUTSIDE
from spectra_cli.architectures.families.moe import (
    DOWN,
    GATE,
    GATE_UP,
    GRANITE_MOE,
    ONE_BY_ONE,
    ROUTER,
    SHARED,
    STACKED,
    STACKED_DOWN,
    STACKED_GATE_UP,
    UP,
)  # fmt: skip
from spectra_cli.architectures.families.neox import GATE_UP as DENSE_GATE_UP
from spectra_cli.architectures.record import Architecture, Rule, Split


def mixer(stored: str, becomes: str = "mixer") -> tuple[Rule, ...]:
    """Return the rules for a state space: its projections, and what keeps its name, the decay and the convolution.

    in_proj holds the channels and their gate, from Mamba 2 on B, C and the step as well; it is one matrix, as stored.

    >>> [rule.becomes for rule in mixer("mamba")][:2]
    ['mixer.in_proj', 'mixer.x_proj']
    """
    roles = ("in_proj", "x_proj", "dt_proj", "out_proj")
    return (
        *(Rule(f"{stored}.{role}.weight", f"{becomes}.{role}") for role in roles),
        Rule(f"{stored}.A_log", None),
        Rule(f"{stored}.conv1d.weight", None),
    )


MAMBA = Architecture(
    name="mamba",
    model_types=("mamba", "mamba2", "falcon_mamba"),
    layers=("layers.{layer}.",),
    in_layer=mixer("mixer"),
    outside=(
        Rule("embeddings.weight", "embed"),
        Rule("embedding.weight", "embed"),  # the authors' own files
        Rule("lm_head.weight", "unembed"),
    ),
    tied=True,
)

FEED_FORWARD = (
    Rule("feed_forward.gate_proj.weight", "mlp.gate"),
    Rule("feed_forward.up_proj.weight", "mlp.up"),
    Rule("feed_forward.down_proj.weight", "mlp.down"),
)

JAMBA = Architecture(
    name="jamba",
    model_types=("jamba", "bamba", "falcon_h1"),
    layers=("layers.{layer}.",),
    in_layer=(
        *ATTENTION,
        *mixer("mamba"),
        *FEED_FORWARD,
        Rule("feed_forward.router.weight", "router"),
        Rule("feed_forward.experts.gate_up_proj", GATE_UP, STACKED_GATE_UP),
        Rule("feed_forward.experts.down_proj", DOWN, STACKED_DOWN),
        Rule("feed_forward.experts.{expert}.gate_proj.weight", GATE),
        Rule("feed_forward.experts.{expert}.up_proj.weight", UP),
        Rule("feed_forward.experts.{expert}.down_proj.weight", DOWN),
    ),
    outside=OUTSIDE,
)

# Every layer has a state space, and some, besides, the one attention that all of them share; transformers keeps a copy
# or a reference of it in each. Experts of the shared part's MLP are low-rank additions, as stored.
PER_HEAD = Split("by head", "2, *, *", (("mixer.heads.0.x_proj", "0"), ("mixer.heads.1.x_proj", "1")))
PER_HEAD_STEP = Split("by head", "2, *, *", (("mixer.heads.0.dt_proj", "0"), ("mixer.heads.1.dt_proj", "1")))

ZAMBA = Architecture(
    name="zamba",
    model_types=("zamba", "zamba2"),
    layers=("layers.{layer}.",),
    in_layer=(
        *mixer("mamba"),
        *mixer("mamba_decoder.mamba"),
        *(
            Rule(f"{inside}.{name}", "mixer." + name.removesuffix("_weight"), split)
            for inside in ("mamba", "mamba_decoder.mamba")
            for name, split in (("x_proj_weight", PER_HEAD), ("dt_proj_weight", PER_HEAD_STEP))
        ),
        *(rule for shared in ("shared_transf", "shared_transformer") for rule in (
            *attention(f"{shared}.self_attn", "attn"),
            Rule(f"{shared}.feed_forward.gate_proj.weight", "mlp.gate"),
            Rule(f"{shared}.feed_forward.up_proj.weight", "mlp.up"),
            Rule(f"{shared}.feed_forward.gate_up_proj.weight", "mlp.gate_up", DENSE_GATE_UP),
            Rule(f"{shared}.feed_forward.down_proj.weight", "mlp.down"),
            Rule(f"{shared}.feed_forward.gate_up_proj_adapter_list.{{expert}}.0.weight", None),
            Rule(f"{shared}.feed_forward.gate_up_proj_adapter_list.{{expert}}.1.weight", None),
        )),
        *(
            Rule(f"{inside}.{name}", None)
            for inside in ("mamba", "mamba_decoder.mamba")
            for name in ("D", "dt_proj_bias")
        ),
        Rule("linear.weight", None),
    ),
    outside=OUTSIDE,
    tied=True,
)  # fmt: skip

GRANITE_HYBRID = Architecture(
    name="granitemoehybrid",
    model_types=("granitemoehybrid",),
    layers=("layers.{layer}.",),
    in_layer=(*mixer("mamba"), *GRANITE_MOE.in_layer),
    outside=OUTSIDE,
    tied=True,
)

# The queries of Qwen3-Next come with a gate on what attention gives, head by head.
GATED_QUERIES = Split("by head: q, gate", "heads 2 head_dim, *", (("attn.q", ":, 0"), ("attn.output_gate", ":, 1")))
LINEAR_ATTENTION = (
    *(Rule(f"linear_attn.in_proj_{part}.weight", f"linear_attn.{part}.in_proj")
      for part in ("qkvz", "ba", "qkv", "z", "b", "a")),
    Rule("linear_attn.out_proj.weight", "linear_attn.out_proj"),
    Rule("linear_attn.conv1d.weight", None),
)  # fmt: skip

QWEN3_NEXT = Architecture(
    name="qwen3_next",
    model_types=("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen3_5", "qwen3_5_moe"),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("self_attn.q_proj.weight", "attn.q_gate", GATED_QUERIES),
        *ATTENTION[1:],
        *LINEAR_ATTENTION,
        *GATED_MLP,
        *ONE_BY_ONE,
        *STACKED,
        *SHARED,
        *ROUTER,
    ),
    outside=OUTSIDE,
)

NEMOTRON_H = Architecture(
    name="nemotron_h",
    model_types=("nemotron_h",),
    layers=("layers.{layer}.",),
    in_layer=(
        *mixer("mixer"),
        *attention("mixer", "attn"),
        Rule("mixer.up_proj.weight", "mlp.up"),
        Rule("mixer.down_proj.weight", "mlp.down"),
        Rule("mixer.gate.weight", "router"),
        Rule("mixer.experts.up_proj", UP, Split("by expert", "experts, *, *", ((UP, "expert"),), "expert")),
        Rule("mixer.experts.down_proj", DOWN, STACKED_DOWN),
        Rule("mixer.experts.{expert}.up_proj.weight", UP),
        Rule("mixer.experts.{expert}.down_proj.weight", DOWN),
        Rule("mixer.shared_experts.up_proj.weight", "shared_expert.up"),
        Rule("mixer.shared_experts.down_proj.weight", "shared_expert.down"),
    ),
    outside=(*OUTSIDE, Rule("embeddings.weight", "embed")),
)
