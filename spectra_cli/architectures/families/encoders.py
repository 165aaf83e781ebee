"""Encoders of text under names that are not BERT's: DistilBERT, DeBERTa, MPNet, XLM, and those that took up Llama's."""

from __future__ import annotations

from spectra_cli.architectures.families.gptj import BERT
from spectra_cli.architectures.families.neox import BY_HEAD
from spectra_cli.architectures.record import Architecture, Rule

DISTILBERT = Architecture(
    name="distilbert",
    model_types=("distilbert",),
    layers=("layer.{layer}.",),
    in_layer=(
        Rule("attention.q_lin.weight", "attn.q"),
        Rule("attention.k_lin.weight", "attn.k"),
        Rule("attention.v_lin.weight", "attn.v"),
        Rule("attention.out_lin.weight", "attn.o"),
        Rule("ffn.lin1.weight", "mlp.up"),
        Rule("ffn.lin2.weight", "mlp.down"),
    ),
    outside=(
        *BERT.outside,
        Rule("vocab_projector.weight", "unembed"),
        Rule("vocab_transform.weight", None),
        Rule("pre_classifier.weight", None),
        Rule("classifier.weight", None),
    ),
    tied=True,
)

DEBERTA = Architecture(
    name="deberta",
    model_types=("deberta", "deberta-v2"),
    layers=("encoder.layer.{layer}.",),
    in_layer=(
        # The first version keeps q, k and v in one, head by head.
        Rule("attention.self.in_proj.weight", "attn.qkv", BY_HEAD),
        Rule("attention.self.query_proj.weight", "attn.q"),
        Rule("attention.self.key_proj.weight", "attn.k"),
        Rule("attention.self.value_proj.weight", "attn.v"),
        *(Rule(f"attention.self.{name}.weight", None) for name in (
            "pos_proj", "pos_q_proj", "pos_key_proj", "pos_query_proj", "head_logits_proj", "head_weights_proj")),
        Rule("attention.output.dense.weight", "attn.o"),
        Rule("intermediate.dense.weight", "mlp.up"),
        Rule("output.dense.weight", "mlp.down"),
    ),
    outside=(
        *BERT.outside,
        Rule("encoder.rel_embeddings.weight", None),
        Rule("embeddings.embed_proj.weight", None),
        Rule("lm_predictions.lm_head.dense.weight", None),
    ),
    tied=True,
)  # fmt: skip

MPNET = Architecture(
    name="mpnet",
    model_types=("mpnet",),
    layers=("encoder.layer.{layer}.",),
    in_layer=(
        *(Rule(f"attention.attn.{role}.weight", f"attn.{role}") for role in "qkvo"),
        Rule("intermediate.dense.weight", "mlp.up"),
        Rule("output.dense.weight", "mlp.down"),
    ),
    outside=(*BERT.outside, Rule("encoder.relative_attention_bias.weight", None)),
    tied=True,
)

# One group of layers, which the model goes through again and again.
ALBERT = Architecture(
    name="albert",
    model_types=("albert",),
    layers=("encoder.albert_layer_groups.0.albert_layers.{layer}.",),
    in_layer=(
        Rule("attention.query.weight", "attn.q"),
        Rule("attention.key.weight", "attn.k"),
        Rule("attention.value.weight", "attn.v"),
        Rule("attention.dense.weight", "attn.o"),
        Rule("ffn.weight", "mlp.up"),
        Rule("ffn_output.weight", "mlp.down"),
    ),
    outside=(
        *BERT.outside,
        Rule("predictions.dense.weight", None),
        Rule("predictions.decoder.weight", "unembed"),
    ),
    tied=True,
)

# Attentions and feed-forward parts lie in lists of their own.
XLM = Architecture(
    name="xlm",
    model_types=("xlm", "flaubert"),
    layers=("attentions.{layer}.", "ffns.{layer}."),
    in_layer=(
        Rule("q_lin.weight", "attn.q"),
        Rule("k_lin.weight", "attn.k"),
        Rule("v_lin.weight", "attn.v"),
        Rule("out_lin.weight", "attn.o"),
        Rule("lin1.weight", "mlp.up"),
        Rule("lin2.weight", "mlp.down"),
    ),
    outside=(
        Rule("embeddings.weight", "embed"),
        Rule("position_embeddings.weight", "pos_embed"),
        Rule("lang_embeddings.weight", None),
        Rule("pred_layer.proj.weight", "unembed"),
    ),
    tied=True,
)
