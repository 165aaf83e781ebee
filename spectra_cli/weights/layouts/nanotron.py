"""Nanotron's checkpoints: model/model/…, a folder for each module, a safetensors file for each tensor and rank.

Each file says in its header which box of the whole tensor it holds. Where one does not, its name says the axis.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, admit, read_json
from spectra_cli.weights.formats.safetensors import read_safetensors
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.joining import Axis, Blocks, in_order, join_one
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.sharded import Box, ShardedTensor
from spectra_cli.weights.tensors.source import TensorSource

ROOT = ("model", "model")
CONFIG = "model_config.json"
FILE = re.compile(
    r"model_(?P<kind>weight|bias)(_pp-rank-\d+-of-\d+)?(_tp-rank-(?P<rank>\d+)-of-(?P<ranks>\d+))?"
    r"(_exp-rank-0-of-1)?\.safetensors"
)
MODULES = re.compile(r"decoder|token_position_embeddings|final_layer_norm|lm_head")
DEPTH, FILES = 8, 200_000
SLICES, SHAPE = "local_global_slices_pairs", "unsharded_shape"
AXES = (
    Axis(re.compile(r"attn\.qkv_proj\.(weight|bias)$"), 0, "q, k, v"),
    Axis(re.compile(r"mlp\.gate_up_proj\.(weight|bias)$"), 0, "gate, up"),
    Axis(re.compile(r"(token_embedding|lm_head\.pp_block)\.weight$"), 0),
    Axis(re.compile(r"(o_proj|down_proj)\.weight$"), 1),
)


def is_nanotron(listing: Listing) -> bool:
    """Whether a folder holds a model in nanotron's folders."""
    inner = listing.path.joinpath(*ROOT)
    return ROOT[0] in listing.folders and inner.is_dir() and any(map(MODULES.fullmatch, list_folder(inner).folders))


def open_nanotron(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open nanotron's files and put each tensor's parts together; the configuration is model_config.json."""
    if ema:
        raise SpectraError(f"{printable(path, 400)} holds no EMA weights", hint="leave out --ema")
    described, config = _config(path, boundary)
    ranks: dict[str, dict[int, Path]] = {}
    for name, rank, file in _files(path.joinpath(*ROOT)):
        ranks.setdefault(name, {})[rank] = file
    tensors: dict[str, TensorSource] = {}
    skipped, sources = [], list(described)
    for name, files in ranks.items():
        parts = [admit(file, boundary) for file in in_order(path, files)]
        whole = _whole(name, parts, _blocks(config))
        sources += parts
        if isinstance(whole, str):
            skipped.append(Skipped(name, whole))
        else:
            tensors[name] = whole
    return Contents(tensors, tuple(sources), {"model_type": "nanotron", **config}, skipped=tuple(skipped))


def _config(path: Path, boundary: Boundary) -> tuple[tuple[SourceFile, ...], dict[str, Any]]:
    if not os.path.lexists(path / CONFIG):
        return (), {}
    source, config = read_json(path / CONFIG, boundary, limit=4 * 2**20)
    return (source,), config


def _files(root: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield the name, the rank and the file of each part, in the order of names."""
    folders = [(root, 0)]
    count = 0
    while folders:
        folder, depth = folders.pop()
        listing = list_folder(folder)
        folders += [(folder / name, depth + 1) for name in sorted(listing.folders, reverse=True) if depth < DEPTH]
        for match in filter(None, map(FILE.fullmatch, sorted(listing.files))):
            count += 1
            if count > FILES:
                raise SpectraError(f"{printable(root, 400)} holds more than {FILES:,} files", hint=COPY_AGAIN)
            name = ".".join((*folder.relative_to(root).parts, match["kind"]))
            yield name, int(match["rank"] or 0), folder / match[0]


def _blocks(config: Mapping[str, Any]) -> Blocks:
    """Return how the fused tensors of every rank are made up; without heads, nothing of q, k and v."""
    heads = config.get("num_attention_heads")
    kv_heads = config.get("num_key_value_heads") or heads
    if type(heads) is not int or type(kv_heads) is not int or min(heads, kv_heads) < 1:
        return {"gate, up": (1, 1)}
    return {"gate, up": (1, 1), "q, k, v": (heads, kv_heads, kv_heads)}


def _whole(name: str, files: Sequence[SourceFile], blocks: Blocks) -> TensorSource | str:
    read = [_only_tensor(file) for file in files]
    shards, described = [tensor for tensor, _ in read], [header for _, header in read]
    if len(shards) == 1:
        return shards[0]
    if all(SLICES in header and SHAPE in header for header in described):
        return _by_description(name, shards, described)
    rule = next((rule for rule in AXES if rule.names.search(name)), None)
    if rule is not None and rule.blocks == "q, k, v" and rule.blocks not in blocks:
        return f"every rank holds q, k and v of its heads, and no {CONFIG} says how many heads there are"
    return join_one(name, shards, AXES, blocks)


def _only_tensor(file: SourceFile) -> tuple[PlainTensor, Mapping[str, Any]]:
    """Return the tensor of a file, and what its header says of the whole."""
    tensors, _, header = read_safetensors(file)
    if len(tensors) != 1:
        raise SpectraError(f"{file} holds {len(tensors)} tensors, and nanotron keeps one in a file", hint=COPY_AGAIN)
    return next(iter(tensors.values())), header


def _by_description(name: str, shards: Sequence[PlainTensor], described: Sequence[Mapping[str, Any]]) -> TensorSource:
    shape = tuple(int(length) for length in re.findall(r"\d{1,10}", str(described[0][SHAPE])))
    boxes = tuple(
        tuple(_boxes(str(each[SLICES]), shard.shape, shape)) for each, shard in zip(described, shards, strict=True)
    )
    whole = ShardedTensor(shape, shards[0].dtype, tuple(shards), boxes)
    if not whole.covered or len({shard.dtype for shard in shards}) > 1:
        raise SpectraError(
            f"the parts of {printable(name)} beside {shards[0].file} do not make up {list(shape)}, as they say",
            hint=COPY_AGAIN,
        )
    return whole


def _boxes(text: str, shard: tuple[int, ...], whole: tuple[int, ...]) -> Iterator[Box]:
    """Yield the boxes of one rank's part from pairs of slices, written LOCAL#GLOBAL;…, each start,stop,step|… .

    >>> list(_boxes("0,2,None|None,None,None#4,6,None|None,None,None", (2, 3), (8, 3)))
    [Box(begin=(0, 0), target=(4, 0), shape=(2, 3))]
    """
    for pair in text.split(";"):
        local, _, target = pair.partition("#")
        inside, outside = _bounds(local, shard), _bounds(target, whole)
        shape = tuple(stop - start for start, stop in inside)
        if len(inside) != len(shard) or len(outside) != len(whole) or shape != tuple(b - a for a, b in outside):
            yield Box((0,) * len(shard), (0,) * len(whole), (2**62,) * len(whole))  # covers nothing that is there
        else:
            yield Box(tuple(start for start, _ in inside), tuple(start for start, _ in outside), shape)


def _bounds(text: str, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    bounds = []
    for part, length in zip(text.split("|"), shape, strict=False):
        start, stop = (re.findall(r"\d{1,10}|None", part) + ["None", "None"])[:2]
        bounds.append((0 if start == "None" else int(start), length if stop == "None" else int(stop)))
    return bounds
