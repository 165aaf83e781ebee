"""One file of weights by itself, and what belongs to it: its configuration. Knows nothing of shards or ranks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectra_cli.budget import bounded
from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, read_flat_yaml, read_json
from spectra_cli.weights.formats.pickle_objects import Array, PartOfTensor, TensorView, Unreadable
from spectra_cli.weights.formats.rank_parts import LocalPart, local_part
from spectra_cli.weights.formats.safetensors import read_safetensors
from spectra_cli.weights.formats.torch import TorchFile, locate, read_torch
from spectra_cli.weights.grouping import EMA_FILE
from spectra_cli.weights.layouts.state_dicts import BESIDE, TENSORS, Leaf, find_state
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.sharded import RankPart
from spectra_cli.weights.tensors.source import TensorSource

CONFIG, CONFIG_BYTES = "config.json", 4 * 2**20
LITGPT, LITGPT_CONFIG = "lit_model.pth", "model_config.yaml"
ONE_PART = "it is one rank's part of a tensor: give the folder that holds the files of all ranks"
NANOCHAT = re.compile(r"model_(\d+)\.pt")


def open_file(source: SourceFile, ema: bool, *, parts: bool = False) -> Contents:
    """Open one file of weights, safetensors or of torch.save, without looking at the files beside it.

    parts: also what is one rank's part of a tensor, which is skipped otherwise.
    """
    with bounded(source):
        return _open_file(source, ema, parts)


def _open_file(source: SourceFile, ema: bool, parts: bool) -> Contents:
    ema = ema and not EMA_FILE.search(source.path.name)
    if source.path.suffix == ".safetensors":
        tensors, skipped, header = read_safetensors(source)
        if ema:
            raise _no_average(source)
        return Contents(tensors, (source,), skipped=skipped, header=header)
    file = read_torch(source)
    state = find_state(file.content, ema=ema)
    if state is None and ema:
        raise _no_average(source)
    if state is None:
        raise SpectraError(f"{source} holds no tensors of a model", hint="give the file that holds the weights")
    if len(state.tensors) > TENSORS:
        raise SpectraError(f"{source} holds more than {TENSORS:,} tensors", hint=COPY_AGAIN)
    located = {name: _located(file, leaf) for name, leaf in state.tensors.items()}
    if not parts:
        located = {name: ONE_PART if _is_some(part) else part for name, part in located.items()}
    skipped = tuple(Skipped(name, reason) for name, reason in located.items() if isinstance(reason, str))
    tensors = {name: tensor for name, tensor in located.items() if isinstance(tensor, PlainTensor)}
    beside = tuple(Skipped(name, BESIDE) for name in state.beside)
    return Contents(tensors, (source,), state.config, (*file.notes, *state.notes), (*skipped, *beside))


def _located(file: TorchFile, leaf: Leaf) -> PlainTensor | str:
    if isinstance(leaf, PartOfTensor):
        return _located_part(file, local_part(leaf))
    if isinstance(leaf, TensorView):
        return locate(file, leaf)
    return leaf.reason if isinstance(leaf, Unreadable | Array) else "it lies in another file"


def _located_part(file: TorchFile, part: LocalPart | Unreadable) -> RankPart | str:
    located = locate(file, part.view) if isinstance(part, LocalPart) else part.reason
    if isinstance(located, str) or isinstance(part, Unreadable):
        return str(located)
    return RankPart(**vars(located), whole=part.whole, axis=part.axis)


def _is_some(part: PlainTensor | str) -> bool:
    """Whether it is less than the whole tensor."""
    return isinstance(part, RankPart) and part.shape != part.whole


def _no_average(source: SourceFile) -> SpectraError:
    return SpectraError(f"{source} holds no EMA weights", hint="leave out --ema to take the weights themselves")


def merged(parts: Iterable[Contents]) -> Contents:
    """Merge what shards hold; SpectraError where a tensor is in two of them."""
    tensors: dict[str, TensorSource] = {}
    whole = list(parts)
    for part in whole:
        for name, tensor in part.tensors.items():
            if name in tensors:
                raise SpectraError(
                    f"{printable(name)} is in two files of one checkpoint, {part.files[0]} the second of them",
                    hint="keep one set of shards",
                )
            tensors[name] = tensor
    return Contents(
        tensors,
        tuple(file for part in whole for file in part.files),
        next((part.config for part in whole if part.config), {}),
        tuple(dict.fromkeys(note for part in whole for note in part.notes)),
        tuple(skip for part in whole for skip in part.skipped),
        header={key: value for part in whole for key, value in part.header.items()},
    )


def with_config(contents: Contents, folder: Path, boundary: Boundary) -> Contents:
    """Add the configuration beside the weights: Hugging Face's config.json, or nanochat's description of the step."""
    beside = _config_beside(contents.files[0].path, folder, boundary)
    if beside is None:
        return contents
    source, config = beside
    return replace(contents, files=(*contents.files, source), config={**contents.config, **config})


def with_config_of_run(contents: Contents, run: Path, boundary: Boundary) -> Contents:
    """Add the config.json that lies in the run's folder, beside the checkpoints, where it is one of a model."""
    if not os.path.lexists(run / CONFIG):
        return contents
    source, config = read_json(run / CONFIG, boundary, limit=CONFIG_BYTES)
    if not isinstance(config.get("model_type"), str):
        return contents
    note = f"the run's own {CONFIG} serves checkpoints that have none"
    return replace(contents, files=(*contents.files, source), config=config, notes=(*contents.notes, note))


def _config_beside(first: Path, folder: Path, boundary: Boundary) -> tuple[SourceFile, dict[str, Any]] | None:
    if first.name.startswith(LITGPT) and os.path.lexists(folder / LITGPT_CONFIG):
        source, config = read_flat_yaml(folder / LITGPT_CONFIG, boundary)
        return source, {**config, "model_type": "litgpt"}
    if os.path.lexists(folder / CONFIG):
        return read_json(folder / CONFIG, boundary, limit=CONFIG_BYTES)
    match = NANOCHAT.fullmatch(first.name)
    if match and os.path.lexists(folder / f"meta_{match[1]}.json"):
        source, meta = read_json(folder / f"meta_{match[1]}.json", boundary, limit=CONFIG_BYTES)
        model = meta.get("model_config")
        return source, {"model_type": "nanochat", **meta, **(model if isinstance(model, dict) else {})}
    return None
