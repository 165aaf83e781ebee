"""Reads step, tokens, stage and seed from the name of a checkpoint by itself. Knows nothing of files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
BEFORE, AFTER = r"(?:^|[-_./=])", r"(?=$|[-_/]|\.(?!\d))"


@dataclass(frozen=True)
class Pattern:
    """One way in which public checkpoints carry a number: the expression, and an example with the value it reads."""

    expression: re.Pattern[str]
    example: str
    value: int


def _pattern(words: str, example: str, value: int, *, multiples: str = "k", number: str = r"\d{1,18}") -> Pattern:
    """Return the pattern of words followed by a number, between separators; multiples: the letters that may follow."""
    return Pattern(re.compile(rf"{BEFORE}(?i:{words})({number})([{multiples}]?){AFTER}"), example, value)


LARGE = "kKMBT"
DECIMAL = r"\d{1,18}(?:\.\d{1,6})?"
# The first that matches wins. Only the word step or iteration makes a step of 70M: elsewhere it is the size of a model.
STEP_PATTERNS = (
    _pattern(r"(?:global_?)?step[-_=]?", "stage1-step928646-tokens3896B", 928646, multiples=LARGE),  # Pythia, OLMo
    _pattern(r"iter(?:ation)?[-_=]?", "iter_0002384", 2384, multiples=LARGE),  # Megatron, MAP-Neo
    _pattern(r"ba", "ep0-ba1000-rank0.pt", 1000),  # Composer: epoch, batch
    _pattern(r"checkpoint_\d+_", "checkpoint_2_5000.pt", 5000),  # fairseq: epoch, update
    _pattern(r"(?:checkpoint|ckpt|chkpt)[-_=]?", "checkpoint-500", 500, multiples="kK"),  # HF Trainer, LLM360
    _pattern(r"model_", "model_000500.pt", 500, multiples="kK"),  # nanochat
    Pattern(re.compile(r"^(\d{1,18})([kK]?)(?:\.[a-z]+)?$"), "1000", 1000),  # the number alone
)
TOKENS_PATTERNS = (
    _pattern(r"tokens?[-_=]?", "step1000-tokens4B", 4 * 10**9, multiples=LARGE + "mbt", number=DECIMAL),
    # TinyLlama writes the step and then the tokens: intermediate-step-1431k-3T, step-50K-105b
    Pattern(
        re.compile(rf"(?i:step)[-_=]?\d+[kKM]?[-_](\d{{1,6}}(?:\.\d{{1,6}})?)([bBtT]){AFTER}"),
        "intermediate-step-1431k-3T",
        3 * 10**12,
    ),
)
SEED_PATTERNS = (_pattern(r"seed[-_=]?", "step1000-seed3", 3),)


@dataclass(frozen=True)
class StageWord:
    """A word that names a part of a training. rank: a lower one comes first; of equal ones, no word says it."""

    expression: str
    rank: int


# Long context comes before the annealing (Lucie) or after it (SmolLM3), mid-training likewise: those have one rank.
STAGE_WORDS = (
    StageWord("pre-?train(?:ing)?", 0),
    StageWord("stage", 1),
    StageWord("phase", 1),
    StageWord("decay", 2),
    StageWord("anneal(?:ing)?", 2),
    StageWord("cool-?down", 2),
    StageWord("extension", 2),
    StageWord("lc|long[-_]?(?:context|ctx)", 2),
    StageWord("mid[-_]?train(?:ing)?", 2),
    StageWord("sft", 3),
    StageWord("dpo", 4),
    StageWord("apo", 4),
    StageWord("kto", 4),
    StageWord("orpo", 4),
    StageWord("simpo", 4),
    StageWord("ppo", 4),
    StageWord("grpo", 4),
    StageWord("rl(?:vr|hf)?", 4),
)
STAGE = re.compile(rf"{BEFORE}((?i:{'|'.join(word.expression for word in STAGE_WORDS)})(?:[-_]?\d+)?){AFTER}")
# What stands beside the step in names of one and the same run.
NOISE = (
    re.compile(r"[A-Za-z_]+=[-+.\deE]*"),  # Lightning: epoch=1, val_loss=2.3
    re.compile(rf"{BEFORE}(?i:ep(?:och)?[-_]?\d+){AFTER}"),
    re.compile(rf"{BEFORE}(?i:seed[-_=]?\d+){AFTER}"),
    re.compile(rf"{BEFORE}(?i:tokens?[-_=]?{DECIMAL}[kmbt]?){AFTER}"),
    re.compile(
        rf"{BEFORE}(?i:intermediate|states?|models?|checkpoints?|ckpts?|weights|pytorch|hf|best|last|final){AFTER}"
    ),
    re.compile(rf"{BEFORE}\d{{6,}}{AFTER}"),  # a date
)


@dataclass(frozen=True)
class Name:
    """What a name says; None where it says nothing. prefix: other words before the step, which may name a stage."""

    step: int | None = None
    tokens: int | None = None
    stage: str | None = None
    seed: int | None = None
    prefix: str = ""


LARGEST = 2**63 - 1
DIGITS = 100  # of a number in a name


def _first(patterns: tuple[Pattern, ...], name: str) -> re.Match[str] | None:
    """Return the match of the first pattern that matches, None where none does."""
    return next((match for pattern in patterns if (match := pattern.expression.search(name))), None)


def _number(match: re.Match[str] | None) -> int | None:
    """Return the number that a pattern read, None where it did not match.

    >>> _number(TOKENS_PATTERNS[0].expression.search("token-2.5T"))
    2500000000000
    """
    if match is None:
        return None
    number = int(Decimal(match[1][:DIGITS]) * MULTIPLES[match[2].lower()])
    return number if number <= LARGEST else None  # a table holds no larger one: the name means something else


def read_name(name: str) -> Name:
    """Return what the name of a checkpoint's folder, file or revision says by itself.

    >>> read_name("stage2-ingredient3-step11931-tokens50B")
    Name(step=11931, tokens=50000000000, stage='stage2-ingredient3', seed=None, prefix='')
    >>> read_name("main")
    Name(step=None, tokens=None, stage=None, seed=None, prefix='')
    """
    if name.startswith("refs/"):
        return Name()
    step = _first(STEP_PATTERNS, name)
    seed = _number(_first(SEED_PATTERNS, name))
    if step is None:
        return Name(tokens=_number(_first(TOKENS_PATTERNS, name)), seed=seed)
    before, after = _without_noise(name[: step.start()]), _without_noise(name[step.end() :])
    stage, suffix = STAGE.search(before), STAGE.search(after)
    known = before[stage.start(1) :] if stage else suffix[1] if suffix else None
    prefix = "" if known else before
    return Name(_number(step), _number(_first(TOKENS_PATTERNS, name)), known, seed, prefix)


def _without_noise(text: str) -> str:
    """Return a piece of a name without the words that say nothing of a stage.

    >>> _without_noise("TinyLlama-1.1B-intermediate"), _without_noise("epoch=1")
    ('TinyLlama-1.1B', '')
    """
    for expression in NOISE:
        text = expression.sub("", text)
    return text.strip("-_./= ")


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers.

    >>> sorted(["step10", "step9"], key=natural)
    ['step9', 'step10']
    """
    pieces = re.split(r"(\d+)", text)
    return tuple((1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces if piece)


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
