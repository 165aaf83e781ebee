"""One checkpoint of one file or of shards, as safetensors or as torch.save wrote it: its tensors and configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.extents import Extent
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, admit, read_json
from spectra_cli.weights.grouping import SAFETENSORS, TORCH, Group, Naming, check_complete, list_folder, pick
from spectra_cli.weights.pickled import Unreadable
from spectra_cli.weights.safetensors_files import read_safetensors
from spectra_cli.weights.state_dicts import TENSORS, find_state
from spectra_cli.weights.text import shown
from spectra_cli.weights.torch_files import locate, read_torch

NANOCHAT = re.compile(r"model_(\d+)\.pt")


def open_safetensors(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open a safetensors file, or a folder of one or of shards."""
    return _open(path, boundary, ema, SAFETENSORS)


def open_torch(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open a file of torch.save, or a folder of one or of shards."""
    return _open(path, boundary, ema, TORCH)


def _open(path: Path, boundary: Boundary, ema: bool, naming: Naming) -> Contents:
    if not path.is_dir():
        return _with_config(_one_file(admit(path, boundary), ema), path.parent, boundary)
    group = pick(list_folder(path), naming, ema=ema)
    if group is None:
        raise SpectraError(f"{shown(path, 400)} is no longer a checkpoint", hint="check the folder")
    if group.index is None:
        check_complete(path, group.files)
        contents = _merged([_one_file(admit(path / name, boundary), ema) for name in group.files])
    else:
        contents = _indexed(path, group, boundary, ema)
    return _with_config(contents, path, boundary)


def _one_file(source: SourceFile, ema: bool) -> Contents:
    if source.path.suffix == ".safetensors":
        tensors, skipped = read_safetensors(source)
        if ema and "ema" not in source.path.stem.lower():
            raise _no_average(source)
        return Contents(tensors, (source,), skipped=skipped)
    file = read_torch(source)
    found = find_state(file.content, ema=ema)
    if found is None and ema:
        raise _no_average(source)
    if found is None:
        raise SpectraError(f"{source} holds no tensors of a model", hint="give the file that holds the weights")
    if len(found.tensors) > TENSORS:
        raise SpectraError(f"{source} holds more than {TENSORS:,} tensors", hint=COPY_AGAIN)
    places = {
        n: leaf.reason if isinstance(leaf, Unreadable) else locate(file, leaf) for n, leaf in found.tensors.items()
    }
    skipped = tuple(Skipped(name, place) for name, place in places.items() if isinstance(place, str))
    tensors = {name: place for name, place in places.items() if isinstance(place, Extent)}
    return Contents(tensors, (source,), found.config, (*file.notes, *found.notes), skipped)


def _no_average(source: SourceFile) -> SpectraError:
    return SpectraError(f"{source} holds no EMA weights", hint="leave out --ema to take the weights themselves")


def _merged(parts: Iterable[Contents]) -> Contents:
    """Put shards together; a tensor may lie in one of them only."""
    tensors: dict[str, Extent] = {}
    whole = list(parts)
    for part in whole:
        for name, extent in part.tensors.items():
            if name in tensors:
                raise SpectraError(
                    f"{shown(name)} is in both {tensors[name].file} and {extent.file}", hint="keep one set of shards"
                )
            tensors[name] = extent
    return Contents(
        tensors,
        tuple(file for part in whole for file in part.files),
        next((part.config for part in whole if part.config), {}),
        tuple(dict.fromkeys(note for part in whole for note in part.notes)),
        tuple(skip for part in whole for skip in part.skipped),
    )


def _indexed(folder: Path, group: Group, boundary: Boundary, ema: bool) -> Contents:
    """Read the shards that an index names, and check that each tensor lies where the index says."""
    source, index = read_json(folder / str(group.index), boundary)
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()) or not shard_of:
        raise SpectraError(f"{source} has no weight_map from tensors to files", hint=COPY_AGAIN)
    shards = sorted(set(shard_of.values()))
    contents = {shard: _one_file(_admit_shard(folder, shard, source, boundary), ema) for shard in shards}
    known = {shard: {*part.tensors, *(skip.tensor for skip in part.skipped)} for shard, part in contents.items()}
    lost = next((name for name, shard in shard_of.items() if name not in known[shard]), None)
    if lost is not None:
        raise SpectraError(
            f"{source} says that {shown(lost)} is in {shown(shard_of[lost])}, and it is not", hint=COPY_AGAIN
        )
    merged = _merged(contents.values())
    return Contents(merged.tensors, (source, *merged.files), merged.config, merged.notes, merged.skipped)


def _admit_shard(folder: Path, shard: str, index: SourceFile, boundary: Boundary) -> SourceFile:
    parts = PurePosixPath(shard).parts
    if not parts or shard.startswith("/") or ".." in parts or "\\" in shard or "\0" in shard:
        raise SpectraError(
            f"{index} names the shard {shown(shard)}, which is outside the checkpoint's folder",
            hint="do not trust this checkpoint; an index names files beside it",
        )
    try:
        return admit(folder / shard, boundary)
    except SpectraError as error:
        if (folder / shard).exists():
            raise
        raise SpectraError(f"{index} names the shard {shown(shard)}, which is not there", hint=error.hint) from None


def _with_config(contents: Contents, folder: Path, boundary: Boundary) -> Contents:
    """Add the configuration beside the weights: Hugging Face's config.json, or nanochat's description of the step."""
    found = _config_beside(contents.files[0].path, folder, boundary)
    if found is None:
        return contents
    source, config = found
    return Contents(
        contents.tensors, (*contents.files, source), {**contents.config, **config}, contents.notes, contents.skipped
    )


def _config_beside(first: Path, folder: Path, boundary: Boundary) -> tuple[SourceFile, dict[str, Any]] | None:
    if (folder / "config.json").exists():
        return read_json(folder / "config.json", boundary, limit=4 * 2**20)
    match = NANOCHAT.fullmatch(first.name)
    if match and (folder / f"meta_{match[1]}.json").exists():
        source, meta = read_json(folder / f"meta_{match[1]}.json", boundary, limit=4 * 2**20)
        model = meta.get("model_config")
        return source, {"model_type": "nanochat", **meta, **(model if isinstance(model, dict) else {})}
    return None
