"""What names of public checkpoints say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_cli.sources import names
from spectra_cli.sources.names import Name, gaps, natural, read_name

NAMES = {
    "step0": Name(0),
    "step143000": Name(143000),
    "global_step1000": Name(1000),
    "global_step1000_universal": Name(1000),
    "iter_0002384": Name(2384),
    "checkpoint-500": Name(500),
    "checkpoint-400000": Name(400000),
    "step-240000": Name(240000),
    "ckpt_000": Name(0),
    "model_000500.pt": Name(500),
    "state_step001500.pt": Name(1500),
    "epoch=1-step=2000.ckpt": Name(2000),
    "step1000-tokens4B": Name(1000, 4 * 10**9),
    "stage1-step928646-tokens3896B": Name(928646, 3896 * 10**9, "stage1"),
    "stage2-ingredient3-step11931-tokens50B": Name(11931, 50 * 10**9, "stage2-ingredient3"),
    "TinyLlama-1.1B-intermediate-step-1431k-3T": Name(1431000, 3 * 10**12),
    "seed3-step10": Name(10, seed=3),
    "ep0-ba1000-rank0.pt": Name(1000),
    "checkpoint_2_5000.pt": Name(5000),
    "1000": Name(1000),
    "main": Name(),
    "refs/pr/1": Name(),
    "ckpt.pt": Name(),
    "logs": Name(),
    "llama-7b": Name(),
    "70M": Name(),
    "160M": Name(),
    "model_410M": Name(),
    "50k": Name(50_000),
    "step1.5k": Name(),
    "Checkpoint-500": Name(500),
    "TinyLlama-1.1B-step-50K-105b": Name(50_000, 105 * 10**9),
    "TinyLlama-1.1B-intermediate-step-1195k-token-2.5T": Name(1_195_000, 2_500 * 10**9),
    "step80000-decay": Name(80_000, None, "decay"),
    "footstep12": Name(),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_read(name):
    assert replace(read_name(name), prefix="") == NAMES[name]


@pytest.mark.parametrize("pattern", [*names.STEP_PATTERNS, *names.TOKENS_PATTERNS, *names.SEED_PATTERNS])
def test_every_pattern_reads_its_own_example(pattern):
    match = pattern.expression.search(pattern.example)
    assert int(match[1]) * names.MULTIPLES[match[2].lower()] == pattern.value


@given(st.text(max_size=300))
def test_any_name_is_read_or_left(name):
    parsed = read_name(name)
    assert parsed.step is None or parsed.step >= 0


def test_numbers_sort_as_numbers():
    assert sorted(["step10", "step9", "step100"], key=natural) == ["step9", "step10", "step100"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([0, 1, 2, 4, 8, 16, 32], []),
        ([0, 100, 200, 300, 500], [(300, 500)]),
        ([0, 1, 2, 4, 8, 1000, 2000, 3000, 4000], []),
        ([1000, 2000, 4000, 5000, 8000, 9000], [(2000, 4000), (5000, 8000)]),
        ([], []),
        ([5], []),
    ],
)
def test_gaps_are_holes_in_an_even_grid(steps, expected):
    assert gaps(steps) == expected
