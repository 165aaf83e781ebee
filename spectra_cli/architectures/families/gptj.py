"""GPT-J, GPT-Neo, CodeGen, and BERT with its relatives: each matrix by itself, or in CodeGen's four groups."""

from __future__ import annotations

from spectra_cli.architectures.families.gpt2 import THREE_BLOCKS
from spectra_cli.architectures.families.neox import GATE_UP
from spectra_cli.architectures.record import Architecture, Rule, Split

OUTSIDE = (
    Rule("wte.weight", "embed"),
    Rule("wpe.weight", "pos_embed"),
    Rule("lm_head.weight", "unembed"),
)

GPTJ = Architecture(
    name="gptj",
    model_types=("gptj",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.q_proj.weight", "attn.q"),
        Rule("attn.k_proj.weight", "attn.k"),
        Rule("attn.v_proj.weight", "attn.v"),
        Rule("attn.out_proj.weight", "attn.o"),
        Rule("mlp.fc_in.weight", "mlp.up"),
        Rule("mlp.fc_out.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
)

GPT_NEO = Architecture(
    name="gpt_neo",
    model_types=("gpt_neo",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.attention.q_proj.weight", "attn.q"),
        Rule("attn.attention.k_proj.weight", "attn.k"),
        Rule("attn.attention.v_proj.weight", "attn.v"),
        Rule("attn.attention.out_proj.weight", "attn.o"),
        Rule("mlp.c_fc.weight", "mlp.up"),
        Rule("mlp.c_proj.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
    tied=True,
)

# Laid out for the four processor cores that it was trained on; in each, q, then v, then k.
FOUR_GROUPS = Split(
    "four groups, q v k",
    "4 3 hidden//4, hidden",
    (("attn.q", ":, 0"), ("attn.k", ":, 2"), ("attn.v", ":, 1")),
)

CODEGEN = Architecture(
    name="codegen",
    model_types=("codegen",),
    layers=("h.{layer}.",),
    in_layer=(
        Rule("attn.qkv_proj.weight", "attn.qkv", FOUR_GROUPS),
        Rule("attn.out_proj.weight", "attn.o"),
        Rule("mlp.fc_in.weight", "mlp.up"),
        Rule("mlp.fc_out.weight", "mlp.down"),
    ),
    outside=OUTSIDE,
)

BERT = Architecture(
    name="bert",
    model_types=(
        "bert", "roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text",
        "electra", "ernie", "bert-generation", "megatron-bert", "roc_bert", "rembert", "roformer", "big_bird",
        "align_text_model", "bridgetower_text_model", "bros", "chinese_clip_text_model", "clap_text_model", "fnet",
        "layoutlm", "mra", "nystromformer", "splinter", "tapas", "visual_bert", "yoso",
        "esm", "longformer", "luke", "markuplm",
    ),
    layers=("encoder.layer.{layer}.",),
    in_layer=(
        Rule("attention.self.query.weight", "attn.q"),
        Rule("attention.self.key.weight", "attn.k"),
        Rule("attention.self.value.weight", "attn.v"),
        Rule("attention.output.dense.weight", "attn.o"),
        Rule("intermediate.dense.weight", "mlp.up"),
        Rule("output.dense.weight", "mlp.down"),
        # Longformer's for tokens that attend to all others; LUKE's from words to entities and back.
        Rule("attention.self.query_global.weight", "global_attn.q"),
        Rule("attention.self.key_global.weight", "global_attn.k"),
        Rule("attention.self.value_global.weight", "global_attn.v"),
        *(Rule(f"attention.self.{pair}_query.weight", None) for pair in ("w2e", "e2w", "e2e")),
    ),
    outside=(
        Rule("embeddings.word_embeddings.weight", "embed"),
        Rule("embeddings.position_embeddings.weight", "pos_embed"),
        Rule("cls.predictions.decoder.weight", "unembed"),
        Rule("lm_head.decoder.weight", "unembed"),
        Rule("generator_lm_head.weight", "unembed"),
        Rule("encoder.embed_positions.weight", "pos_embed"),
        Rule("embeddings.token_type_embeddings.weight", None),
        Rule("embeddings.pronunciation_embed.weight", None),
        Rule("embeddings.shape_embed.weight", None),
        Rule("embeddings.map_inputs_layer.weight", None),
        Rule("embeddings_project.weight", None),
        Rule("encoder.embedding_hidden_mapping_in.weight", None),
        Rule("generator_predictions.dense.weight", None),
        Rule("cls.predictions.dense.weight", None),
        Rule("pooler.weight", None),
        Rule("cls.predictions.transform.dense.weight", None),
        Rule("lm_head.dense.weight", None),
        Rule("pooler.dense.weight", None),
        Rule("cls.seq_relationship.weight", None),
    ),
    tied=True,
)  # fmt: skip

MODERNBERT = Architecture(
    name="modernbert",
    model_types=("modernbert", "modernbert-decoder"),
    layers=("layers.{layer}.",),
    in_layer=(
        Rule("attn.Wqkv.weight", "attn.qkv", THREE_BLOCKS),
        Rule("attn.q_proj.weight", "attn.q"),
        Rule("attn.k_proj.weight", "attn.k"),
        Rule("attn.v_proj.weight", "attn.v"),
        Rule("attn.Wo.weight", "attn.o"),
        Rule("mlp.Wi.weight", "mlp.gate_up", GATE_UP),
        Rule("mlp.Wo.weight", "mlp.down"),
    ),
    outside=(
        Rule("embeddings.tok_embeddings.weight", "embed"),
        Rule("decoder.weight", "unembed"),
        Rule("lm_head.dense.weight", None),
        Rule("head.dense.weight", None),
    ),
    tied=True,
)
