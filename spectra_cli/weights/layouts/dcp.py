"""Torch's distributed checkpoints: a folder with `.metadata` and the tensors' chunks in .distcp files.

`torch.distributed.checkpoint` reads `.metadata` with plain `pickle.load`, which runs whatever it holds; here it is read
as data, and each chunk, an archive of torch.save within a larger file, by the same reader as other such archives.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from spectra_cli.budget import bounded, spend
from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import ITEMSIZE, Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, BoundedReader, SourceFile, Window, admit, opened
from spectra_cli.weights.formats.pickle_objects import Name, Shell, UnreadablePickleError
from spectra_cli.weights.formats.torch import read_torch
from spectra_cli.weights.formats.unpickling import read_pickle
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.single_file import with_config
from spectra_cli.weights.layouts.state_dicts import BESIDE, TensorKey, find_config, find_state
from spectra_cli.weights.tensors.chunked import Chunk, ChunkedTensor, StackedLayer
from spectra_cli.weights.tensors.source import TensorSource

# Where in a step's folder training programs put it: FSDP by transformers, OLMo-core.
SUBFOLDERS = ("pytorch_model_fsdp_0", "model_and_optim", "model")
METADATA = ".metadata"
STACKED = re.compile(r"(?P<before>(.+\.)?(decoder|encoder)\.layers\.)(?P<after>[a-z].*)")  # Megatron's layers in one
LAYERS = 4096
COMMON = "common.pt"  # where Megatron keeps its arguments
# Megatron keeps its dictionary flat: only names mark the optimizer's states.
FLAT = ("optimizer.", "optim.", "chained_")
PIECES = 1024


def is_dcp(listing: Listing) -> bool:
    """Whether a folder, or a usual subfolder of it, is a distributed checkpoint."""
    return _find_folder(listing) is not None


def _find_folder(listing: Listing) -> Path | None:
    if METADATA in listing.files:
        return listing.path
    folders = [listing.path / name for name in SUBFOLDERS if name in listing.folders]
    return next((folder for folder in folders if METADATA in list_folder(folder).files), None)


@dataclass(frozen=True)
class _Folder:
    """A checkpoint's folder: its description, and the files of chunks that it named so far."""

    description: SourceFile
    boundary: Boundary
    files: dict[str, SourceFile]


def open_dcp(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open a distributed checkpoint: its tensors from `.metadata`, their chunks when they are read."""
    root = _find_folder(list_folder(path)) or path
    description = admit(root / METADATA, boundary)
    with bounded(description):
        return _open(path, _Folder(description, boundary, {}), ema)


def _open(path: Path, folder: _Folder, ema: bool) -> Contents:
    root, boundary = folder.description.path.parent, folder.boundary
    described, stored, paths = _metadata(folder.description)
    model = find_state(_nested(described, paths), ema=ema)
    if model is None:
        what = "EMA weights" if ema else "tensors of a model"
        raise SpectraError(f"{folder.description} describes no {what}", hint="give the folder that holds the weights")
    keys = {name: leaf.key for name, leaf in model.tensors.items() if isinstance(leaf, TensorKey)}
    parts = {name: _tensor(folder, key, described[key], stored.get(key, [])) for name, key in keys.items()}
    whole = {name: part for name, part in parts.items() if isinstance(part, ChunkedTensor)}
    tensors: dict[str, TensorSource] = {
        own: layer for name, part in whole.items() for own, layer in _unstacked(name, part)
    }
    skipped = tuple(Skipped(name, reason) for name, reason in parts.items() if isinstance(reason, str))
    others = {name: leaf.key for name, leaf in model.beside.items() if isinstance(leaf, TensorKey)}
    sizes = {name: described[key]["size"] for name, key in others.items()}
    skipped += tuple(Skipped(n, BESIDE) for n, size in sizes.items() if isinstance(size, tuple) and len(size) > 1)
    config = {}
    if os.path.lexists(root / COMMON):
        common = admit(root / COMMON, boundary)
        content = read_torch(common).content
        config = find_config(content) if isinstance(content, dict) else {}
    contents = Contents(tensors, (folder.description, *folder.files.values()), config, model.notes, skipped)
    return with_config(contents, path, boundary)


def _unstacked(name: str, whole: ChunkedTensor) -> Iterator[tuple[str, TensorSource]]:
    """Yield each layer of a stack under a name of its own, and any other tensor unchanged."""
    match = STACKED.fullmatch(name)
    if match is None or not whole.shape or whole.shape[0] > LAYERS:
        yield name, whole
        return
    for number in range(whole.shape[0]):
        spend(200)
        yield f"{match['before']}{number}.{match['after']}", StackedLayer(whole, number)


def _metadata(source: SourceFile) -> tuple[dict[str, Any], dict[str, list[Any]], Mapping[str, Any]]:
    """Read what each tensor is, where its chunks are stored, and the path of keys to it when it was saved."""
    try:
        with opened(source) as descriptor:
            top = read_pickle(BoundedReader(Window(descriptor, 0, source.size)))
    except UnreadablePickleError as error:
        raise SpectraError(f"{source} is refused: {error}", hint=COPY_AGAIN) from None
    state = _attributes(top)
    described, storage, paths = (state.get(key) for key in ("state_dict_metadata", "storage_data", "planner_data"))
    if not isinstance(described, dict) or not isinstance(storage, dict):
        raise SpectraError(f"{source} is not the description of a distributed checkpoint", hint=COPY_AGAIN)
    stored: dict[str, list[Any]] = {}
    for index, info in storage.items():
        spend(200)
        key, begin = _attributes(index).get("fqn"), _attributes(index).get("offset")
        if isinstance(key, str):  # anything else is the piece of no tensor
            stored.setdefault(key, []).append((begin, _attributes(info)))
    tensors = {
        key: _attributes(value)
        for key, value in described.items()
        if isinstance(key, str) and "size" in _attributes(value)
    }
    return tensors, stored, paths if isinstance(paths, dict) else {}


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that was read as a shell; none for anything else."""
    return value.state if isinstance(value, Shell) and isinstance(value.state, dict) else {}


def _nested(described: Iterable[str], paths: Mapping[str, Any]) -> dict[Any, Any]:
    """Build the nested dictionaries that were saved, each tensor as its key: the planner stores the path to each."""
    top: dict[Any, Any] = {}
    for key in described:
        path = paths.get(key)
        spend(200)
        steps = (
            path
            if isinstance(path, tuple) and 0 < len(path) <= 64 and all(isinstance(s, str | int) for s in path)
            else (key,)
        )
        if steps == (key,) and key.startswith(FLAT):
            steps = ("optimizer", key)
        inner = top
        for step in steps[:-1][:12]:
            below = inner.setdefault(step, {})
            inner = below if isinstance(below, dict) else inner
        inner[steps[-1]] = TensorKey(key)
    return top


def _tensor(folder: _Folder, key: str, state: Mapping[str, Any], stored: list[Any]) -> ChunkedTensor | str:
    """Return one tensor as its chunks; where it cannot be read, the reason as text."""
    shape, properties, chunks = state["size"], state.get("properties"), state.get("chunks")
    values = properties.state if isinstance(properties, Shell) else None
    dtype = values[0] if isinstance(values, tuple) and values else None
    if not isinstance(dtype, Name) or dtype.name not in ITEMSIZE:
        return "its dtype is not one that is read"
    if not _counts(shape) or not isinstance(chunks, list) or len(chunks) > PIECES or len(stored) > PIECES:
        raise _unsound(folder.description, key, "its shape or its pieces are not described")
    pieces = []
    sizes = _sizes(chunks)
    for begin, info in stored:
        spend(200)
        size = sizes.get(begin) if _counts(begin) else None
        if size is None:
            raise _unsound(folder.description, key, "a stored piece is not one of those described")
        pieces.append(Chunk(begin, size, *_stored_at(folder, key, info)))
    _check_cover(folder.description, key, shape, pieces)
    return ChunkedTensor(shape, dtype.name, tuple(pieces))


def _sizes(chunks: list[Any]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Return the size of each chunk by its offsets, the first where two are alike."""
    sizes: dict[tuple[int, ...], tuple[int, ...]] = {}
    for chunk in map(_attributes, chunks):
        spend(200)
        begin, size = chunk.get("offsets"), chunk.get("sizes")
        if _counts(begin) and _counts(size):
            sizes.setdefault(begin, size)
    return sizes


def _counts(value: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and len(value) <= 64 and all(map(_count, value))


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _unsound(source: SourceFile, key: str, why: str) -> SpectraError:
    return SpectraError(f"{source} is not sound: of {printable(key)}, {why}", hint=COPY_AGAIN)


def _stored_at(folder: _Folder, key: str, info: Mapping[str, Any]) -> tuple[SourceFile, int, int]:
    """Return the file that holds a chunk, and its start and size there."""
    name, offset, length = info.get("relative_path"), info.get("offset", 0), info.get("length", 0)
    if not isinstance(name, str) or "/" in name or name in ("", "..", ".") or not _counts((offset, length)):
        raise _unsound(folder.description, key, "a piece lies nowhere in this folder")
    if info.get("transform_descriptors"):
        raise _unsound(folder.description, key, "a piece was compressed or otherwise changed on writing")
    if name not in folder.files:
        folder.files[name] = admit(folder.description.path.parent / name, folder.boundary)
    file = folder.files[name]
    if offset + length > file.size:
        raise SpectraError(
            f"{file} is cut short: {printable(key)} ends at byte {offset + length:,}, the file at {file.size:,}",
            hint=COPY_AGAIN,
        )
    return file, offset, length


def _check_cover(source: SourceFile, key: str, shape: tuple[int, ...], pieces: list[Chunk]) -> None:
    """Check that the chunks lie within the tensor, do not overlap, and leave nothing uncovered."""
    for piece in pieces:
        boxes = list(zip(piece.begin, piece.shape, shape, strict=False))
        if len({len(piece.begin), len(piece.shape), len(shape)}) > 1 or any(b + s > whole for b, s, whole in boxes):
            raise _unsound(source, key, "a piece reaches beyond it")
    covered = sum(math.prod(piece.shape) for piece in pieces)
    if covered != math.prod(shape):
        raise _unsound(source, key, f"the pieces hold {covered:,} of {math.prod(shape):,} elements")
    if shape and _any_overlap(sorted(pieces, key=lambda piece: piece.begin)):
        raise _unsound(source, key, "two pieces overlap")


def _any_overlap(ordered: list[Chunk]) -> bool:
    """Whether two of the pieces, in the order of where they begin, overlap: only those within one's first axis can."""
    for number, piece in enumerate(ordered):
        for other in ordered[number + 1 :]:
            if other.begin[0] >= piece.begin[0] + piece.shape[0]:
                break
            spend()
            if _overlap(piece, other):
                return True
    return False


def _overlap(first: Chunk, second: Chunk) -> bool:
    axes = zip(first.begin, first.shape, second.begin, second.shape, strict=True)
    return all(max(a, b) < min(a + m, b + n) for a, m, b, n in axes)
