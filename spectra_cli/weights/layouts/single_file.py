"""One file of weights by itself, and what belongs to it: its configuration. Knows nothing of shards or ranks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, read_json
from spectra_cli.weights.formats.pickle_objects import TensorView, Unreadable
from spectra_cli.weights.formats.safetensors import read_safetensors
from spectra_cli.weights.formats.torch import TorchFile, locate, read_torch
from spectra_cli.weights.grouping import EMA_FILE
from spectra_cli.weights.layouts.state_dicts import TENSORS, Leaf, find_state
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource

NANOCHAT = re.compile(r"model_(\d+)\.pt")


def open_file(source: SourceFile, ema: bool) -> Contents:
    """Open one file of weights, safetensors or of torch.save, without looking at what lies beside it."""
    ema = ema and not EMA_FILE.search(source.path.name)
    if source.path.suffix == ".safetensors":
        tensors, skipped = read_safetensors(source)
        if ema:
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
    places = {name: _place(file, leaf) for name, leaf in found.tensors.items()}
    skipped = tuple(Skipped(name, place) for name, place in places.items() if isinstance(place, str))
    tensors = {name: place for name, place in places.items() if isinstance(place, PlainTensor)}
    return Contents(tensors, (source,), found.config, (*file.notes, *found.notes), skipped)


def _place(file: TorchFile, leaf: Leaf) -> PlainTensor | str:
    if isinstance(leaf, TensorView):
        return locate(file, leaf)
    return leaf.reason if isinstance(leaf, Unreadable) else "it lies in another file"


def _no_average(source: SourceFile) -> SpectraError:
    return SpectraError(f"{source} holds no EMA weights", hint="leave out --ema to take the weights themselves")


def merged(parts: Iterable[Contents]) -> Contents:
    """Put shards together; a tensor may lie in one of them only."""
    tensors: dict[str, TensorSource] = {}
    whole = list(parts)
    for part in whole:
        for name, place in part.tensors.items():
            if name in tensors:
                raise SpectraError(
                    f"{printable(name)} is in two files of one checkpoint, {part.files[0]} the second of them",
                    hint="keep one set of shards",
                )
            tensors[name] = place
    return Contents(
        tensors,
        tuple(file for part in whole for file in part.files),
        next((part.config for part in whole if part.config), {}),
        tuple(dict.fromkeys(note for part in whole for note in part.notes)),
        tuple(skip for part in whole for skip in part.skipped),
    )


def with_config(contents: Contents, folder: Path, boundary: Boundary) -> Contents:
    """Add the configuration beside the weights: Hugging Face's config.json, or nanochat's description of the step."""
    found = _config_beside(contents.files[0].path, folder, boundary)
    if found is None:
        return contents
    source, config = found
    return replace(contents, files=(*contents.files, source), config={**contents.config, **config})


def _config_beside(first: Path, folder: Path, boundary: Boundary) -> tuple[SourceFile, dict[str, Any]] | None:
    if os.path.lexists(folder / "config.json"):
        return read_json(folder / "config.json", boundary, limit=4 * 2**20)
    match = NANOCHAT.fullmatch(first.name)
    if match and os.path.lexists(folder / f"meta_{match[1]}.json"):
        source, meta = read_json(folder / f"meta_{match[1]}.json", boundary, limit=4 * 2**20)
        model = meta.get("model_config")
        return source, {"model_type": "nanochat", **meta, **(model if isinstance(model, dict) else {})}
    return None
