"""Tells stages of a training apart by the names of its checkpoints, and orders them; never guesses which came first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cmp_to_key
from itertools import combinations, takewhile
from os.path import commonprefix

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.sources.names import MULTIPLES, STAGE_WORDS, Name, natural

DateOf = Callable[[Checkpoint], datetime | None]
NUMBERS = re.compile(r"(\d+)([kKmMbB]?)(?![A-Za-z])")
BY_NAMES, BY_DATES, BY_MAP = "their names", "the dates of their commits", "--map"


@dataclass(frozen=True)
class StageOrder:
    """The stages of a scan in the order of training, and what says so; none where there is but one.

    stages: their names, None for the checkpoints of no stage, the revision of one that has no step either.
    """

    stages: tuple[str | None, ...] = ()
    by: str = ""


def beside_each_other(names: Mapping[str, Name]) -> dict[str, Name]:
    """Return the names, by revision, with stages that only a comparison shows: words before the step, and seeds.

    Words that all have in common are the model's; names that differ in them are of different stages or runs.

    >>> read = {"code-step9": Name(9, prefix="code"), "math-step5": Name(5, prefix="math")}
    >>> [name.stage for name in beside_each_other(read).values()]
    ['code', 'math']
    """
    prefixes = {name.prefix for name in names.values() if name.step is not None and name.stage is None}
    words = {prefix: [word for word in re.split(r"[-_./= ]+", prefix) if word] for prefix in prefixes}
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*words.values(), strict=False)))
    seeds = {name.seed for name in names.values() if name.step is not None or name.seed is not None}
    compared: dict[str, Name] = {}
    for revision, name in names.items():
        stage = name.stage
        if stage is None and name.step is not None and len(prefixes) > 1:
            stage = "-".join(words[name.prefix][shared:]) or None
        if len(seeds) > 1 and name.seed is not None:
            stage = f"{stage}-seed{name.seed}" if stage else f"seed{name.seed}"
        compared[revision] = replace(name, stage=stage)
    return compared


def order(checkpoint: Checkpoint) -> tuple[object, ...]:
    """Return the sort key of a listing: stages by the ranks of their words, then step, then name."""
    step, stage = checkpoint.step, checkpoint.stage
    kind = _kind(stage)
    rank = (0 if stage is None else len(STAGE_WORDS)) if kind is None else kind[0]
    return (rank, stage is not None, _numbered(stage or ""), step is None, step or 0, natural(checkpoint.revision))


def in_order(
    checkpoints: Sequence[Checkpoint], mapped: Sequence[str] = (), date_of: DateOf = lambda _: None
) -> tuple[tuple[Checkpoint, ...], StageOrder]:
    """Return the checkpoints in the order of training, with what says how their stages follow each other.

    mapped: the stages that the user's map names, in its order. date_of: returns when a checkpoint's weights were
    committed, None where nothing says it; it is asked only where names do not tell. Raises SpectraError where neither
    does.
    """
    listed = sorted(checkpoints, key=order)
    last = [checkpoint for checkpoint in listed if checkpoint.step is None and checkpoint.stage is None]
    unplaced = last if len(last) == 1 else []
    stages: dict[str | None, list[Checkpoint]] = {}
    for checkpoint in listed:
        if checkpoint not in unplaced:
            key = checkpoint.revision if checkpoint in last else checkpoint.stage
            stages.setdefault(key, []).append(checkpoint)
    stage_order = _stage_order(stages, {checkpoint.revision for checkpoint in last}, mapped, date_of)
    return (*(c for stage in stage_order.stages or stages for c in stages[stage]), *unplaced), stage_order


def _stage_order(
    stages: Mapping[str | None, Sequence[Checkpoint]], stepless: set[str], mapped: Sequence[str], date_of: DateOf
) -> StageOrder:
    """Order stages by what their names say, else by the map, else by dates."""
    names = list(stages)
    if len(names) < 2:
        return StageOrder()
    unclear = next(((a, b) for a, b in combinations(names, 2) if {a, b} & stepless or _precedes(a, b) is None), None)
    if unclear is None:
        return StageOrder(tuple(sorted(names, key=cmp_to_key(_compare))), BY_NAMES)
    if mapped and {*names} <= {None, *mapped}:
        return StageOrder(tuple(sorted(names, key=lambda name: -1 if name is None else mapped.index(name))), BY_MAP)
    dated = _by_dates(stages, date_of)
    if dated is None:
        raise _cannot_order(stages, unclear, stepless)
    return StageOrder(dated, BY_DATES)


def _kind(stage: str | None) -> tuple[int, int, str] | None:
    """Return the rank of a stage's word, which word it is, and the numbers and words after it; None if unknown.

    >>> _kind("stage2-ingredient3"), _kind("code")
    ((1, 1, '2-ingredient3'), None)
    """
    if stage is None:
        return (0, -1, "")
    for index, word in enumerate(STAGE_WORDS):
        match = re.match(rf"(?i:{word.expression})(?=$|[-_./\d])", stage)
        if match:
            return (word.rank, index, stage[match.end() :].lstrip("-_."))
    return None


def _precedes(a: str | None, b: str | None) -> bool | None:
    """Whether stage a comes before b by their names; None where the names do not say.

    >>> _precedes("stage3", "lc-4k-to-32k"), _precedes("lc-32k-to-64k", "lc-4k-to-32k"), _precedes("sft", "code")
    (True, False, None)
    """
    kind, other = _kind(a), _kind(b)
    if kind is None or other is None or _seed(a) != _seed(b):
        return None
    if kind[0] != other[0]:
        return kind[0] < other[0]
    if kind[1] != other[1]:
        return None
    first, second = _numbered(kind[2]), _numbered(other[2])
    for left, right in zip(first, second, strict=False):
        if left != right:
            return left < right if left[0] == right[0] == 1 else None
    return len(first) < len(second)


def _seed(stage: str | None) -> str | None:
    """Return the seed that a stage ends with, None where it has none: two of them are two runs."""
    match = re.search(r"(?:^|-)seed(\d+)$", stage or "")
    return match[1] if match else None


def _compare(a: str | None, b: str | None) -> int:
    return -1 if _precedes(a, b) else 1


def _numbered(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return words and numbers of a text for comparison; numbers count with their multiples.

    >>> _numbered("4k-to-1M")
    ((1, 4000, ''), (0, 0, '-to-'), (1, 1000000, ''))
    """
    pieces: list[tuple[int, int, str]] = []
    at = 0
    for match in NUMBERS.finditer(text):
        if match.start() > at:
            pieces.append((0, 0, text[at : match.start()]))
        pieces.append((1, int(match[1]) * MULTIPLES[match[2].lower()], ""))
        at = match.end()
    return (*pieces, (0, 0, text[at:])) if at < len(text) else tuple(pieces)


def _by_dates(stages: Mapping[str | None, Sequence[Checkpoint]], date_of: DateOf) -> tuple[str | None, ...] | None:
    """Return the stages by when their first and last checkpoints were committed; None where those times overlap."""
    spans: list[tuple[datetime, datetime, str | None]] = []
    for stage, checkpoints in stages.items():
        dates = [date_of(checkpoint) for checkpoint in dict.fromkeys((checkpoints[0], checkpoints[-1]))]
        known = [date for date in dates if date is not None]
        if len(known) < len(dates):
            return None
        spans.append((min(known), max(known), stage))
    spans.sort(key=lambda span: span[:2])
    if any(before[1] >= after[0] for before, after in zip(spans, spans[1:], strict=False)):
        return None
    return tuple(stage for _, _, stage in spans)


def _cannot_order(
    stages: Mapping[str | None, Sequence[Checkpoint]], unclear: tuple[str | None, str | None], stepless: set[str]
) -> SpectraError:
    """Return the error for stages that nothing orders, with a pattern for each of them."""
    a, b = (stages[stage][0] for stage in unclear)
    everything = [checkpoint.revision for checkpoints in stages.values() for checkpoint in checkpoints]
    patterns = {stage: _pattern(stage, [c.revision for c in own], everything) for stage, own in stages.items()}
    wanted = next(stage for stage in unclear if stage is not None)
    choice = f"scan one, with --revisions '{patterns[wanted]}'"
    if {*unclear} & stepless:
        lines = " then ".join(f"{stage},{step}" for step, stage in enumerate(sorted(stepless)))
        what = f"{a.revision} and {b.revision} of {a.model} say no step, so that nothing orders them"
        return SpectraError(what, hint=f"{choice}; or give steps in a file, with --map FILE: lines such as {lines}")
    what = f"nothing says which came first in {a.model}, {a.revision} or {b.revision}: they are of two stages or runs"
    if _seed(unclear[0]) != _seed(unclear[1]):
        return SpectraError(f"{a.revision} and {b.revision} of {a.model} are of two runs, by their seeds", hint=choice)
    lines = " then ".join(f"{patterns[stage]},,,{stage}" for stage in stages if stage is not None)
    return SpectraError(what, hint=f"{choice}; or put their order in a file, for --map FILE: lines {lines}")


def _pattern(stage: str | None, own: Sequence[str], everything: Iterable[str]) -> str:
    """Return a shell pattern that matches the revisions of a stage, and no other where that can be."""
    others = [revision for revision in everything if revision not in own]
    shared = commonprefix(list(own)).rstrip("0123456789") + "*"
    for pattern in (shared, f"*{stage}-*", f"*{stage}"):
        if not any(fnmatchcase(other, pattern) for other in others) and all(fnmatchcase(r, pattern) for r in own):
            return pattern
    return own[0] if len(own) == 1 else f"*{stage}*"
