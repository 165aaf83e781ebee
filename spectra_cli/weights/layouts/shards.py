"""One checkpoint of one file or of shards, as safetensors or as torch.save wrote it: its tensors and configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, admit, read_json
from spectra_cli.weights.grouping import SAFETENSORS, TORCH, Group, Naming, check_complete, list_folder, pick
from spectra_cli.weights.layouts.meta import RANK as META_RANK
from spectra_cli.weights.layouts.single_file import merged, open_file, with_config

RANKS = (META_RANK,)


def open_safetensors(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open a safetensors file, or a folder of one or of shards."""
    return _open(path, boundary, ema, SAFETENSORS)


def open_torch(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open a file of torch.save, or a folder of one or of shards."""
    return _open(path, boundary, ema, TORCH)


def _open(path: Path, boundary: Boundary, ema: bool, naming: Naming) -> Contents:
    if not os.path.isdir(path):
        _refuse_one_rank(path)
        return with_config(open_file(admit(path, boundary), ema), path.parent, boundary)
    group = pick(list_folder(path), naming, ema=ema)
    if group is None:
        raise SpectraError(f"{printable(path, 400)} is no longer a checkpoint", hint="check the folder")
    if group.index is None:
        check_complete(path, group.files)
        contents = merged([open_file(admit(path / name, boundary), ema) for name in group.files])
    else:
        contents = _indexed(path, group, boundary, ema)
    return with_config(contents, path, boundary)


def _refuse_one_rank(path: Path) -> None:
    """Raise SpectraError for the file of one rank of several: by itself it is a part of a model."""
    pattern = next((pattern for pattern in RANKS if pattern.fullmatch(path.name)), None)
    others = sorted(filter(pattern.fullmatch, list_folder(path.parent).files)) if pattern else []
    if len(others) > 1:
        raise SpectraError(
            f"{printable(path, 400)} is one of {len(others)} ranks' files of one checkpoint",
            hint=f"give the folder: {printable(path.parent, 400)}",
        )


def _indexed(folder: Path, group: Group, boundary: Boundary, ema: bool) -> Contents:
    """Read the shards that an index names, and check that each tensor is in the shard that the index names."""
    source, index = read_json(folder / str(group.index), boundary)
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()) or not shard_of:
        raise SpectraError(f"{source} has no weight_map from tensors to files", hint=COPY_AGAIN)
    shards = sorted(set(shard_of.values()))
    contents = {shard: open_file(_admit_shard(folder, shard, source, boundary), ema) for shard in shards}
    held = {shard: {*part.tensors, *(skip.tensor for skip in part.skipped)} for shard, part in contents.items()}
    lost = next((name for name, shard in shard_of.items() if name not in held[shard]), None)
    if lost is not None:
        raise SpectraError(
            f"{source} says that {printable(lost)} is in {printable(shard_of[lost])}, and it is not", hint=COPY_AGAIN
        )
    whole = merged(contents.values())
    return replace(whole, files=(source, *whole.files))


def _admit_shard(folder: Path, shard: str, index: SourceFile, boundary: Boundary) -> SourceFile:
    parts = PurePosixPath(shard).parts
    if not parts or shard.startswith("/") or ".." in parts or "\\" in shard or "\0" in shard:
        raise SpectraError(
            f"{index} names the shard {printable(shard)}, which is outside the checkpoint's folder",
            hint="do not trust this checkpoint; an index names files beside it",
        )
    try:
        return admit(folder / shard, boundary)
    except SpectraError as error:
        if os.path.lexists(folder / shard):
            raise
        raise SpectraError(f"{index} names the shard {printable(shard)}, which is not there", hint=error.hint) from None
