"""Names, shapes, configs and expressions that nobody would write in good faith."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spectra_cli.architectures import ARCHITECTURES, layout
from spectra_cli.architectures.expressions import Contradiction, index, size
from spectra_cli.errors import SpectraError
from spectra_cli.records import StoredTensor
from tests.support.stored import named

SIZES = {"heads": 6, "kv_heads": 2, "head_dim": 5, "hidden": 30}
WORDS = st.sampled_from(
    ["layers", "h", "0", "00", "7", "999999999", "attn", "self_attn", "c_attn", "q_proj", "qkv_w", "experts", "mlp",
     "weight", "bias", "model", "_orig_mod", "", "٣", "\x1b[31m", "../..", "*", "{layer}", "\n", "gate_up_proj"]
)  # fmt: skip
NAMES = st.one_of(st.lists(WORDS, max_size=9).map(".".join), st.text(max_size=60))
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 8, 24, 10**6, 2**31, 2**63]), max_size=5).map(tuple)
DTYPES = st.sampled_from(["float32", "bfloat16", "float8_e4m3fn", "int8", "bool", "complex64", "quint8", "", "\x00"])
STORED = st.builds(StoredTensor, NAMES, SHAPES, DTYPES)
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
MODEL_TYPES = st.sampled_from([model_type for record in ARCHITECTURES for model_type in record.model_types])
KEYS = st.sampled_from(["hidden_size", "n_embd", "num_attention_heads", "n_head", "num_experts", "text_config", "x"])


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, int]:
    if depth == 0 or draw(st.booleans()):
        name = draw(st.sampled_from(sorted(SIZES)))
        number = draw(st.integers(0, 99))
        return draw(st.sampled_from([(name, SIZES[name]), (str(number), number)]))
    (left, a), (right, b) = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    return draw(
        st.sampled_from(
            [
                (f"({left}+{right})", a + b),
                (f"({left} - {right})", a - b),
                (f"{left}*{right}", a * b)
                if "+" not in left + right and "-" not in left + right
                else (f"({left})*({right})", a * b),
            ]
        )
    )


@given(expressions())
def test_arithmetic_is_pythons(expression: tuple[str, int]) -> None:
    text, value = expression
    if len(text) <= 200:
        assert size(text, SIZES.__getitem__) == value


@given(st.integers(0, 10**6), st.integers(1, 10**3))
def test_a_quotient_is_exact_or_a_contradiction(dividend: int, divisor: int) -> None:
    try:
        assert size(f"{dividend}//{divisor}", SIZES.__getitem__) * divisor == dividend
    except Contradiction:
        assert dividend % divisor


@given(st.one_of(st.text(max_size=40), st.text(alphabet="abehds_0123456789+-*/(),:[]. lambdnotif\"'", max_size=60)))
def test_text_that_is_no_expression_is_a_contradiction_and_nothing_else(text: str) -> None:
    for evaluate in (size, index):
        try:
            evaluate(text, lambda _: 3)
        except Contradiction:
            continue


STRANGE = st.dictionaries(KEYS, PLAIN, max_size=4)
NAMED = st.builds(
    lambda config, model_type: config | {"model_type": model_type},
    st.dictionaries(KEYS, PLAIN | st.integers(1, 8), max_size=4),
    MODEL_TYPES,
)


@settings(deadline=None)
@given(STRANGE | NAMED, st.lists(STORED, max_size=6), st.booleans())
def test_every_tensor_is_measured_or_skipped_or_the_config_is_at_fault(
    config: dict[str, Any], stored: list[StoredTensor], fused: bool
) -> None:
    tensors = {tensor.name: tensor for tensor in stored}
    try:
        result = layout(config, tensors, fused=fused)
    except SpectraError:
        return
    measured = {matrix.tensor for matrix in result.matrices}
    skipped = [skip.tensor for skip in result.skipped]
    assert measured | set(skipped) == set(tensors)
    assert measured.isdisjoint(skipped)
    assert len(skipped) == len(set(skipped))
    assert len({matrix.name for matrix in result.matrices}) == len(result.matrices)
    for matrix in result.matrices:
        assert 0 < matrix.rows < 2**31
        assert matrix.cols > 0


def test_long_names_are_matched_in_linear_time() -> None:
    names = [
        "layers." * 50_000 + "weight", "layers.0." + "experts.1." * 30_000, "model." * 300_000,
        "h." + "0" * 300_000 + ".attn.c_attn.weight", "_orig_mod." * 50_000 + "x",
    ]  # fmt: skip
    start = time.process_time()
    layout({"model_type": "qwen3_moe"}, named(dict.fromkeys(names, (2, 2))))
    assert time.process_time() - start < 10
