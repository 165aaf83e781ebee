"""Megatron's folders by rank, mp_rank_TT[_PPP][_EEE]: tensor-parallel ranks, stages of the pipeline, expert ranks.

Which of the last two a single number means, only the arguments in the files say; they are believed, and their counts
are held against what the folders hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import Boundary, admit
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.joining import check_count, in_order, join, renamed
from spectra_cli.weights.layouts.single_file import merged, open_file
from spectra_cli.weights.layouts.tensor_parallel import AXES, gated

MEGATRON = re.compile(r"mp_rank_(?P<rank>\d+)(_(?P<second>\d+))?(_(?P<third>\d+))?")
FILES = ("model_optim_rng.pt", "model_rng.pt")
LAYER = re.compile(r"(?<=\blayers\.)\d+")
EXPERT = re.compile(r"(?P<before>\bexperts\.(?:local_experts\.|linear_fc[12]\.(?:weight|bias)))(?P<expert>\d+)")
OF_EXPERTS = re.compile(r"\bmlp\.experts\.")
# (what is counted, the argument that says how many there should be)
TENSOR, PIPELINE, EXPERTS = "tensor_model_parallel_size", "pipeline_model_parallel_size", "expert_model_parallel_size"
ASSUMED = "the files have no arguments: the second number of mp_rank folders was taken for a stage of the pipeline"


@dataclass(frozen=True)
class Place:
    """Which part of the model a folder holds."""

    rank: int
    stage: int
    expert_rank: int


def is_megatron(listing: Listing) -> bool:
    """Whether a folder holds Megatron's mp_rank_XX folders."""
    return any(MEGATRON.fullmatch(name) for name in listing.folders)


def open_megatron(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open Megatron's folders and put their parts together."""
    matches = [match for match in map(MEGATRON.fullmatch, sorted(list_folder(path).folders)) if match]
    opened = {match[0]: open_file(admit(_file(path / match[0]), boundary), ema) for match in matches}
    config = opened[matches[0][0]].config
    places = {_place(match, config): opened[match[0]] for match in matches}
    counts = [1 + max(numbers) for numbers in zip(*((p.rank, p.stage, p.expert_rank) for p in places), strict=True)]
    for count, what, key in zip(counts, ("tensor-parallel ranks", "stages of a pipeline", "expert ranks"),
                                (TENSOR, PIPELINE, EXPERTS), strict=True):  # fmt: skip
        check_count(path, what, count, key, config.get(key))
    stages, layers = [], 0
    for number in range(counts[1]):
        stage = _stage(path, {where: part for where, part in places.items() if where.stage == number}, config)
        stages.append(renamed(stage, partial(_shifted, layers)))
        layers += len({match[0] for match in map(LAYER.search, stage.tensors) if match})
    whole = merged(_without_copies(stages))
    check_count(path, "layers", layers, "num_layers", config.get("num_layers"))
    experts = {int(match["expert"]) for match in map(EXPERT.search, whole.tensors) if match}
    if experts:
        check_count(path, "experts a layer", len(experts), "num_experts", config.get("num_experts"))
    notes = (*whole.notes, ASSUMED) if not config and counts[1] > 1 else whole.notes
    return replace(whole, config={"model_type": "megatron", **config}, notes=notes)


def _place(match: re.Match[str], config: Mapping[str, Any]) -> Place:
    second, third = (int(match[group] or 0) for group in ("second", "third"))
    if match["third"] is None and config.get(PIPELINE) == 1 and config.get(EXPERTS, 1) != 1:
        return Place(int(match["rank"]), 0, second)
    return Place(int(match["rank"]), second, third)


def _file(folder: Path) -> Path:
    return next((folder / name for name in FILES if os.path.lexists(folder / name)), folder / FILES[0])


def _stage(path: Path, places: Mapping[Place, Contents], config: Mapping[str, Any]) -> Contents:
    """Put one stage together: expert ranks share all but their experts, of which each holds the next few."""
    by_rank: dict[int, dict[int, Contents]] = {}
    for where, part in places.items():
        by_rank.setdefault(where.expert_rank, {})[where.rank] = part
    blocks = gated(config)
    first, *others = (join(in_order(path, ranks), AXES, blocks) for ranks in in_order(path, by_rank))
    own = len({match["expert"] for match in map(EXPERT.search, first.tensors) if match})
    return merged([first, *_experts_of(others, own)]) if others else first


def _experts_of(others: Sequence[Contents], own: int) -> Iterator[Contents]:
    """Yield what the other expert ranks hold alone: their experts, numbered on; what cannot be numbered is named."""
    for number, part in enumerate(others, 1):
        experts = {name: tensor for name, tensor in part.tensors.items() if OF_EXPERTS.search(name)}
        numbered = {name: tensor for name, tensor in experts.items() if EXPERT.search(name)}
        skipped = tuple(
            Skipped(
                f"{name} of expert rank {number}", "a rank's experts in one tensor, which is read for one rank alone"
            )
            for name in experts.keys() - numbered.keys()
        )
        yield renamed(
            replace(part, tensors=numbered, skipped=(*part.skipped, *skipped)), partial(_next_expert, own * number)
        )


def _next_expert(first: int, name: str) -> str:
    """Renumber an expert of a rank whose first one is number `first` of the layer.

    >>> _next_expert(4, "decoder.layers.1.mlp.experts.local_experts.2.linear_fc1.weight")
    'decoder.layers.1.mlp.experts.local_experts.6.linear_fc1.weight'
    """
    return EXPERT.sub(lambda match: f"{match['before']}{int(match['expert']) + first}", name, count=1)


def _shifted(first: int, name: str) -> str:
    """Renumber a layer of a pipeline stage, whose first layer is number `first` of the model.

    >>> _shifted(12, "decoder.layers.1.mlp.linear_fc1.weight")
    'decoder.layers.13.mlp.linear_fc1.weight'
    """
    return LAYER.sub(lambda match: str(int(match[0]) + first), name, count=1)


def _without_copies(stages: Sequence[Contents]) -> list[Contents]:
    """Drop the copy of the embedding that the last stage keeps for a tied head."""
    first = stages[0].tensors
    own = [{n: part for n, part in stage.tensors.items() if n not in first} for stage in stages[1:]]
    return [stages[0], *(replace(stage, tensors=tensors) for stage, tensors in zip(stages[1:], own, strict=True))]
