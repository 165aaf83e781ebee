"""A model that each rank saved its part of by torch.save, as FSDP's sharded state dicts are: …rank_0.pt, …rank_1.pt.

The parts say themselves where they belong. What several ranks hold without saying so is never joined by guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, admit
from spectra_cli.weights.grouping import STATES, Listing, list_folder
from spectra_cli.weights.layouts.joining import check_count, in_order
from spectra_cli.weights.layouts.single_file import open_file, with_config
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.sharded import Box, RankPart, ShardedTensor
from spectra_cli.weights.tensors.source import TensorSource

RANK = re.compile(r"(?P<stem>.+?)(_world_size_(?P<ranks>\d+))?[_-]rank[_-]?(?P<rank>\d+)\.(pt|pth|bin)")
NOT_WEIGHTS = re.compile(r"extra_state|loader")
CONFIG_BELOW = "huggingface"  # where verl puts the configuration and the tokenizer


def is_rank_files(listing: Listing) -> bool:
    """Whether a folder holds the files of all ranks of one model, by their names."""
    matches = _matches(listing)
    counted = {match["ranks"] for match in matches} != {None}
    return len({match["stem"] for match in matches}) == 1 and (len(matches) > 1 or counted)


def _matches(listing: Listing) -> list[re.Match[str]]:
    names = [name for name in sorted(listing.files) if not STATES.search(name) and not NOT_WEIGHTS.search(name)]
    return [match for match in map(RANK.fullmatch, names) if match]


def open_rank_files(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open the files of all ranks and put their parts together."""
    matches = {int(match["rank"]): match for match in _matches(list_folder(path))}
    ranks = in_order(path, matches)
    check_count(path, "ranks", len(ranks), "world_size", int(ranks[0]["ranks"]) if ranks[0]["ranks"] else None)
    parts = [open_file(admit(path / match[0], boundary), ema, parts=True) for match in ranks]
    tensors: dict[str, TensorSource] = {}
    skipped = [skip for part in parts for skip in part.skipped]
    for name in dict.fromkeys(name for part in parts for name in part.tensors):
        whole = _whole(name, [tensor for part in parts if isinstance(tensor := part.tensors.get(name), PlainTensor)])
        if isinstance(whole, str):
            skipped.append(Skipped(name, whole))
        else:
            tensors[name] = whole
    files = tuple(file for part in parts for file in part.files)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    contents = Contents(tensors, files, parts[0].config, notes, tuple(dict.fromkeys(skipped)))
    below = path / CONFIG_BELOW
    own = os.path.lexists(path / "config.json") or not os.path.lexists(below / "config.json")
    return with_config(contents, path if own else below, boundary)


def _whole(name: str, shards: Sequence[PlainTensor]) -> TensorSource | str:
    first = shards[0]
    parts = [shard for shard in shards if isinstance(shard, RankPart)]
    if len(parts) < len(shards):
        if len(shards) > 1 and len(first.shape) > 1:
            return "several ranks hold it, and their files do not say which part of it each is"
        return first
    whole, axis = parts[0].whole, parts[0].axis
    kept, boxes, reached = [], [], 0
    for part in parts:
        begin = tuple(reached if number == axis else 0 for number in range(len(whole)))
        if 0 in part.shape or reached >= whole[axis]:
            continue  # more ranks than rows, or copies for another group of ranks
        kept.append(part)
        boxes.append((Box((0,) * len(whole), begin, part.shape),))
        reached += part.shape[axis]
    joined = ShardedTensor(whole, first.dtype, tuple(kept), tuple(boxes))
    if not joined.covered or len({(p.whole, p.dtype) for p in parts}) > 1:
        raise SpectraError(
            f"the ranks' parts of {printable(name)} beside {first.file} do not make up {list(whole)}, as they say",
            hint=COPY_AGAIN,
        )
    return joined
