"""Axes that lie the other way round than a rule says: the sizes decide, a note tells, a contradiction is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spectra_cli.architectures import cut, layout
from spectra_cli.errors import SpectraError
from spectra_cli.records import Layout, StoredTensor

Arrays = dict[str, NDArray[np.float64]]
EXPERTS, HIDDEN, INNER = 3, 20, 12
SIZES = {"hidden_size": HIDDEN, "moe_intermediate_size": INNER, "num_experts": EXPERTS, "num_local_experts": EXPERTS}
PREFIX = "model.layers.0.mlp.experts."


def numbers(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def read(config: dict[str, Any], arrays: Arrays) -> tuple[Arrays, Layout]:
    stored = {name: StoredTensor(name, array.shape, "float32") for name, array in arrays.items()}
    found = layout(config, stored)
    return {matrix.name: cut(arrays[matrix.tensor], matrix) for matrix in found.matrices}, found


def experts(hidden: int = HIDDEN, inner: int = INNER) -> tuple[NDArray[np.float64], ...]:
    return numbers(EXPERTS, inner, hidden), numbers(EXPERTS, inner, hidden) + 1, numbers(EXPERTS, hidden, inner)


def stacks(model_type: str, gate: Any, up: Any, down: Any, *, out_first: bool) -> Arrays:
    """Return the experts as a family packs them, [experts, out, in] or [experts, in, out]."""
    into = np.stack([gate, up], 2).reshape(EXPERTS, -1, gate.shape[2]) if model_type == "gpt_oss" else None
    into = np.concatenate([gate, up], 1) if into is None else into
    prefix = PREFIX.replace("mlp", "feed_forward") if model_type == "llama4_text" else PREFIX
    both = {f"{prefix}gate_up_proj": into, f"{prefix}down_proj": down}
    return both if out_first else {name: array.transpose(0, 2, 1).copy() for name, array in both.items()}


@pytest.mark.parametrize("out_first", [True, False])
@pytest.mark.parametrize("model_type", ["qwen3_moe", "qwen3_vl_moe_text", "mixtral", "gpt_oss", "llama4_text"])
@pytest.mark.parametrize(
    ("hidden", "inner"), [(20, 12), (12, 12), (24, 12)], ids=["", "down is square", "gate above up is square"]
)
@pytest.mark.parametrize("sizes", [True, False], ids=["sizes in the config", "only the number of experts"])
def test_packed_experts_are_read_the_way_their_sizes_say(model_type, out_first, hidden, inner, sizes) -> None:
    gate, up, down = experts(hidden, inner)
    known = {"hidden_size": hidden, "moe_intermediate_size": inner, "intermediate_size": inner} if sizes else {}
    config = {"model_type": model_type, **known, "num_experts": EXPERTS, "num_local_experts": EXPERTS}
    matrices, found = read(config, stacks(model_type, gate, up, down, out_first=out_first))
    for expert in range(EXPERTS):
        for role, whole in (("gate", gate), ("up", up), ("down", down)):
            np.testing.assert_array_equal(matrices[f"layers.0.experts.{expert}.{role}"], whole[expert])
    usual = model_type not in ("gpt_oss", "llama4_text")
    assert any("turned" in note for note in found.notes) == (out_first != usual)
    assert not any("fit both ways" in note for note in found.notes)


def test_a_stack_by_itself_is_read_as_the_config_says_or_with_a_note_on_what_was_assumed() -> None:
    config = {"model_type": "qwen3_moe", "hidden_size": HIDDEN, "num_experts": EXPERTS}
    name, square = f"{PREFIX}down_proj", numbers(EXPERTS, HIDDEN, HIDDEN)
    turned = numbers(EXPERTS, INNER, HIDDEN)
    np.testing.assert_array_equal(read(config, {name: turned})[0]["layers.0.experts.1.down"], turned[1].T)
    matrices, found = read(config, {name: square})
    np.testing.assert_array_equal(matrices["layers.0.experts.1.down"], square[1])
    assert [note for note in found.notes if "fit both ways round" in note]


def test_experts_that_fit_the_config_neither_way_are_refused_with_the_numbers() -> None:
    gate, up, down = experts()
    arrays = stacks("qwen3_moe", gate, up, down, out_first=True)
    with pytest.raises(SpectraError, match=r"gate_up_proj \[3, 24, 20\].*hidden is 28 in the config.* 24 and 20"):
        read({"model_type": "qwen3_moe", **SIZES, "hidden_size": 28}, arrays)


@pytest.mark.parametrize("role", ["gate", "up", "down"])
def test_a_layer_whose_sides_are_those_of_the_config_in_reverse_is_turned(role: str) -> None:
    config = {"model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER}
    right = numbers(HIDDEN, INNER) if role == "down" else numbers(INNER, HIDDEN)
    name = f"model.layers.0.mlp.{role}_proj.weight"
    for stored in (right, right.T.copy()):
        np.testing.assert_array_equal(read(config, {name: stored})[0][f"layers.0.mlp.{role}"], right)
    assert "turned" in read(config, {name: right.T})[1].notes[0]


@pytest.mark.parametrize("model_type", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v"])
def test_a_model_of_images_and_text_is_known_by_its_flat_config_as_by_its_nested_one(model_type: str) -> None:
    weight = {"model.layers.0.self_attn.q_proj.weight": numbers(HIDDEN, HIDDEN)}
    nested = {"model.language_model." + name.removeprefix("model."): array for name, array in weight.items()}
    flat, _ = read({"model_type": model_type, "hidden_size": HIDDEN}, weight)
    other, _ = read({"model_type": model_type, "text_config": {"model_type": f"{model_type}_text"}}, nested)
    assert list(flat) == list(other) == ["layers.0.attn.q"]
