"""Checkpoints that tensor-parallel training saved in parts: GPT-NeoX's files and DeepSpeed's. Puts the parts together.

Which axis a layer was cut along is data: AXES.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, SourceFile, admit
from spectra_cli.weights.formats.torch import read_torch
from spectra_cli.weights.grouping import Listing, list_folder
from spectra_cli.weights.layouts.joining import Axis, Blocks, check_count, in_order, join, renamed
from spectra_cli.weights.layouts.single_file import merged, open_file, with_config
from spectra_cli.weights.layouts.state_dicts import find_config
from spectra_cli.weights.tensors.source import TensorSource

AXES = (
    Axis(re.compile(r"position_embeddings\.weight$"), None),
    Axis(re.compile(r"(word_embeddings|embed_in|final_linear|output_layer|lm_head|embed_out)\.weight$"), 0),
    Axis(re.compile(r"(query_key_value|linear_qkv|[qkv]_proj|linear_q|linear_kv|query|key_value)\.(weight|bias)$"), 0),
    Axis(re.compile(r"(dense_h_to_4h|linear_fc1)\.(weight\d*|bias\d*)$"), 0, "gate, up"),
    Axis(re.compile(r"mlp\.(w1|w3|linear1|gate_proj|up_proj)\.(weight|bias)$"), 0),
    Axis(re.compile(r"(attention|self_attention|self_attn)\.(dense|linear_proj|o_proj)\.weight$"), 1),
    Axis(re.compile(r"(dense_4h_to_h|linear_fc2|mlp\.w2|mlp\.linear2|mlp\.down_proj)\.weight\d*$"), 1),
    Axis(re.compile(r"(router|gate)\.weight$"), None),
)  # fmt: skip

NEOX = re.compile(r"layer_(?P<layer>\d+)-model_(?P<rank>\d+)-model_states\.pt")
DEEPSPEED = re.compile(r"mp_rank_(?P<rank>\d+)_model_states\.pt")
ZERO3 = re.compile(r"zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt")
GLOBAL_STEP = re.compile(r"global_step\d+(_universal)?")
TRAINER = "trainer_state.json"
# DeepSpeed's universal format: in this folder one for each tensor, and in each of those this file with this key.
UNIVERSAL, MASTER, MASTER_KEY = "zero", "fp32.pt", "param"
TO_FP32 = "run the zero_to_fp32.py that DeepSpeed saved beside them, and scan its result"


def _any(pattern: re.Pattern[str], names: Iterable[str]) -> bool:
    return any(pattern.fullmatch(name) for name in names)


def is_neox(listing: Listing) -> bool:
    """Whether a folder holds GPT-NeoX's layer_XX-model_YY files."""
    return _any(NEOX, listing.files)


def is_deepspeed(listing: Listing) -> bool:
    """Whether a folder holds DeepSpeed's mp_rank_XX_model_states.pt, or the Trainer's folder around them.

    The ranks' files of ZeRO-3 are named so too; they are refused with the reason when they are opened.
    """
    return _deepspeed_folder(listing) is not None


def _deepspeed_folder(listing: Listing) -> Path | None:
    """Find the folder of the files: the Trainer puts the engine's own folder within that of its checkpoint."""
    if _any(DEEPSPEED, listing.files) or _any(ZERO3, listing.files):
        return listing.path
    inner = [name for name in listing.folders if GLOBAL_STEP.fullmatch(name)]
    if TRAINER not in listing.files or len(inner) != 1:
        return None
    files = list_folder(listing.path / inner[0]).files
    return listing.path / inner[0] if _any(DEEPSPEED, files) or _any(ZERO3, files) else None


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
    check_count(path, "tensor-parallel ranks", max(ranks), "model_parallel_size", config.get("model_parallel_size"))
    opened = []
    for layer, files in layers.items():
        parts = [open_file(admit(path / name, boundary), ema) for name in in_order(path, files)]
        opened.append(renamed(join(parts, AXES), partial(_in_layer, layer)))
    attending = sum(any(".attention." in name for name in contents.tensors) for contents in opened)
    check_count(path, "layers", attending, "num_layers", config.get("num_layers"))
    whole = merged(opened)
    return with_config(replace(whole, config=config), path, boundary)


def open_deepspeed(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open DeepSpeed's mp_rank_XX_model_states.pt: the state dict under `module`."""
    folder = _deepspeed_folder(list_folder(path)) or path
    _refuse_ranks_of_zero3(folder)
    if UNIVERSAL in list_folder(folder).folders:
        return with_config(_universal(folder, boundary, ema), path, boundary)
    matches = filter(None, map(DEEPSPEED.fullmatch, sorted(list_folder(folder).files)))
    files = in_order(folder, {int(match["rank"]): match[0] for match in matches})
    parts = [open_file(admit(folder / name, boundary), ema) for name in files]
    if all(0 in tensor.shape for part in parts for tensor in part.tensors.values()):
        raise SpectraError(
            f"{printable(path, 400)} holds empty tensors: ZeRO-3 keeps the weights in the optimizer's files",
            hint=TO_FP32,
        )
    return with_config(join(parts, AXES, gated(parts[0].config)), path, boundary)


def _refuse_ranks_of_zero3(folder: Path) -> None:
    if not _any(DEEPSPEED, list_folder(folder).files):
        raise SpectraError(
            f"{printable(folder, 400)} holds the files of ZeRO-3's ranks, which keep the weights in parts among the "
            "optimizer's states",
            hint=TO_FP32,
        )


def _universal(folder: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open DeepSpeed's universal format: a folder for each tensor, with the weights in float32 beside their states."""
    tensors: dict[str, TensorSource] = {}
    files: list[SourceFile] = []
    for name in sorted(list_folder(folder / UNIVERSAL).folders):
        part = open_file(admit(folder / UNIVERSAL / name / MASTER, boundary), ema)
        files += part.files
        if MASTER_KEY not in part.tensors:
            raise SpectraError(f"{part.files[0]} holds no tensor '{MASTER_KEY}'", hint=COPY_AGAIN)
        tensors[name] = part.tensors[MASTER_KEY]
    return Contents(tensors, tuple(files), notes=("the weights are the float32 copies that the optimizer keeps",))


def gated(config: Mapping[str, Any]) -> Blocks:
    """Return the blocks of what leads into an MLP: gate above up, where it was so trained."""
    is_gated = config.get("swiglu") is True or config.get("gated_linear_unit") is True
    return {"gate, up": (1, 1)} if is_gated else {}


def _config_of(path: Path, listing: Listing, boundary: Boundary) -> dict[str, Any]:
    """Read NeoX's arguments from the trainer's file beside the layers, with the names that config.json would use."""
    name = next(iter(sorted(filter(DEEPSPEED.fullmatch, listing.files))), None)
    content = read_torch(admit(path / name, boundary)).content if name else {}
    args = find_config(content) if isinstance(content, dict) else {}
    return {**args, "num_hidden_layers": args["num_layers"]} if "num_layers" in args else args


def _in_layer(layer: str, name: str) -> str:
    return f"layer_{layer}.{name}"
