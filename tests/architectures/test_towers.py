"""Towers of models of several kinds of input: names, sizes and records of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from spectra_cli.architectures import cut, layout
from spectra_cli.records import StoredTensor
from tests.support.small_configs import small_config
from tests.support.stored import named, names

TEXT = {"model_type": "qwen2", "hidden_size": 8, "num_attention_heads": 2}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 8, "num_attention_heads": 4}


@pytest.mark.parametrize(
    "prefix", ["vision_tower.vision_model.", "model.vision_tower.", "vision_model.", "module.model.vision_tower."]
)
def test_a_tower_has_its_own_names_whatever_wraps_it(prefix: str) -> None:
    shapes = {
        "model.layers.0.self_attn.q_proj.weight": (8, 8),
        f"{prefix}encoder.layers.0.self_attn.q_proj.weight": (8, 8),
        f"{prefix}encoder.layers.0.self_attn.out_proj.weight": (8, 8),
        f"{prefix}encoder.layers.0.mlp.fc1.weight": (16, 8),
    }
    result = layout({"model_type": "llava", "text_config": TEXT, "vision_config": CLIP}, named(shapes))
    assert names(result) == [
        "layers.0.attn.q", "vision.layers.0.attn.q", "vision.layers.0.attn.o", "vision.layers.0.mlp.up",
    ]  # fmt: skip
    assert [matrix.role for matrix in result.matrices] == ["q", "q", "o", "up"]
    assert not result.notes


@pytest.mark.parametrize("vision", [{"model_type": "qwen2_5_vl"}, {"model_type": "qwen2_5_vl_vision"}, {"depth": 2}])
def test_a_tower_whose_config_repeats_or_lacks_the_models_type_is_known_all_the_same(
    vision: dict[str, Any],
) -> None:
    shapes = {"visual.blocks.1.attn.qkv.weight": (24, 8), "visual.blocks.1.mlp.gate_proj.weight": (12, 8)}
    result = layout({"model_type": "qwen2_5_vl", "vision_config": vision}, named(shapes))
    assert names(result) == [f"vision.layers.1.{part}" for part in ("attn.q", "attn.k", "attn.v", "mlp.gate")]


def test_a_tower_of_grouped_queries_is_cut_by_its_heads() -> None:
    vision = {"model_type": "exaone4_5_vision", "hidden_size": 8, "num_heads": 4, "num_key_value_heads": 2}
    text = {"model_type": "exaone4", "hidden_size": 8, "num_attention_heads": 2}
    shapes = {"model.visual.blocks.0.attn.qkv.weight": (16, 8)}
    result = layout({"model_type": "exaone4_5", "text_config": text, "vision_config": vision}, named(shapes))
    assert [(m.name, m.rows) for m in result.matrices] == [
        ("vision.layers.0.attn.q", 8), ("vision.layers.0.attn.k", 4), ("vision.layers.0.attn.v", 4),
    ]  # fmt: skip


def test_a_tower_without_a_record_keeps_its_names_and_no_role() -> None:
    shapes = {"vision_tower.layers.0.self_attn.q_proj.weight": (8, 8)}
    result = layout({"model_type": "llava", "text_config": TEXT, "vision_config": {"model_type": "new"}}, named(shapes))
    (matrix,) = result.matrices
    assert (matrix.name, matrix.role) == ("vision_tower.layers.0.self_attn.q_proj", "other")
    assert "no rule" in result.notes[0]


@pytest.mark.parametrize("model_type", ["llava", "gemma3", "qwen2_5_vl", "qwen2_audio", "clip"])
def test_a_tower_in_a_model_is_read_as_it_is_by_itself(model_type: str) -> None:
    """The same matrices, entry by entry, as the tower alone has under its own config."""
    with torch.device("meta"):
        config = small_config(model_type)
        model = transformers.AutoModel.from_config(config)
    prefix, kind = ("audio_tower", "audio") if model_type == "qwen2_audio" else ("vision_tower", "vision")
    prefix = {"qwen2_5_vl": "visual", "clip": "vision_model"}.get(model_type, prefix)
    state = {name: torch.arange(t.numel()).reshape(t.shape) for name, t in model.state_dict().items()}
    tower = {n.removeprefix(f"{prefix}."): t for n, t in state.items() if n.startswith(f"{prefix}.")}
    inside = _matrices(config.to_dict(), state)
    alone = _matrices(getattr(config, f"{kind}_config").to_dict(), tower)
    assert any(name.startswith("layers.") for name in alone)
    assert {name: values for name, values in inside.items() if name.startswith(f"{kind}.")} == {
        f"{kind}.{name}": values for name, values in alone.items()
    }


def _matrices(config: dict[str, Any], state: dict[str, torch.Tensor]) -> dict[str, Any]:
    stored = {name: StoredTensor(name, tuple(tensor.shape), "float32") for name, tensor in state.items()}
    result = layout(config, stored)
    return {m.name: cut(state[m.tensor], m).tolist() for m in result.matrices if m.role != "other"}
