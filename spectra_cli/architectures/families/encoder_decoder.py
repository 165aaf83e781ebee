"""T5, BART and their relatives: an encoder and a decoder, whose layers attend to themselves and to the encoder."""

from __future__ import annotations

from spectra_cli.architectures.record import Architecture, Rule

STACKS = ("{stack}.layers.{layer}.",)


def attention(stored: str, becomes: str, output: str = "o_proj") -> tuple[Rule, ...]:
    """Return the rules for q, k, v and the way out of one attention, each with a matrix of its own.

    >>> [rule.becomes for rule in attention("self_attn", "attn")]
    ['attn.q', 'attn.k', 'attn.v', 'attn.o']
    """
    names = (("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"), (output, "o"))
    return tuple(Rule(f"{stored}.{name}.weight", f"{becomes}.{role}") for name, role in names)


def _t5_attention(number: int, stored: str, becomes: str) -> tuple[Rule, ...]:
    own = tuple(Rule(f"layer.{number}.{stored}.{role}.weight", f"{becomes}.{role}") for role in "qkvo")
    bias = ("relative_attention_bias", "global_relative_attention_bias")
    return own + tuple(Rule(f"layer.{number}.{stored}.{name}.weight", None) for name in bias)


def _t5_feed_forward(number: int) -> tuple[Rule, ...]:
    """Return the rules for wi and wo; where there are two, wi_0 is activated and wi_1 multiplied."""
    dense = tuple(
        Rule(f"layer.{number}.{stored}.{name}.weight", f"mlp.{role}")
        for stored in ("DenseReluDense", "mlp")
        for name, role in (("wi", "up"), ("wi_0", "gate"), ("wi_1", "up"), ("wo", "down"))
    )
    experts = tuple(
        Rule(f"layer.{number}.mlp.experts.expert_{{expert}}.{name}.weight", f"experts.{{expert}}.{role}")
        for name, role in (("wi", "up"), ("wo", "down"))
    )
    return (*dense, *experts, Rule(f"layer.{number}.mlp.router.classifier.weight", "router"))


T5 = Architecture(
    name="t5",
    model_types=("t5", "mt5", "umt5", "longt5", "pop2piano", "switch_transformers"),
    layers=("{stack}.block.{layer}.",),
    in_layer=(
        *_t5_attention(0, "SelfAttention", "attn"),
        *_t5_attention(0, "LocalSelfAttention", "attn"),
        *_t5_attention(0, "TransientGlobalSelfAttention", "attn"),
        *_t5_attention(1, "EncDecAttention", "cross_attn"),
        *_t5_feed_forward(1),
        *_t5_feed_forward(2),
    ),
    outside=(
        Rule("shared.weight", "embed"),
        Rule("{stack}.embed_tokens.weight", "embed"),
        Rule("lm_head.weight", "unembed"),
    ),
    tied=True,
)

T5_GEMMA = Architecture(
    name="t5gemma",
    model_types=("t5gemma",),
    layers=STACKS,
    in_layer=(
        *attention("self_attn", "attn"),
        *attention("cross_attn", "cross_attn"),
        Rule("mlp.gate_proj.weight", "mlp.gate"),
        Rule("mlp.up_proj.weight", "mlp.up"),
        Rule("mlp.down_proj.weight", "mlp.down"),
    ),
    outside=(
        Rule("{stack}.embed_tokens.weight", "embed"),
        Rule("lm_head.out_proj.weight", "unembed"),
    ),
    tied=True,
)

BART = Architecture(
    name="bart",
    model_types=(
        "bart",
        "bigbird_pegasus",
        "blenderbot",
        "blenderbot-small",
        "fsmt",
        "led",
        "m2m_100",
        "marian",
        "mbart",
        "mvp",
        "nllb-moe",
        "pegasus",
        "pegasus_x",
        "plbart",
        "speech_to_text",
        "whisper",
    ),
    layers=STACKS,
    in_layer=(
        *attention("self_attn", "attn", "out_proj"),
        *attention("encoder_attn", "cross_attn", "out_proj"),
        *attention("cross_attention", "cross_attn", "out_proj"),
        # BigBird's and Longformer's encoders, whose decoders are BART's.
        *(
            Rule(f"self_attn.{inner}.{name}.weight", f"attn.{name[0]}")
            for inner in ("self", "longformer_self_attn")
            for name in ("query", "key", "value")
        ),
        Rule("self_attn.longformer_self_attn.query_global.weight", "global_attn.q"),
        Rule("self_attn.longformer_self_attn.key_global.weight", "global_attn.k"),
        Rule("self_attn.longformer_self_attn.value_global.weight", "global_attn.v"),
        Rule("self_attn.output.weight", "attn.o"),
        Rule("fc1.weight", "mlp.up"),
        Rule("fc2.weight", "mlp.down"),
        Rule("ffn.fc1.weight", "mlp.up"),
        Rule("ffn.fc2.weight", "mlp.down"),
        Rule("ffn.experts.expert_{expert}.fc1.weight", "experts.{expert}.up"),
        Rule("ffn.experts.expert_{expert}.fc2.weight", "experts.{expert}.down"),
        Rule("ffn.router.classifier.weight", "router"),
    ),
    outside=(
        Rule("shared.weight", "embed"),
        Rule("{stack}.embed_tokens.weight", "embed"),
        Rule("{stack}.embed_positions.weight", "pos_embed"),
        Rule("decoder.output_projection.weight", "unembed"),
        Rule("encoder.embed_global.weight", None),
        Rule("encoder.conv1.weight", None),
        Rule("encoder.conv2.weight", None),
        Rule("lm_head.weight", "unembed"),
        Rule("proj_out.weight", "unembed"),  # Whisper
    ),
    tied=True,
)

PROPHETNET = Architecture(
    name="prophetnet",
    model_types=("prophetnet",),
    layers=STACKS,
    in_layer=(
        *(
            Rule(f"{stored}.{name}.weight", f"{becomes}.{role}")
            for stored, becomes in (("self_attn", "attn"), ("cross_attn", "cross_attn"))
            for name, role in (("query_proj", "q"), ("key_proj", "k"), ("value_proj", "v"), ("out_proj", "o"))
        ),
        Rule("self_attn.relative_pos_embeddings.weight", None),
        Rule("feed_forward.intermediate.weight", "mlp.up"),
        Rule("feed_forward.output.weight", "mlp.down"),
    ),
    outside=(
        Rule("word_embeddings.weight", "embed"),
        Rule("{stack}.word_embeddings.weight", "embed"),
        Rule("{stack}.position_embeddings.weight", "pos_embed"),
        Rule("decoder.ngram_embeddings.weight", None),
        Rule("lm_head.weight", "unembed"),
    ),
    tied=True,
)
