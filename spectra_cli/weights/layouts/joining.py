"""Puts together what the ranks of one model saved: on which axis, each layout says. Knows no layout.

A matrix that no rule knows is never joined by guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.sharded import concatenated
from spectra_cli.weights.tensors.source import TensorSource

T = TypeVar("T")
Blocks = Mapping[str, tuple[int, ...]]
NO_RULE = "no rule says along which axis the ranks' parts are to be joined"


@dataclass(frozen=True)
class Axis:
    """Names that end so are cut along `axis`; None: every rank keeps a copy.

    blocks: what every rank keeps a share of, one above the other: `gate, up`. How large they are, the layout says.
    """

    names: re.Pattern[str]
    axis: int | None
    blocks: str = ""


def join(parts: Sequence[Contents], axes: Sequence[Axis], blocks: Blocks | None = None) -> Contents:
    """Join what the ranks of one layer or stage hold, name by name.

    blocks: the relative sizes of each kind of blocks; one that is not there is one block.
    """
    if len(parts) == 1:
        return parts[0]
    tensors: dict[str, TensorSource] = {}
    skipped = list({skip.tensor: skip for part in reversed(parts) for skip in part.skipped}.values())
    for name in dict.fromkeys(name for part in parts for name in part.tensors):
        shards = [tensor for part in parts if isinstance(tensor := part.tensors.get(name), PlainTensor)]
        if len(shards) < len(parts) or any(len(s.shape) != len(shards[0].shape) for s in shards):
            raise SpectraError(f"{printable(name)} is not in every part beside {parts[0].files[0]}", hint=COPY_AGAIN)
        joined = join_one(name, shards, axes, blocks or {})
        if isinstance(joined, str):
            skipped.append(Skipped(name, joined))
        else:
            tensors[name] = joined
    files = tuple(file for part in parts for file in part.files)
    return Contents(tensors, files, parts[0].config, parts[0].notes, tuple(skipped))


def join_one(name: str, shards: Sequence[PlainTensor], axes: Sequence[Axis], blocks: Blocks) -> TensorSource | str:
    """Join the shards of one tensor; where no rule says how, the reason as text."""
    first = shards[0]
    rule = next((rule for rule in axes if rule.names.search(name)), None)
    if rule is None and len(first.shape) >= 2:
        return NO_RULE
    if rule is not None and rule.axis is not None and first.shape and rule.axis >= len(first.shape):
        return NO_RULE  # a vector under the name of a matrix
    if rule is None or rule.axis is None or not first.shape:
        if len({(s.shape, s.dtype) for s in shards}) > 1:
            return "the ranks hold copies that differ in shape"
        # Biases after a row-parallel layer and norms are vectors, which no spectrum is taken of: one rank's serves.
        return first
    axis, others = rule.axis, {(s.shape[: rule.axis], s.shape[rule.axis + 1 :], s.dtype) for s in shards}
    if len(others) > 1:
        raise SpectraError(f"the parts of {printable(name)} beside {first.file} do not fit together", hint=COPY_AGAIN)
    sizes = blocks.get(rule.blocks, (1,))
    fits = all(s.shape[axis] % sum(sizes) == 0 for s in shards)
    return concatenated(shards, axis, sizes if fits else (1,))


def in_order(path: Path, numbered: Mapping[int, T]) -> list[T]:
    """Return ranks or stages in the order of their numbers; SpectraError where one is missing."""
    missing = next((number for number in range(max(numbered) + 1) if number not in numbered), None)
    if missing is not None:
        raise SpectraError(f"{printable(path, 400)} lacks part {missing} of {max(numbered) + 1}", hint=COPY_AGAIN)
    return [numbered[number] for number in sorted(numbered)]


def renamed(contents: Contents, rename: Callable[[str], str]) -> Contents:
    """Return what a part holds under other names."""
    tensors = {rename(name): part for name, part in contents.tensors.items()}
    skipped = tuple(Skipped(rename(skip.tensor), skip.reason) for skip in contents.skipped)
    return replace(contents, tensors=tensors, skipped=skipped)


def check_count(path: Path, what: str, count: int, key: str, stated: object) -> None:
    """Raise SpectraError where a checkpoint holds more or fewer of something than its own arguments say."""
    if type(stated) is int and stated != count:
        raise SpectraError(
            f"{printable(path, 400)} holds {count} {what}, and its arguments say {key} {stated}",
            hint=f"{COPY_AGAIN}; a layout that is not read is converted by the program that wrote it",
        )
