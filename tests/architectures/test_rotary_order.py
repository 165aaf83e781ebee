"""Rows of q and k that Meta and Hugging Face order differently: brought into one order, or said to differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spectra_cli.architectures import cut, cut_factors, from_toml, layout, load, to_toml
from spectra_cli.errors import SpectraError
from spectra_cli.records import Layout, Matrix, StoredTensor

HIDDEN, HEADS, KV_HEADS, HEAD = 24, 6, 2, 4
ROWS = {"q": HEADS * HEAD, "k": KV_HEADS * HEAD, "v": KV_HEADS * HEAD}
SIZES = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS}
META = {"q": "layers.0.attention.wq.weight", "k": "layers.0.attention.wk.weight", "v": "layers.0.attention.wv.weight"}
TUNE = {role: f"layers.0.attn.{role}_proj.weight" for role in "qkv"}
TUNE_OUT = {"layers.0.attn.output_proj.weight": np.zeros((HIDDEN, HIDDEN))}
Arrays = dict[str, NDArray[np.float64]]


def rotated(x: NDArray[np.float64], position: int, *, pairs: bool) -> NDArray[np.float64]:
    """Apply the rotary embedding to (heads, head): to neighbours, as Meta does, or to halves, as Hugging Face does."""
    angles = position * 100.0 ** -(np.arange(HEAD // 2) / (HEAD // 2))
    first, second = (x[:, ::2], x[:, 1::2]) if pairs else (x[:, : HEAD // 2], x[:, HEAD // 2 :])
    turned = (first * np.cos(angles) - second * np.sin(angles), first * np.sin(angles) + second * np.cos(angles))
    return np.stack(turned, 2).reshape(x.shape) if pairs else np.concatenate(turned, 1)


def weights() -> Arrays:
    return {role: np.random.default_rng(rows).standard_normal((rows, HIDDEN)) for role, rows in ROWS.items()}


def read(config: dict[str, Any], arrays: Arrays) -> tuple[Arrays, Layout]:
    stored = {name: StoredTensor(name, array.shape, "float32") for name, array in arrays.items()}
    found = layout(config, stored)
    return {m.role: cut(arrays[m.tensor], m) for m in found.matrices if m.role in ROWS}, found


@pytest.mark.parametrize("names", [META, TUNE], ids=["meta", "torchtune"])
@pytest.mark.parametrize("known", [{"model_type": "llama"}, {}], ids=["beside a config of the Hub", "by names alone"])
def test_attention_computed_in_the_canonical_order_is_that_of_metas_own(names, known) -> None:
    own = weights()
    found, result = read(known | SIZES, {names[role]: array for role, array in own.items()} | TUNE_OUT)
    assert not [note for note in result.notes if "rotary" in note]
    x, y = np.random.default_rng(0).standard_normal((2, HIDDEN))

    def scores(matrices: Arrays, *, pairs: bool) -> NDArray[np.float64]:
        q = rotated((matrices["q"] @ x).reshape(HEADS, HEAD), 7, pairs=pairs)
        k = rotated((matrices["k"] @ y).reshape(KV_HEADS, HEAD), 3, pairs=pairs)
        return np.einsum("hd,hd->h", q, np.repeat(k, HEADS // KV_HEADS, 0))

    np.testing.assert_allclose(scores(found, pairs=False), scores(own, pairs=True), rtol=1e-12)
    np.testing.assert_array_equal(found["v"], own["v"])


def test_without_heads_the_rows_stay_as_stored_and_a_note_says_so() -> None:
    own = weights()
    found, result = read({}, {META[role]: array for role, array in own.items()})
    for role in ROWS:
        np.testing.assert_array_equal(found[role], own[role])
    assert [note for note in result.notes if "layers.0.attention.wq.weight and 1 more" in note and "heads" in note]


def test_heads_that_do_not_divide_the_rows_are_refused() -> None:
    with pytest.raises(SpectraError, match="24 does not divide by 5"):
        read(SIZES | {"num_attention_heads": 5}, {META["q"]: weights()["q"]})


def test_the_order_is_undone_in_the_factors_of_a_change_too() -> None:
    whole = weights()["q"]
    b, a = whole[:, :3], np.random.default_rng(1).standard_normal((3, HIDDEN))
    (matrix,) = layout(SIZES, {META["q"]: StoredTensor(META["q"], whole.shape, "float32")}).matrices
    left, right = cut_factors(b, a, matrix)
    np.testing.assert_allclose(left @ right, cut(b @ a, matrix), atol=1e-12)


def test_a_record_with_an_order_survives_its_toml() -> None:
    for name in ("meta_llama", "torchtune", "megatron", "litgpt", "nanotron"):
        assert from_toml(to_toml(load(name))) == load(name)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_factors_of_one_row_or_one_column_are_taken_whole(shape: tuple[int, int]) -> None:
    matrix = Matrix("layers.0.mlp.up", "up", "up.weight", *shape)
    b, a = np.arange(shape[0] * 2.0).reshape(-1, 2), np.arange(shape[1] * 2.0).reshape(2, -1)
    left, right = cut_factors(b, a, matrix)
    np.testing.assert_array_equal(left @ right, b @ a)
