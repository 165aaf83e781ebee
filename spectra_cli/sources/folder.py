"""Finds the checkpoints in a folder, by their names. What a weight file is, it is told and does not know."""

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
    """Something in the source that is no checkpoint for us, and why."""

    revision: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a source holds: its model's name, its checkpoints in step order, and what was left out."""

    model: str
    checkpoints: tuple[Checkpoint, ...]
    unread: tuple[Unread, ...] = ()


def order(checkpoint: Checkpoint) -> tuple[object, ...]:
    """Give the sort key of the table: stage, then step, then name."""
    step = checkpoint.step
    return (stage_key(checkpoint.stage), step is None, step or 0, natural(checkpoint.revision))


def list_folder(path: Path, recognise: Recognise, *, mapping: Path | None = None) -> Listing:
    """List the checkpoints of a folder of folders, a folder of files, or a single checkpoint.

    recognise: says whether a path holds weights we can read. mapping: a CSV file of `revision,step[,tokens,stage]`
    for names that no pattern reads; a path counts by its last part. Raises SpectraError where there is nothing to list.
    """
    if not path.exists():
        raise SpectraError(f"{path} is not there", hint="check the path; a Hub repository is written hf:owner/name")
    path = path.absolute()
    named = read_mapping(mapping) if mapping else {}
    children = _children(path) if path.is_dir() else []
    found = [child for child in children if recognise(child)]
    own = recognise(path)
    if own and not any(child.is_dir() for child in found):
        return _single(path, named)
    checkpoints, unread = [], [Unread(child.name, reason) for child in children if (reason := _why_not(child, found))]
    known = {name for child in found for name in (child.name, child.stem)}
    unread += [Unread(name, "named by --map, and no checkpoint here") for name in named if name not in known]
    if own:
        unread.append(Unread(".", "weights beside the checkpoints, without a step in a name"))
    for child in found:
        name = _mapped(child, named) or read_name(child.name)
        if name.step is None and own and child.is_file():
            continue  # one of the files of the weights beside the checkpoints
        if name.step is None and len(found) > 1:
            unread.append(Unread(child.name, "no step in its name: give one with --map"))
        else:
            checkpoints.append(_checkpoint(path.name, child, name))
    if not checkpoints:
        raise SpectraError(f"{path} holds no checkpoint that can be read", hint=_nothing_hint(unread))
    return Listing(path.name, tuple(sorted(checkpoints, key=order)), tuple(unread))


def _single(path: Path, named: Mapping[str, Name]) -> Listing:
    name = _mapped(path, named) or read_name(path.name)
    model = path.parent.name if name.step is not None else path.stem if path.is_file() else path.name
    return Listing(model, (_checkpoint(model, path, name),))


def _mapped(path: Path, named: Mapping[str, Name]) -> Name | None:
    """Look a checkpoint up by its file's name, or by the name that the table gives it, which has no suffix."""
    return named.get(path.name) or (named.get(path.stem) if path.is_file() else None)


def _checkpoint(model: str, path: Path, name: Name) -> Checkpoint:
    revision = path.stem if path.is_file() else path.name
    return Checkpoint(model, revision, path, name.step, name.tokens, name.stage)


def _children(path: Path) -> list[Path]:
    try:
        return sorted(
            (child for child in path.iterdir() if not child.name.startswith(".")), key=lambda c: natural(c.name)
        )
    except OSError as error:
        raise SpectraError(
            f"{path} cannot be listed: {os.strerror(error.errno or 0)}", hint="check its permissions"
        ) from None


def _why_not(child: Path, found: list[Path]) -> str | None:
    if child in found or child.name in KNOWN_COMPANIONS:
        return None
    if child.is_dir():
        return "a folder without weights that can be read"
    return "not a file of weights"


def _nothing_hint(unread: list[Unread]) -> str:
    if any("--map" in one.reason for one in unread):
        names = ", ".join(one.revision for one in unread if "--map" in one.reason)
        return f"no step could be read from {names[:200]}: give the steps with --map FILE (revision,step on each line)"
    return "a checkpoint is a folder with model.safetensors or pytorch_model.bin, or a .safetensors, .pt or .bin file"


def read_mapping(path: Path) -> dict[str, Name]:
    """Read `revision,step[,tokens,stage]` lines; a header line is allowed."""
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
    """Fill in tokens as step × tokens_per_step where a name does not say them."""
    if tokens_per_step is None:
        return listing
    filled = tuple(
        replace(one, tokens=one.step * tokens_per_step) if one.tokens is None and one.step is not None else one
        for one in listing.checkpoints
    )
    return replace(listing, checkpoints=filled)


def fingerprint(path: Path | Remote) -> list[list[object]]:
    """Give what tells that a checkpoint was replaced: its commit and blobs, or names, sizes and times of change."""
    if isinstance(path, Remote):
        return [
            [path.repository, path.commit, path.folder],
            *([file.name, file.size, file.blob] for file in path.files),
        ]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]  # ranks may have folders of their own
    facts = []
    for file in files:
        with contextlib.suppress(
            OSError
        ):  # gone since it was listed, or its folder may not be read: opening it will say
            if file.is_file():
                facts.append((str(file.relative_to(path.parent)), file.stat()))
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in facts]
