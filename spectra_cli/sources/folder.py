"""Finds the checkpoints in a folder, by their names. Which files are weights, the caller says."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.sources.mapping import StepMap, read_mapping
from spectra_cli.sources.names import LARGEST, Name, natural, read_name
from spectra_cli.sources.stages import beside_each_other, order

Recognise = Callable[[Path], str | None]
Explain = Callable[[Path], SpectraError | None]
KNOWN_COMPANIONS = {
    "trainer_state.json", "loss.jsonl", "config.json", "generation_config.json", "training_args.bin", "README.md",
    "all_results.json", "train_results.json", "eval_results.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "vocab.json", "merges.txt", "latest", "latest_checkpointed_iteration.txt",
    "zero_to_fp32.py",
}  # fmt: skip
SIZE = re.compile(r"\d+(?:\.\d+)?[mMbB]")  # of a model, as in 70M
DEEP = 1000  # paths that are looked at in one level below a folder without weights of its own


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
    """What a source holds: its model's name, its checkpoints in step order, and what was left out.

    mapped_stages: the stages that the user's map names, in its order.
    """

    model: str
    checkpoints: tuple[Checkpoint, ...]
    unread: tuple[Unread, ...] = ()
    mapped_stages: tuple[str, ...] = ()


def list_folder(
    path: Path, recognise: Recognise, *, mapping: Path | None = None, explain: Explain = lambda _: None
) -> Listing:
    """Return the checkpoints of a folder of folders, a folder of files, or a single checkpoint.

    recognise: returns the format of the weights that a path holds, None where there are none that can be read.
    mapping: a CSV file of `revision,step[,tokens,stage]` for names that no pattern reads; a path counts by its last
    part. explain: returns the error for a folder of weights that are known and not read. Raises SpectraError where
    there is nothing to list.
    """
    if not path.exists():
        raise SpectraError(f"{path} is not there", hint="check the path; a Hub repository is written hf:owner/name")
    path = path.absolute()
    step_map = read_mapping(mapping) if mapping else StepMap()
    children = _children(path) if path.is_dir() else []
    weights, closed = _look_into(children, recognise)
    own = recognise(path)
    if own and not any(child.is_dir() for child in (*weights.values(), *closed)):
        return _single(path, step_map)
    open_ones = [child for child in children if child not in closed and child.name not in weights]
    deeper = {child: _weights_below(child, recognise) for child in open_ones}
    weights |= dict(_taken_from_below(path, deeper, step_map))
    mapped = {called: _mapped(called, child, step_map) for called, child in weights.items()}
    read = beside_each_other({called: read_name(called) for called, name in mapped.items() if name is None})
    checkpoints = []
    unread = [Unread(child.name, error.message, error.hint) for child, error in closed.items()]
    unread += _left_out(path, deeper, weights)
    known = [name for called, child in weights.items() for name in _names(called, child)]
    unread += [Unread(line, "named by --map, and no checkpoint here") for line in step_map.unused(known)]
    if own:
        unread.append(Unread(".", "weights beside the checkpoints, without a step in a name"))
    for called, child in weights.items():
        name = mapped[called] or read[called]
        if name.step is None and own and child.is_file():
            continue  # one of the files of the weights beside the checkpoints
        if name.step is None and len(weights) > 1:
            unread.append(Unread(called, "no step in its name: give one with --map"))
        else:
            checkpoints.append(_checkpoint(path.name, called, child, name))
    if not weights and (known_kind := explain(path)) is not None:
        raise known_kind
    if not checkpoints:
        raise SpectraError(f"{path} holds no checkpoint that can be read", hint=_nothing_hint(path, unread, deeper))
    return Listing(in_utf8(path.name), tuple(sorted(checkpoints, key=order)), tuple(unread), step_map.stages)


def in_utf8(name: str) -> str:
    r"""Return a name with those of its bytes spelled out that are not UTF-8: a table holds UTF-8 alone.

    >>> in_utf8("step1-" + chr(0xDCFF))
    'step1-\\xff'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _single(path: Path, step_map: StepMap) -> Listing:
    """Return one checkpoint as a listing; a step in its name makes the folder above it the model."""
    name = _mapped(path.name, path, step_map) or read_name(path.name)
    model = path.parent.name if name.step is not None else path.stem if path.is_file() else path.name
    return Listing(in_utf8(model), (_checkpoint(model, path.name, path, name),))


def _names(called: str, path: Path) -> tuple[str, ...]:
    """Return what a map may call a checkpoint: its path in the source and, as in the table, without suffix."""
    return (called, path.stem) if path.is_file() else (called,)


def _mapped(called: str, path: Path, step_map: StepMap) -> Name | None:
    """Return what the map says of a checkpoint."""
    return step_map.name_of(*_names(called, path))


def _checkpoint(model: str, called: str, path: Path, name: Name) -> Checkpoint:
    """Return the record of a local checkpoint."""
    revision = path.stem if path.is_file() else called
    return Checkpoint(in_utf8(model), in_utf8(revision), path, name.step, name.tokens, name.stage)


def _weights_below(folder: Path, recognise: Recognise, deepest: int = 3) -> tuple[Path, ...]:
    """Return what holds weights in a folder, nearest to it; at most DEEP paths of one level are looked at."""
    level = [folder]
    for _ in range(deepest):
        folders = [each for each in level if each.is_dir() and not each.is_symlink()]
        level = [child for each in folders for child in _listed(each)][:DEEP]
        below = tuple(child for child in level if child.is_dir() and _recognised(child, recognise))
        if below:
            return below
    return ()


def _listed(folder: Path) -> list[Path]:
    """Return what a folder holds, nothing where it cannot be listed."""
    with contextlib.suppress(SpectraError):
        return _children(folder)
    return []


def _recognised(folder: Path, recognise: Recognise) -> bool:
    """Whether a folder holds weights; not one that cannot be looked into."""
    with contextlib.suppress(SpectraError):
        return recognise(folder) is not None
    return False


def _taken_from_below(
    path: Path, deeper: Mapping[Path, tuple[Path, ...]], step_map: StepMap
) -> Iterator[tuple[str, Path]]:
    """Yield the checkpoints that lie in a folder of their own with a step in its name, or that the map names.

    Each comes with its revision: the folder's name, or its path where the map names that.
    """
    for child, below in deeper.items():
        paths = {str(inner.relative_to(path)): inner for inner in below}
        named = {called: inner for called, inner in paths.items() if step_map.name_of(called)}
        if named:
            yield from named.items()
        elif len(below) == 1 and (step_map.name_of(child.name) or read_name(child.name)).step is not None:
            yield child.name, below[0]


def _left_out(path: Path, deeper: Mapping[Path, tuple[Path, ...]], weights: Mapping[str, Path]) -> Iterator[Unread]:
    """Yield what a folder holds beside its checkpoints, and why it is none."""
    for child, below in deeper.items():
        paths = [str(inner.relative_to(path)) for inner in below]
        if child.name in KNOWN_COMPANIONS or {child.name, *paths} & {*weights}:
            continue
        if paths:
            where = ", ".join(paths[:3])
            yield Unread(child.name, f"weights lie deeper, in {where}: scan its folder, or name the path with --map")
        else:
            yield Unread(child.name, _why_not(child))


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


def _why_not(child: Path) -> str:
    """Return why something is no checkpoint."""
    return "a folder without weights that can be read" if child.is_dir() else "not a file of weights"


def _look_into(children: list[Path], recognise: Recognise) -> tuple[dict[str, Path], dict[Path, SpectraError]]:
    """Return those that hold weights, by name, and those that cannot be looked into, with what is in the way."""
    weights, closed = {}, {}
    for child in children:
        try:
            if recognise(child):
                weights[child.name] = child
        except SpectraError as error:
            closed[child] = error
    return weights, closed


def _nothing_hint(path: Path, unread: list[Unread], deeper: Mapping[Path, tuple[Path, ...]]) -> str:
    """Return what to do where a folder holds no checkpoint."""
    if closed := [left_out for left_out in unread if left_out.hint]:
        return f"{closed[0].reason}: {closed[0].hint}"
    steps = [(read_name(child.name).step, below) for child, below in deeper.items() if len(below) > 1]
    if lines := [f"{below[0].relative_to(path)},{step}" for step, below in steps if step is not None]:
        return f"several models lie in each: name one's with --map FILE, lines such as {' then '.join(lines[:2])}"
    runs = list(dict.fromkeys(inner.parent for below in deeper.values() for inner in below))
    if runs:
        several = f"there are {len(runs)} runs in it" if len(runs) > 1 else "they lie deeper"
        return f"{several}: scan one, as with `spectra scan {shlex.quote(str(runs[0]))}`"
    if nameless := [left_out.revision for left_out in unread if "--map" in left_out.reason]:
        if all(SIZE.fullmatch(name) for name in nameless):
            first = shlex.quote(str(path / nameless[0]))
            return f"{', '.join(nameless[:5])} are sizes of models, not steps: scan one, as with `spectra scan {first}`"
        names = ", ".join(nameless)
        return f"no step could be read from {names[:200]}: give the steps with --map FILE (revision,step on each line)"
    return "a checkpoint is a folder with model.safetensors or pytorch_model.bin, or a .safetensors, .pt or .bin file"


def with_tokens(listing: Listing, tokens_per_step: int | None) -> Listing:
    """Return the listing with tokens = step × tokens_per_step where a name does not say them.

    Raises SpectraError, code 2, where those are more than a table can hold.
    """
    if tokens_per_step is None:
        return listing
    if max((c.step or 0 for c in listing.checkpoints), default=0) * tokens_per_step > LARGEST:
        raise SpectraError(
            f"--tokens-per-step {tokens_per_step} makes more tokens than a table can hold",
            hint="give the tokens of one step: sequences a step times their length",
            code=2,
        )
    filled = tuple(
        replace(c, tokens=c.step * tokens_per_step) if c.tokens is None and c.step is not None else c
        for c in listing.checkpoints
    )
    return replace(listing, checkpoints=filled)
