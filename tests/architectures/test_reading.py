"""What names, order, prefixes and the user's wishes make of stored tensors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spectra_cli.architectures import ARCHITECTURES, layout
from spectra_cli.records import StoredTensor
from tests.support.stored import NEOX_CONFIG, named, names, neox, tensors

LAYER = ["attn.q", "attn.k", "attn.v", "attn.o", "mlp.up", "mlp.down"]


def test_matrices_come_in_the_order_in_which_a_reader_expects_them() -> None:
    result = layout(NEOX_CONFIG, neox(layers=11))
    in_layers = [f"layers.{layer}.{name}" for layer in range(11) for name in LAYER]
    assert names(result) == ["embed", *in_layers, "unembed"]
    assert [matrix.role for matrix in result.matrices][:8] == ["embed", "q", "k", "v", "o", "up", "down", "q"]
    assert [matrix.layer for matrix in result.matrices][:8] == [None, 0, 0, 0, 0, 0, 0, 1]


def test_experts_come_after_the_router_by_their_numbers() -> None:
    shapes = {f"model.layers.0.mlp.experts.{expert}.up_proj.weight": (6, 8) for expert in (10, 9, 0)}
    shapes |= {"model.layers.0.mlp.gate.weight": (11, 8), "model.layers.0.mlp.shared_expert.up_proj.weight": (6, 8)}
    shapes |= {"model.layers.0.self_attn.q_proj.weight": (8, 8)}
    result = layout({"model_type": "qwen2_moe"}, named(shapes))
    assert names(result) == [
        "layers.0.attn.q", "layers.0.router", "layers.0.experts.0.up", "layers.0.experts.9.up",
        "layers.0.experts.10.up", "layers.0.shared_expert.up",
    ]  # fmt: skip
    assert [matrix.expert for matrix in result.matrices] == [None, None, 0, 9, 10, None]


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "_orig_mod.gpt_neox.", "module.model._orig_mod.gpt_neox."])
def test_what_wrapped_the_model_does_not_matter(prefix: str) -> None:
    assert names(layout(NEOX_CONFIG, neox(prefix))) == names(layout(NEOX_CONFIG, neox()))


def test_fused_tensors_stay_whole_when_asked() -> None:
    result = layout(NEOX_CONFIG, neox(), fused=True)
    fused = next(matrix for matrix in result.matrices if matrix.name == "layers.0.attn.qkv")
    assert (fused.role, fused.rows, fused.cols, fused.layer) == ("other", 24, 8, 0)
    assert fused.view is None
    assert names(result)[:3] == ["embed", "layers.0.attn.qkv", "layers.0.attn.o"]


def test_fused_experts_stay_apart_from_each_other() -> None:
    config = {"model_type": "gpt_oss", "num_local_experts": 2}
    result = layout(config, tensors(model__layers__0__mlp__experts__gate_up_proj=(2, 8, 12)), fused=True)
    assert names(result) == ["layers.0.experts.0.gate_up", "layers.0.experts.1.gate_up"]
    assert [(matrix.rows, matrix.cols, matrix.role) for matrix in result.matrices] == [(12, 8, "other")] * 2


def test_a_nested_text_config_speaks_for_the_language_model_and_leaves_the_rest_its_names() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 8, "num_attention_heads": 2}
    shapes = {
        "language_model.model.layers.0.self_attn.q_proj.weight": (8, 8),
        "model.language_model.layers.1.self_attn.q_proj.weight": (8, 8),
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": (8, 8),
        "vision_tower.vision_model.embeddings.patch_embedding.weight": (8, 3, 2, 2),
    }
    result = layout({"model_type": "gemma3", "text_config": text}, named(shapes))
    assert names(result)[:2] == ["layers.0.attn.q", "layers.1.attn.q"]
    by_name = {matrix.name: matrix for matrix in result.matrices}
    tower = by_name["vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"]
    assert tower.role == "other"
    patches = by_name["vision_tower.vision_model.embeddings.patch_embedding"]
    assert (patches.rows, patches.cols) == (8, 12)
    assert len(result.notes) == 1


def test_a_tied_head_that_is_stored_all_the_same_is_left_out_with_its_reason() -> None:
    stored = tensors(transformer__wte__weight=(50, 8), lm_head__weight=(50, 8))
    result = layout({"model_type": "nanogpt"}, stored)
    assert names(result) == ["embed"]
    assert [skip.reason for skip in result.skipped] == ["tied: the same weights as the embedding"]
    untied = layout({"model_type": "gpt2", "tie_word_embeddings": False}, stored)
    assert names(untied) == ["embed", "unembed"]


def test_the_embeddings_of_encoder_and_decoder_are_left_out_where_they_are_the_shared_one() -> None:
    stored = named({f"{name}.weight": (50, 8) for name in (
        "shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head")})  # fmt: skip
    config = {"model_type": "t5", "tie_word_embeddings": False}
    result = layout(config, stored)
    assert names(result) == ["embed", "unembed"]
    assert {skip.reason for skip in result.skipped} == {"tied: the same weights as the embedding"}
    other = layout(config, stored, equal=lambda *_: False)
    assert names(other) == ["embed", "encoder.embed", "decoder.embed", "unembed"]
    whisper = named({"model.decoder.embed_tokens.weight": (50, 8), "proj_out.weight": (50, 8)})
    assert names(layout({"model_type": "whisper"}, whisper)) == ["decoder.embed"]


def test_a_towers_embeddings_come_before_its_layers_and_after_the_language_model() -> None:
    shapes = {f"vision_tower.encoder.layers.{layer}.mlp.fc1.weight": (9, 8) for layer in (0, 1)}
    shapes |= {"vision_tower.embeddings.position_embedding.weight": (5, 8), "lm_head.weight": (50, 8)}
    config = {"model_type": "llava", "text_config": {"model_type": "llama"}, "vision_config": {"model_type": "clip"}}
    assert names(layout(config, named(shapes))) == [
        "unembed", "vision.pos_embed", "vision.layers.0.mlp.up", "vision.layers.1.mlp.up",
    ]  # fmt: skip


def test_two_tensors_with_one_canonical_name_are_both_kept_and_said() -> None:
    stored = tensors(model__norm__q=(4, 4), model__embed_tokens__weight=(50, 8), embed_tokens__weight=(50, 8))
    result = layout({"model_type": "llama"}, stored)
    assert sorted(names(result)) == ["embed", "embed_tokens", "model.norm.q"]
    assert result.notes[-1].startswith("embed_tokens.weight is kept under the stored name")


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "reason"),
    [
        ("model.norm.weight", (8,), "float32", "vector"),
        ("logit_scale", (), "float32", "scalar"),
        ("model.layers.0.mlp.up_proj.weight", (0, 8), "float32", "empty"),
        ("transformer.h.0.attn.bias", (1, 1, 8, 8), "bool", "mask: a buffer of the attention"),
        ("transformer.h.0.attn.masked_bias", (), "float32", "mask: a buffer of the attention"),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (4,), "float32", "vector"),
        ("model.layers.0.mlp.up_proj.weight", (8, 8), "int8", "integer: a mask or packed weights, not a matrix"),
        ("model.layers.0.mlp.up_proj.weight", (8, 8), "bool", "integer: a mask or packed weights, not a matrix"),
        ("model.layers.0.mlp.up_proj.weight", (8, 8), "complex64", "complex"),
        ("model.layers.0.mlp.up_proj.weight_scale_inv", (8, 8), "float32", "scale of a quantised weight"),
        ("optimizer.state.0.exp_avg", (8, 8), "float32", "optimizer state"),
        ("model.layers.0.mixer.A", (8, 8, 8), "float32", "3 axes, and no rule of llama speaks of it"),
        ("model.layers.0.mlp.up_proj.weight", (2**31, 8), "float32",
         "larger than the table can say (2,147,483,647 rows or columns)"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_skipped_with_its_reason(
    name: str, shape: tuple[int, ...], dtype: str, reason: str
) -> None:
    result = layout({"model_type": "llama"}, {name: StoredTensor(name, shape, dtype)})
    assert result.matrices == ()
    assert [(skip.tensor, skip.reason) for skip in result.skipped] == [(name, reason)]


def test_a_convolution_is_flattened_to_outputs_by_inputs_times_kernel() -> None:
    result = layout({}, tensors(backbone__layers__3__mixer__conv1d__weight=(16, 2, 4)))
    (matrix,) = result.matrices
    assert (matrix.rows, matrix.cols, matrix.view, matrix.layer) == (16, 8, (16, 8), 3)


def test_an_unknown_family_keeps_its_names_and_says_what_was_assumed() -> None:
    stored = tensors(
        encoder__blocks__3__self_attn__q_proj__weight=(8, 8), encoder__blocks__3__mixer__weight=(8, 8),
        encoder__blocks__3__c_attn__weight=(24, 8), lm_head__weight=(50, 8),
    )  # fmt: skip
    result = layout({"model_type": "strange"}, stored)
    assert result.architecture == "unknown"
    assert {(matrix.name, matrix.role, matrix.layer) for matrix in result.matrices} == {
        ("encoder.blocks.3.self_attn.q_proj", "other", 3),
        ("encoder.blocks.3.mixer", "other", 3),
        ("encoder.blocks.3.c_attn", "other", 3),
        ("lm_head", "other", None),
    }
    assumed, fused = result.notes
    assert "'strange'" in assumed
    assert assumed.endswith("with role other")
    assert fused.startswith("encoder.blocks.3.c_attn.weight looks fused and is kept whole")


@pytest.mark.parametrize(
    "name",
    [
        "h.0.SelfAttention.q.weight", "h.0.DenseReluDense.wo.weight", "h.0.mixer.out_proj.weight",
        "h.0.linear_attn.out_proj.weight", "h.0.self_attn.k_proj.weight", "h.0.fc1.weight", "lm_head.weight", "router",
    ],
)  # fmt: skip
@pytest.mark.parametrize("config", [{}, {"model_type": "strange"}, {"hidden_size": 8}], ids=str)
def test_a_name_says_no_role_without_a_rule(name: str, config: dict[str, object]) -> None:
    result = layout(config, named({name: (8, 8)}))
    assert [matrix.role for matrix in result.matrices] == ["other"]
    assert "role other" in result.notes[0]


def test_without_a_config_a_fused_tensor_is_kept_whole_and_the_note_says_what_would_split_it() -> None:
    result = layout({}, neox(layers=2))
    fused = [matrix for matrix in result.matrices if matrix.tensor.endswith("query_key_value.weight")]
    assert [(matrix.role, matrix.rows) for matrix in fused] == [("other", 24)] * 2
    note = result.notes[-1]
    assert note.startswith("gpt_neox.layers.0.attention.query_key_value.weight and 1 more look fused")
    assert "--arch gpt_neox (with heads and head_dim from a config.json" in note
    assert "bloom" not in note  # its names are others
    assert "--arch FILE.toml" in note


def test_nothing_that_a_config_points_to_is_followed() -> None:
    config = NEOX_CONFIG | {"auto_map": {"AutoModel": "evil--evil.Model"}, "architectures": ["Evil"]}
    assert layout(config, neox()) == layout(NEOX_CONFIG, neox())


def test_neither_torch_nor_transformers_is_imported() -> None:
    code = "import sys, spectra_cli.architectures; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_architecture_has_a_name_of_its_own_and_every_model_type_one_record() -> None:
    model_types = [model_type for record in ARCHITECTURES for model_type in record.model_types]
    assert len(set(model_types)) == len(model_types)
    assert len({record.name for record in ARCHITECTURES}) == len(ARCHITECTURES)


@pytest.mark.slow
def test_a_hundred_thousand_experts_are_read_in_seconds() -> None:
    shapes = {
        f"model.layers.{layer}.mlp.experts.{expert}.{kind}_proj.weight": (4, 4)
        for layer in range(50) for expert in range(256) for kind in ("gate", "up", "down")
    }  # fmt: skip
    result = layout({"model_type": "qwen3_moe"}, named(shapes))
    assert len(result.matrices) == 38_400
