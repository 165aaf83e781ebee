"""Records that users write: `--arch FILE.toml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_cli.architectures import (
    ARCHITECTURES,
    Architecture,
    Rule,
    Split,
    from_toml,
    layout,
    load,
    to_toml,
)
from spectra_cli.architectures.matching import once_each
from spectra_cli.errors import SpectraError
from tests.support.docs_scripts import docs_script
from tests.support.stored import names, tensors

PAGE = docs_script("architectures_page")
OWN = """
name = "own"
layers = ["encoder.block{layer}."]

[dimensions]
heads = "towers"
hidden = 8

[[in_layer]]
stored = "mix"
becomes = "attn.qkv"
split = "by tower"
view = "*, heads 3 hidden//heads"
parts = { "attn.q" = ":, :, 0", "attn.k" = ":, :, 1", "attn.v" = ":, :, 2" }
transposed = true
when = ["mixed", true]

[[in_layer]]
stored = "table"
"""


@pytest.mark.parametrize("record", ARCHITECTURES, ids=lambda record: record.name)
def test_every_record_survives_its_toml(record: Architecture) -> None:
    assert from_toml(to_toml(record)) == record


TEXT = st.text(max_size=20)


def pairs(values: st.SearchStrategy[Any], at_least: int = 0) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    return st.dictionaries(TEXT, values, min_size=at_least, max_size=3).map(lambda mapping: tuple(mapping.items()))


SPLITS = st.builds(Split, TEXT, TEXT, pairs(TEXT, 1), TEXT, TEXT)
WHEN = st.tuples(TEXT, st.booleans() | st.integers(0, 9) | TEXT)
RULES = st.builds(Rule, TEXT.filter(once_each), st.none() | TEXT, st.none() | SPLITS, st.booleans(), st.none() | WHEN)
STRINGS = st.lists(TEXT, max_size=2).map(tuple)
LAYER = TEXT.map("{{layer}}.{}".format).filter(lambda name: once_each(name, "layer"))
LAYERS = st.lists(LAYER, max_size=2).map(tuple)
SOME_RULES = st.lists(RULES, max_size=2).map(tuple)
DIMENSIONS = pairs(TEXT | st.integers(1, 99))
RECORDS = st.builds(Architecture, TEXT, STRINGS, LAYERS, SOME_RULES, SOME_RULES, DIMENSIONS, st.booleans(), STRINGS)


@given(RECORDS)
def test_any_record_survives_its_toml(record: Architecture) -> None:
    assert from_toml(to_toml(record)) == record


def test_a_model_of_ones_own_is_read_by_ones_own_record(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    stored = tensors(encoder__block3__mix=(8, 24), encoder__block3__table=(5, 8), encoder__other=(5, 8))
    result = layout({"towers": 2, "mixed": True}, stored, architecture=load(tmp_path / "own.toml"))
    assert result.architecture == "own"
    assert names(result) == [
        "layers.3.attn.q", "layers.3.attn.k", "layers.3.attn.v", "encoder.block3.table", "encoder.other",
    ]  # fmt: skip
    assert result.notes == ("encoder.other is kept under the stored name, as own has no rule for it",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ("nmae = 'x'", "'nmae' is no key of a record"),
        ("layers = 'h.{layer}.'", "layers should be a list"),
        ("layers = [1]", "layers should be a list of strings"),
        ("in_layer = [1]", "stored should be the name in the file"),
        ("[[in_layer]]\nstored = 'x'\nveiw = ''", "'veiw' is no key of a record"),
        ("[[in_layer]]\nstored = 'x'\nview = '*, *'", "parts should be canonical names"),
        ("[[outside]]\nstored = 'x'\nwhen = 'swiglu'", "when should be a config key"),
        ("[dimensions]\nheads = 1.5", "dimensions should be names"),
        ("[[outside]]\nstored = 'x'\nwhen = ['a', 1979-05-27]", "when should be a config key"),
        ("[[outside]]\nstored = 'x'\nwhen = ['a', nan]", "when should be a config key"),
        ("[[in_layer]]\nstored = '{expert}.{expert}'", "stored should be a name with each placeholder once"),
        ("layers = ['h.{layer}.{layer}.']", "layers should be names with {layer} once each"),
        ("layers = ['h.']", "layers should be names with {layer} once each"),
        ("layers = ['h.{expert}.']", "layers should be names with {layer} once each"),
        ("tied = 1", "tied should be a bool"),
    ],
)
def test_what_is_no_record_is_said_with_the_file_and_the_key(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(SpectraError, match=re.escape(message)) as caught:
        load(path)
    assert str(path) in caught.value.message


def test_a_name_that_is_neither_record_nor_file_lists_the_records() -> None:
    with pytest.raises(SpectraError, match="neither a file nor the name") as caught:
        load("gpt_noex")
    assert "gpt_neox" in caught.value.hint


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpectraError, match="cannot be read as text"):
        load(tmp_path / "own.toml")


def test_the_page_has_every_family_and_every_tensor() -> None:
    page = PAGE["architectures_page"]()
    for record in ARCHITECTURES:
        assert f"## {record.name}\n" in page
        for rule in (*record.in_layer, *record.outside):
            assert f"`{rule.stored}`" in page


def test_what_the_page_calls_uncovered_has_no_record() -> None:
    covered = {model_type for record in ARCHITECTURES for model_type in record.model_types}
    assert covered.isdisjoint(model_type for kept in PAGE["KEPT_AS_STORED"] for model_type in kept["model_types"])
