"""Finds the checkpoints in a folder, by their names. Which files are weights, the caller says."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote
from spectra_cli.sources.names import Name, natural, read_name, stage_key

Recognise = Callable[[Path], str | None]
KNOWN_COMPANIONS = {
    "trainer_state.json", "loss.jsonl", "config.json", "generation_config.json", "training_args.bin", "README.md",
    "all_results.json", "train_results.json", "eval_results.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "vocab.json", "merges.txt", "latest", "latest_checkpointed_iteration.txt",
    "zero_to_fp32.py",
}  # fmt: skip


@dataclass(frozen=True)
class Unread:
    """Something in the source that is not read as a checkpoint, and why.

    hint: what to do where it may well be one, and could not be looked into; None otherwise.
    """

    revision: str
    reason: str
    hint: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a source holds: its model's name, its checkpoints in step order, and what was left out."""

    model: str
    checkpoints: tuple[Checkpoint, ...]
    unread: tuple[Unread, ...] = ()


def order(checkpoint: Checkpoint) -> tuple[object, ...]:
    """Return the sort key of the table: stage, then step, then name."""
    step = checkpoint.step
    return (stage_key(checkpoint.stage), step is None, step or 0, natural(checkpoint.revision))


def list_folder(path: Path, recognise: Recognise, *, mapping: Path | None = None) -> Listing:
    """Return the checkpoints of a folder of folders, a folder of files, or a single checkpoint.

    recognise: returns the format of the weights that a path holds, None where there are none that can be read.
    mapping: a CSV file of `revision,step[,tokens,stage]` for names that no pattern reads; a path counts by its last
    part. Raises SpectraError where there is nothing to list.
    """
    if not path.exists():
        raise SpectraError(f"{path} is not there", hint="check the path; a Hub repository is written hf:owner/name")
    path = path.absolute()
    named = read_mapping(mapping) if mapping else {}
    children = _children(path) if path.is_dir() else []
    weights, closed = _look_into(children, recognise)
    own = recognise(path)
    if own and not any(child.is_dir() for child in (*weights, *closed)):
        return _single(path, named)
    unread = [Unread(child.name, error.message, error.hint) for child, error in closed.items()]
    left = [child for child in children if child not in closed]
    unread += [Unread(child.name, reason) for child in left if (reason := _why_not(child, weights))]
    checkpoints = []
    known = {name for child in weights for name in (child.name, child.stem)}
    unread += [Unread(name, "named by --map, and no checkpoint here") for name in named if name not in known]
    if own:
        unread.append(Unread(".", "weights beside the checkpoints, without a step in a name"))
    for child in weights:
        name = _mapped(child, named) or read_name(child.name)
        if name.step is None and own and child.is_file():
            continue  # one of the files of the weights beside the checkpoints
        if name.step is None and len(weights) > 1:
            unread.append(Unread(child.name, "no step in its name: give one with --map"))
        else:
            checkpoints.append(_checkpoint(path.name, child, name))
    if not checkpoints:
        raise SpectraError(f"{path} holds no checkpoint that can be read", hint=_nothing_hint(unread))
    return Listing(path.name, tuple(sorted(checkpoints, key=order)), tuple(unread))


def _single(path: Path, named: Mapping[str, Name]) -> Listing:
    """Return one checkpoint as a listing; a step in its name makes the folder above it the model."""
    name = _mapped(path, named) or read_name(path.name)
    model = path.parent.name if name.step is not None else path.stem if path.is_file() else path.name
    return Listing(model, (_checkpoint(model, path, name),))


def _mapped(path: Path, named: Mapping[str, Name]) -> Name | None:
    """Return what the map says of a checkpoint, by its file's name or, as in the table, without the suffix."""
    return named.get(path.name) or (named.get(path.stem) if path.is_file() else None)


def _checkpoint(model: str, path: Path, name: Name) -> Checkpoint:
    """Return the record of a local checkpoint."""
    revision = path.stem if path.is_file() else path.name
    return Checkpoint(model, revision, path, name.step, name.tokens, name.stage)


def _children(path: Path) -> list[Path]:
    """Return what a folder holds, hidden files left out, numbers sorted as numbers."""
    try:
        return sorted(
            (child for child in path.iterdir() if not child.name.startswith(".")), key=lambda c: natural(c.name)
        )
    except OSError as error:
        raise SpectraError(
            f"{path} cannot be listed: {os.strerror(error.errno or 0)}", hint="check its permissions"
        ) from None


def _why_not(child: Path, weights: list[Path]) -> str | None:
    """Return why something is no checkpoint; None for one, and for what trainers always leave beside them."""
    if child in weights or child.name in KNOWN_COMPANIONS:
        return None
    if child.is_dir():
        return "a folder without weights that can be read"
    return "not a file of weights"


def _look_into(children: list[Path], recognise: Recognise) -> tuple[list[Path], dict[Path, SpectraError]]:
    """Return those that hold weights, and those that cannot be looked into, with what is in the way."""
    weights, closed = [], {}
    for child in children:
        try:
            if recognise(child):
                weights.append(child)
        except SpectraError as error:
            closed[child] = error
    return weights, closed


def _nothing_hint(unread: list[Unread]) -> str:
    """Return what to do where a folder holds no checkpoint."""
    if closed := [left_out for left_out in unread if left_out.hint]:
        return f"{closed[0].reason}: {closed[0].hint}"
    if nameless := [left_out.revision for left_out in unread if "--map" in left_out.reason]:
        names = ", ".join(nameless)
        return f"no step could be read from {names[:200]}: give the steps with --map FILE (revision,step on each line)"
    return "a checkpoint is a folder with model.safetensors or pytorch_model.bin, or a .safetensors, .pt or .bin file"


def read_mapping(path: Path) -> dict[str, Name]:
    """Return what a CSV file of `revision,step[,tokens,stage]` says of each revision; a header line is allowed.

    Raises SpectraError, naming the line, where it is none.
    """
    names: dict[str, Name] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise SpectraError(
            f"{path} cannot be read", hint="--map takes a CSV file: revision,step[,tokens,stage]"
        ) from None
    for number, line in enumerate(csv.reader(text.splitlines()), 1):
        cells = [cell.strip() for cell in line]
        if not any(cells) or (number == 1 and cells[1:2] == ["step"]):
            continue
        try:
            step, tokens = int(cells[1]), int(cells[2]) if len(cells) > 2 and cells[2] else None
        except (IndexError, ValueError):
            raise SpectraError(
                f"{path}, line {number} is not revision,step[,tokens,stage]", hint="steps and tokens are whole numbers"
            ) from None
        names[Path(cells[0]).name] = Name(step, tokens, cells[3] if len(cells) > 3 and cells[3] else None)
    return names


def with_tokens(listing: Listing, tokens_per_step: int | None) -> Listing:
    """Return the listing with tokens = step × tokens_per_step where a name does not say them."""
    if tokens_per_step is None:
        return listing
    filled = tuple(
        replace(c, tokens=c.step * tokens_per_step) if c.tokens is None and c.step is not None else c
        for c in listing.checkpoints
    )
    return replace(listing, checkpoints=filled)


def fingerprint(path: Path | Remote) -> list[list[object]]:
    """Return what tells that a checkpoint was replaced: its commit and blobs, or names, sizes and times of change."""
    if isinstance(path, Remote):
        return [
            [path.repository, path.commit, path.folder],
            *([file.name, file.size, file.blob] for file in path.files),
        ]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]  # ranks may have folders of their own
    facts = []
    for file in files:
        with contextlib.suppress(OSError):  # gone since it was listed, or not to be read: opening it raises the error
            if file.is_file():
                facts.append((str(file.relative_to(path.parent)), file.stat()))
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in facts]
