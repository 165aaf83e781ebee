"""Reads step, tokens, stage and seed from the name of a checkpoint. Knows nothing of files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

MULTIPLES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
NUMBER = r"(\d{1,18})([kKMBT]?)"
BEFORE, AFTER = r"(?:^|[-_./=])", r"(?=$|[-_./])"


@dataclass(frozen=True)
class Pattern:
    """One way in which public checkpoints carry a number: the expression, and an example with the value it reads."""

    expression: re.Pattern[str]
    example: str
    value: int


def _pattern(words: str, example: str, value: int) -> Pattern:
    """Return the pattern of words followed by a number, between separators."""
    return Pattern(re.compile(BEFORE + words + NUMBER + AFTER), example, value)


# The first that matches wins.
STEP_PATTERNS = (
    _pattern(r"(?:global_?)?step[-_=]?", "stage1-step928646-tokens3896B", 928646),  # Pythia, OLMo, BLOOM, Lightning
    _pattern(r"iter(?:ation)?[-_=]?", "iter_0002384", 2384),  # Megatron
    _pattern(r"ba", "ep0-ba1000-rank0.pt", 1000),  # Composer: epoch, batch
    _pattern(r"checkpoint_\d+_", "checkpoint_2_5000.pt", 5000),  # fairseq: epoch, update
    _pattern(r"(?:checkpoint|ckpt|chkpt)[-_=]?", "checkpoint-500", 500),  # HF Trainer, LLM360
    _pattern(r"model_", "model_000500.pt", 500),  # nanochat
    Pattern(re.compile(rf"^{NUMBER}(?:\.[a-z]+)?$"), "1000", 1000),  # the number alone
)
TOKENS_PATTERNS = (
    _pattern(r"tokens?[-_=]?", "step1000-tokens4B", 4 * 10**9),
    # TinyLlama writes the step and then the tokens: intermediate-step-1431k-3T
    Pattern(re.compile(rf"step[-_=]?\d+[kM]?[-_](\d{{1,6}})([BT]){AFTER}"), "intermediate-step-1431k-3T", 3 * 10**12),
)
SEED_PATTERNS = (_pattern(r"seed[-_=]?", "step1000-seed3", 3),)
STAGE = re.compile(rf"{BEFORE}(stage[-_]?\d+(?:[-_]ingredient[-_]?\d+)?|extension|anneal|cooldown){AFTER}")


@dataclass(frozen=True)
class Name:
    """What a name says; None where it says nothing."""

    step: int | None = None
    tokens: int | None = None
    stage: str | None = None
    seed: int | None = None


def _first(patterns: tuple[Pattern, ...], name: str) -> int | None:
    """Return the number that the first matching pattern reads, None where none matches."""
    for pattern in patterns:
        match = pattern.expression.search(name)
        if match:
            return int(match[1]) * MULTIPLES[match[2]]
    return None


def read_name(name: str) -> Name:
    """Return what the name of a checkpoint's folder, file or revision says.

    >>> read_name("stage2-ingredient3-step11931-tokens50B")
    Name(step=11931, tokens=50000000000, stage='stage2-ingredient3', seed=None)
    >>> read_name("main")
    Name(step=None, tokens=None, stage=None, seed=None)
    """
    if name.startswith("refs/"):
        return Name()
    stage = STAGE.search(name)
    return Name(
        _first(STEP_PATTERNS, name),
        _first(TOKENS_PATTERNS, name),
        stage[1] if stage else None,
        _first(SEED_PATTERNS, name),
    )


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers.

    >>> sorted(["step10", "step9"], key=natural)
    ['step9', 'step10']
    """
    pieces = re.split(r"(\d+)", text)
    return tuple((1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces if piece)


def stage_key(stage: str | None) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    """Return the sort key of a stage: none, then the numbered ones, then extensions and cooldowns.

    >>> sorted(["extension", "stage2", None, "stage1"], key=stage_key)
    [None, 'stage1', 'stage2', 'extension']
    """
    if stage is None:
        return (0, ())
    return (1 if stage.startswith("stage") else 2, natural(stage))


def gaps(steps: list[int]) -> list[tuple[int, int]]:
    """Return pairs of neighbouring steps between which evenly spaced ones are missing.

    A gap is a distance that is a multiple of the commonest one, where that one is seen at least three times and
    also on a side of the gap; the geometric start of a Pythia-like grid is none.

    >>> gaps([0, 1, 2, 4, 8, 1000, 2000, 3000, 5000, 6000])
    [(3000, 5000)]
    """
    distances = [after - before for before, after in zip(steps, steps[1:], strict=False)]
    if not distances:
        return []
    usual, seen = Counter(distances).most_common(1)[0]
    if seen < 3 or usual == 0:
        return []
    return [
        (steps[i], steps[i + 1])
        for i, distance in enumerate(distances)
        if distance > usual and distance % usual == 0 and usual in (distances[i - 1 : i] + distances[i + 1 : i + 2])
    ]
