"""Files of weights that lie in a checkpoint's folder and belong to no set that is read: each is looked into, and named.

A file that repeats what is read, in another format, is worth a note; one with weights of its own is a loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped, StoredTensor
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import Boundary, admit
from spectra_cli.weights.grouping import EMA_FILE, SAFETENSORS, SHARD, TORCH, list_folder, weight_files
from spectra_cli.weights.layouts.single_file import merged, open_file
from spectra_cli.weights.tensors.source import TensorSource

COMPARED = 4  # tensors, the smallest: those of another step or another model differ in nearly every one
ROUNDING = 0.01  # of the norm: what a copy in another precision may differ by
KNOWN = (*SAFETENSORS.singles, *TORCH.singles)


def name_unread_files(contents: Contents, folder: Path, boundary: Boundary) -> Contents:
    """Add to what a folder's checkpoint holds the names of other files of weights in the folder."""
    read = {file.path.name for file in contents.files if file.path.parent == folder}
    notes, skipped = list(contents.notes), list(contents.skipped)
    for files in sets_of_weights(list_folder(folder).files - read):
        more = _more(files)
        reason = _own_weights(contents, files, folder, boundary)
        if reason:
            skipped.append(Skipped(files[0], f"{reason}{more}"))
        elif reason is not None:
            notes.append(f"{printable(files[0])}{more} repeats what is read, and is not read itself")
    return replace(contents, notes=tuple(notes), skipped=tuple(skipped))


def sets_of_weights(names: Iterable[str]) -> list[list[str]]:
    """Return those of a folder's file names that look like weights, the shards of one set together.

    >>> sets_of_weights(["a-00002-of-00002.bin", "a-00001-of-00002.bin", "optimizer.bin", "b.safetensors", "README.md"])
    [['a-00001-of-00002.bin', 'a-00002-of-00002.bin'], ['b.safetensors']]
    """
    sets: dict[tuple[str, str], list[str]] = {}
    for name in weight_files(names):
        if not EMA_FILE.search(name):
            shard = SHARD.fullmatch(name)
            sets.setdefault((shard["stem"], shard["suffix"]) if shard else (name, ""), []).append(name)
    return list(sets.values())


def not_fetched(names: Iterable[str]) -> tuple[str, ...]:
    """Return a note for each set of weights that lies beside a checkpoint on the Hub and is not fetched to compare it.

    >>> not_fetched(["README.md", "pytorch_model.bin"])
    ('pytorch_model.bin lies beside the weights on the Hub, is not read, and was not compared with them',)
    """
    return tuple(
        f"{printable(files[0])}{_more(files)} lies beside the weights on the Hub, is not read, and was not compared "
        "with them"
        for files in sets_of_weights(names)
    )


def _more(files: Sequence[str]) -> str:
    return f" (and {len(files) - 1} more of its set)" if len(files) > 1 else ""


def _own_weights(contents: Contents, files: Iterable[str], folder: Path, boundary: Boundary) -> str | None:
    """Return what a set of files holds that is not read; "" where it is a copy, None where it holds no weights."""
    opened = []
    for name in files:
        try:
            opened.append(open_file(admit(folder / name, boundary), ema=False))
        except SpectraError as error:
            by_name = name in KNOWN or SHARD.fullmatch(name) or name.endswith(SAFETENSORS.suffixes)
            return f"it cannot be looked into: {error.message}" if by_name else None
    try:
        other = merged(opened)
    except SpectraError as error:
        return error.message
    own = {name: tensor for name, tensor in other.tensors.items() if _looks_like_weight(name, tensor)}
    if not own and not other.skipped:
        return None
    beside = f"a file of weights beside {contents.files[0].path.name}, which is read"
    new = [name for name, tensor in own.items() if not _same_shape(tensor, contents.tensors.get(name))]
    if new or other.skipped:
        first = next(iter(new), None) or other.skipped[0].tensor
        return f"{beside}; it has {len(new) + len(other.skipped)} tensors of its own, such as {first}"
    differing = _first_that_differs(own, contents.tensors)
    return f"{beside}; its {differing} has other entries" if differing else ""


def _looks_like_weight(name: str, tensor: TensorSource) -> bool:
    return StoredTensor(name, tensor.shape, tensor.dtype).looks_like_weight


def _same_shape(tensor: TensorSource, read: TensorSource | None) -> bool:
    return read is not None and read.shape == tensor.shape


def _first_that_differs(own: Mapping[str, TensorSource], read: Mapping[str, TensorSource]) -> str | None:
    """Compare the smallest tensors of two sets; a copy may be rounded."""
    for name in sorted(own, key=lambda name: (sum(size for _, _, size in own[name].file_ranges), name))[:COMPARED]:
        try:
            copy, original = (tensors[name].read(name, lambda _: None).double() for tensors in (own, read))
        except SpectraError:
            return name
        if not float((copy - original).norm()) <= ROUNDING * float(original.norm()):
            return name
    return None
