"""Checkpoints that tensor-parallel training saved in parts: GPT-NeoX, DeepSpeed, Megatron. Puts the parts together.

Which axis a layer was cut along is data: AXES. A matrix that no rule knows is never joined by guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, admit
from spectra_cli.weights.formats.torch import read_torch
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.single_file import merged, open_file, with_config
from spectra_cli.weights.layouts.state_dicts import find_config
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.sharded import ShardedTensor
from spectra_cli.weights.tensors.source import TensorSource


@dataclass(frozen=True)
class Axis:
    """Names that end so are cut along `axis`; None: every rank keeps a copy. gated: gate above up, where so trained."""

    names: re.Pattern[str]
    axis: int | None
    gated: bool = False


AXES = (
    Axis(re.compile(r"position_embeddings\.weight$"), None),
    Axis(re.compile(r"(word_embeddings|embed_in|final_linear|output_layer|lm_head|embed_out)\.weight$"), 0),
    Axis(re.compile(r"(query_key_value|linear_qkv|[qkv]_proj|linear_q|linear_kv|query|key_value)\.(weight|bias)$"), 0),
    Axis(re.compile(r"(dense_h_to_4h|linear_fc1)\.(weight|bias)$"), 0, gated=True),
    Axis(re.compile(r"mlp\.(w1|w3|linear1|gate_proj|up_proj)\.(weight|bias)$"), 0),
    Axis(re.compile(r"(attention|self_attention|self_attn)\.(dense|linear_proj|o_proj)\.weight$"), 1),
    Axis(re.compile(r"(dense_4h_to_h|linear_fc2|mlp\.w2|mlp\.linear2|mlp\.down_proj)\.weight$"), 1),
    Axis(re.compile(r"(router|gate)\.weight$"), None),
)  # fmt: skip

NEOX = re.compile(r"layer_(?P<layer>\d+)-model_(?P<rank>\d+)-model_states\.pt")
DEEPSPEED = re.compile(r"mp_rank_(?P<rank>\d+)_model_states\.pt")
GLOBAL_STEP = re.compile(r"global_step\d+")
TRAINER = "trainer_state.json"
MEGATRON = re.compile(r"mp_rank_(?P<rank>\d+)(_(?P<stage>\d+))?(_(?P<expert>\d+))?")
MEGATRON_FILES = ("model_optim_rng.pt", "model_rng.pt")
LAYER = re.compile(r"(?<=\blayers\.)\d+")
T = TypeVar("T")
SAVE_WHOLE = "convert the checkpoint with the tools of the program that wrote it, and scan the result"


def _any(pattern: re.Pattern[str], names: Iterable[str]) -> bool:
    return any(pattern.fullmatch(name) for name in names)


def is_neox(listing: Listing) -> bool:
    """Whether a folder holds GPT-NeoX's layer_XX-model_YY files."""
    return _any(NEOX, listing.files)


def is_deepspeed(listing: Listing) -> bool:
    """Whether a folder holds DeepSpeed's mp_rank_XX_model_states.pt, or the Trainer's folder around them."""
    return _deepspeed_folder(listing) is not None


def _deepspeed_folder(listing: Listing) -> Path | None:
    """Find the folder of the files: the Trainer puts the engine's own folder within that of its checkpoint."""
    if _any(DEEPSPEED, listing.files):
        return listing.path
    inner = [name for name in listing.folders if GLOBAL_STEP.fullmatch(name)]
    if TRAINER not in listing.files or len(inner) != 1:
        return None
    return listing.path / inner[0] if _any(DEEPSPEED, list_folder(listing.path / inner[0]).files) else None


def is_megatron(listing: Listing) -> bool:
    """Whether a folder holds Megatron's mp_rank_XX folders."""
    return _any(MEGATRON, listing.folders)


def open_neox(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open GPT-NeoX's files, one a layer and rank; tensors are named layer_XX.NAME."""
    listing = list_folder(path)
    layers: dict[str, dict[int, str]] = {}
    for match in filter(None, map(NEOX.fullmatch, sorted(listing.files))):
        layers.setdefault(match["layer"], {})[int(match["rank"])] = match[0]
    config = {**_config_of(path, listing, boundary), "model_type": "gpt_neox"}
    ranks = {len(files) for files in layers.values()}
    if len(ranks) > 1:
        raise SpectraError(
            f"{printable(path, 400)} lacks parts: its layers have {sorted(ranks)} of them", hint=COPY_AGAIN
        )
    opened = []
    for layer, files in layers.items():
        parts = [open_file(admit(path / name, boundary), ema) for name in _in_order(path, files)]
        opened.append(_renamed(_join(parts, gated=False), partial(_in_layer, layer)))
    whole = merged(opened)
    return with_config(replace(whole, config=config), path, boundary)


def open_deepspeed(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open DeepSpeed's mp_rank_XX_model_states.pt: the state dict under `module`."""
    folder = _deepspeed_folder(list_folder(path)) or path
    matches = filter(None, map(DEEPSPEED.fullmatch, sorted(list_folder(folder).files)))
    files = _in_order(folder, {int(match["rank"]): match[0] for match in matches})
    parts = [open_file(admit(folder / name, boundary), ema) for name in files]
    if all(0 in tensor.shape for part in parts for tensor in part.tensors.values()):
        raise SpectraError(
            f"{printable(path, 400)} holds empty tensors: ZeRO-3 keeps the weights in the optimizer's files",
            hint="run the zero_to_fp32.py that DeepSpeed saved beside them, and scan its result",
        )
    return with_config(_join(parts, gated=_gated(parts[0].config)), path, boundary)


def open_megatron(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open Megatron's mp_rank_XX[_YYY] folders: XX tensor-parallel ranks, YYY stages of the pipeline."""
    stages: dict[int, dict[int, str]] = {}
    for match in filter(None, map(MEGATRON.fullmatch, sorted(list_folder(path).folders))):
        if int(match["expert"] or 0):
            raise SpectraError(f"{printable(path, 400)} is cut by experts, which is not read", hint=SAVE_WHOLE)
        stages.setdefault(int(match["stage"] or 0), {})[int(match["rank"])] = match[0]
    opened, layers = [], 0
    for folders in (stages[number] for number in _in_order(path, {number: number for number in stages})):
        files = [_megatron_file(path / name) for name in _in_order(path, folders)]
        parts = [open_file(admit(file, boundary), ema) for file in files]
        contents = _join(parts, gated=_gated(parts[0].config))
        opened.append(_renamed(contents, partial(_shifted, layers)))
        layers += len({match[0] for match in map(LAYER.search, contents.tensors) if match})
    whole = merged(_without_copies(opened))
    return with_config(replace(whole, config={"model_type": "megatron", **whole.config}), path, boundary)


def _in_order(path: Path, numbered: Mapping[int, T]) -> list[T]:
    """Return ranks or stages in the order of their numbers; SpectraError where one is missing."""
    missing = next((number for number in range(max(numbered) + 1) if number not in numbered), None)
    if missing is not None:
        raise SpectraError(f"{printable(path, 400)} lacks part {missing} of {max(numbered) + 1}", hint=COPY_AGAIN)
    return [numbered[number] for number in sorted(numbered)]


def _megatron_file(folder: Path) -> Path:
    return next(
        (folder / name for name in MEGATRON_FILES if os.path.lexists(folder / name)), folder / MEGATRON_FILES[0]
    )


def _gated(config: Mapping[str, Any]) -> bool:
    return config.get("swiglu") is True or config.get("gated_linear_unit") is True


def _config_of(path: Path, listing: Listing, boundary: Boundary) -> dict[str, Any]:
    """Read NeoX's arguments from the trainer's file beside the layers, with the names that config.json would use."""
    name = next(iter(sorted(filter(DEEPSPEED.fullmatch, listing.files))), None)
    content = read_torch(admit(path / name, boundary)).content if name else {}
    args = find_config(content) if isinstance(content, dict) else {}
    return {**args, "num_hidden_layers": args["num_layers"]} if "num_layers" in args else args


def _renamed(contents: Contents, rename: Callable[[str], str]) -> Contents:
    tensors = {rename(name): part for name, part in contents.tensors.items()}
    skipped = tuple(Skipped(rename(skip.tensor), skip.reason) for skip in contents.skipped)
    return replace(contents, tensors=tensors, skipped=skipped)


def _in_layer(layer: str, name: str) -> str:
    return f"layer_{layer}.{name}"


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


def _join(parts: Sequence[Contents], *, gated: bool) -> Contents:
    """Join what the ranks of one layer or stage hold, name by name."""
    if len(parts) == 1:
        return parts[0]
    tensors: dict[str, TensorSource] = {}
    skipped = list(parts[0].skipped)
    for name in parts[0].tensors:
        shards = [tensor for part in parts if isinstance(tensor := part.tensors.get(name), PlainTensor)]
        if len(shards) < len(parts) or any(len(s.shape) != len(shards[0].shape) for s in shards):
            raise SpectraError(f"{printable(name)} is not in every part beside {parts[0].files[0]}", hint=COPY_AGAIN)
        joined = _joined(name, shards, gated)
        if isinstance(joined, str):
            skipped.append(Skipped(name, joined))
        else:
            tensors[name] = joined
    files = tuple(file for part in parts for file in part.files)
    return Contents(tensors, files, parts[0].config, parts[0].notes, tuple(skipped))


def _joined(name: str, shards: Sequence[PlainTensor], gated: bool) -> TensorSource | str:
    first = shards[0]
    rule = next((rule for rule in AXES if rule.names.search(name)), None)
    if rule is None and len(first.shape) >= 2:
        return "no rule says along which axis the ranks' parts are to be joined"
    if rule is None or rule.axis is None or not first.shape:
        if len({(s.shape, s.dtype) for s in shards}) > 1:
            return "the ranks hold copies that differ in shape"
        # Biases after a row-parallel layer and norms are vectors, which no spectrum is taken of: one rank's serves.
        return first
    axis, others = rule.axis, {(s.shape[: rule.axis], s.shape[rule.axis + 1 :], s.dtype) for s in shards}
    if len(others) > 1:
        raise SpectraError(f"the parts of {printable(name)} beside {first.file} do not fit together", hint=COPY_AGAIN)
    shape = (*first.shape[:axis], sum(s.shape[axis] for s in shards), *first.shape[axis + 1 :])
    blocks = 2 if gated and rule.gated and all(s.shape[axis] % 2 == 0 for s in shards) else 1
    return ShardedTensor(shape, first.dtype, tuple(shards), axis, blocks)
