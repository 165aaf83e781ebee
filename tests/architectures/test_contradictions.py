"""A config and shapes that contradict each other are an error that names both, never a silent wrong split."""

from __future__ import annotations

from typing import Any

import pytest

from spectra_cli.architectures import layout
from spectra_cli.errors import SpectraError
from tests.support.stored import NEOX_CONFIG, named

QKV = "gpt_neox.layers.0.attention.query_key_value.weight"


def failure(config: dict[str, Any], name: str, *shape: int) -> SpectraError:
    with pytest.raises(SpectraError) as caught:
        layout(config, named({name: shape}))
    assert name in caught.value.message
    assert "--fused" in caught.value.hint
    assert "--arch" in caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("change", "shape", "expected"),
    [
        ({"num_attention_heads": 3}, (24, 8), "8 does not divide by 3"),
        ({"num_attention_heads": 0}, (24, 8), "num_attention_heads is '0'"),
        ({"num_attention_heads": True}, (24, 8), "num_attention_heads is 'True'"),
        ({"num_attention_heads": [2, 4]}, (24, 8), "num_attention_heads is '[2, 4]'"),
        ({"num_attention_heads": None}, (24, 8), "the config does not give heads (looked for num_attention_heads"),
        ({"hidden_size": 16}, (24, 8), "heads 3 head_dim is 48, the axis 24"),
        ({}, (25, 8), "heads 3 head_dim is 24, the axis 25"),
        ({}, (2, 12, 8), "the rule has 2 axes, the tensor 3"),
        ({"hidden_size": 10**400}, (24, 8), "hidden_size is '1000"),
    ],
)
def test_numbers_that_do_not_fit_are_named(change: dict[str, Any], shape: tuple[int, ...], expected: str) -> None:
    message = failure(NEOX_CONFIG | change, QKV, *shape).message
    assert expected in message
    assert str(list(shape)) in message
    assert "by head: heads 3 head_dim, *" in message


def test_a_linear_layer_is_not_taken_for_gpt2s_conv1d() -> None:
    message = failure({"model_type": "gpt2", "n_embd": 8}, "transformer.h.0.attn.c_attn.weight", 24, 8).message
    assert "hidden is 8, the axis 24" in message


def test_falcon_40b_with_the_shapes_of_7b_is_not_split() -> None:
    config = {"model_type": "falcon", "hidden_size": 8, "num_attention_heads": 4, "new_decoder_architecture": True}
    name = "transformer.h.0.self_attention.query_key_value.weight"
    assert "kv_heads heads//kv_heads+2 head_dim is 24, the axis 12" in failure(config, name, 12, 8).message


def test_an_odd_number_of_rows_is_not_gate_and_up() -> None:
    assert (
        "7 does not divide by 2"
        in failure({"model_type": "phi3"}, "model.layers.0.mlp.gate_up_proj.weight", 7, 4).message
    )


def test_experts_that_the_config_counts_otherwise_are_not_taken_apart() -> None:
    config = {"model_type": "qwen3_moe", "num_experts": 4}
    assert "experts is 4, the axis 3" in failure(config, "model.layers.0.mlp.experts.gate_up_proj", 3, 8, 4).message


def test_a_hostile_number_of_experts_makes_no_hostile_number_of_records() -> None:
    config = {"model_type": "qwen3_moe", "num_experts": 10**9}
    message = failure(config, "model.layers.0.mlp.experts.gate_up_proj", 10**9, 2, 1).message
    assert "1000000000 experts are more than" in message


def test_whole_tensors_ask_nothing_of_the_config() -> None:
    result = layout({"model_type": "gpt_neox"}, named({QKV: (25, 8)}), fused=True)
    assert [(matrix.name, matrix.rows, matrix.cols) for matrix in result.matrices] == [("layers.0.attn.qkv", 25, 8)]
