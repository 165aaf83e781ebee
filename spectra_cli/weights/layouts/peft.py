"""PEFT's LoRA adapters: each target's change ΔW = scale · B·A, kept as its factors. Never forms the product itself."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import COPY_AGAIN, Boundary, admit, read_json
from spectra_cli.weights.grouping import Listing
from spectra_cli.weights.layouts.single_file import open_file, with_config
from spectra_cli.weights.tensors.low_rank import LowRankTensor
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource

CONFIG = "adapter_config.json"
NOTE = "an adapter: its matrices are the changes it makes, not the model's weights"
FUSED = "where it changes fused tensors, put the model's own config.json beside it"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
FACTOR = re.compile(
    r"(?:base_model\.model\.)?(?P<target>.+)\.lora_(?P<embedding>embedding_)?(?P<factor>[AB])(\.default)?(\.weight)?"
)
PLAIN_KEY = re.compile(r"\^?[\w.-]+")
MAGNITUDE = re.compile(r"(?:base_model\.model\.)?(?P<target>.+)\.lora_magnitude_vector(\.default)?(\.weight)?")


def is_adapter(listing: Listing) -> bool:
    """Whether a folder holds an adapter."""
    return CONFIG in listing.files and any(name in listing.files for name in FILES)


def open_adapter(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open an adapter's folder: a target's ΔW under the name of the matrix it changes, in that one's orientation.

    The model's own config.json is not among what PEFT saves; it is read where someone put it there.
    """
    source, config = read_json(path / CONFIG, boundary, limit=4 * 2**20)
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise SpectraError(
            f"{source} describes an adapter of the kind {printable(kind)}; only LoRA is read",
            hint="merge the adapter into its model with PEFT's merge_and_unload, and scan that",
        )
    name = next(name for name in FILES if os.path.lexists(path / name) or name == FILES[-1])
    contents = open_file(admit(path / name, boundary), ema)
    factors = {name: match for name in contents.tensors if (match := FACTOR.fullmatch(name))}
    turned = config.get("fan_in_fan_out") is True  # the model keeps [in, out], as GPT-2 does
    magnitudes = {match["target"] for match in map(MAGNITUDE.fullmatch, contents.tensors) if match}
    tensors: dict[str, TensorSource] = {}
    skipped = list(contents.skipped)
    for target in dict.fromkeys(match["target"] for match in factors.values()):
        pair = {m["factor"]: contents.tensors[n] for n, m in factors.items() if m["target"] == target}
        embedding = any(m["embedding"] for m in factors.values() if m["target"] == target)
        change = "DoRA's change depends on the model it adapts" if target in magnitudes else _product(
            f"{target} of {contents.files[0]}", pair, _scale(target, pair, config), embedding or turned
        )  # fmt: skip
        if isinstance(change, str):
            skipped.append(Skipped(f"{target}.weight", change))
        else:
            tensors[f"{target}.weight"] = change
    whole = {n: part for n, part in contents.tensors.items() if n not in factors and not MAGNITUDE.fullmatch(n)}
    adapted = replace(
        contents, tensors={**tensors, **whole}, files=(*contents.files, source), config=config, skipped=tuple(skipped),
        notes=(*contents.notes, NOTE if os.path.lexists(path / "config.json") else f"{NOTE}; {FUSED}"),
    )  # fmt: skip
    return with_config(adapted, path, boundary)


def _product(where: str, pair: Mapping[str, TensorSource], scale: float | str, transposed: bool) -> LowRankTensor | str:
    a, b = pair.get("A"), pair.get("B")
    if not isinstance(a, PlainTensor) or not isinstance(b, PlainTensor):
        raise SpectraError(f"{printable(where, 400)} has only one of its two factors", hint=COPY_AGAIN)
    if len(a.shape) != 2 or len(b.shape) != 2:
        return "it changes a convolution, whose factors are not two matrices"
    if a.shape[0] != b.shape[1]:
        raise SpectraError(f"the factors of {printable(where, 400)} do not fit: {b.shape} · {a.shape}", hint=COPY_AGAIN)
    if isinstance(scale, str):
        return scale
    # An embedding keeps its rows by token: its change is the product's transpose.
    return LowRankTensor(b, a, scale, transposed)


def _scale(target: str, pair: Mapping[str, TensorSource], config: Mapping[str, Any]) -> float | str:
    """Return α/r, or α/√r for rank-stabilised LoRA, with a target's own α where alpha_pattern names it; or a reason.

    The keys of alpha_pattern are regular expressions, mostly plain names. Others are not run: a file that one was
    given may hold one that never ends.
    """
    patterns = config.get("alpha_pattern")
    own = patterns if isinstance(patterns, dict) else {}
    if any(not PLAIN_KEY.fullmatch(str(key)) for key in own):
        return "alpha_pattern of adapter_config.json holds a regular expression, so its scale is not known"
    named = (value for key, value in own.items() if target == key.lstrip("^") or target.endswith(f".{key}"))
    alpha = next(named, config.get("lora_alpha"))
    rank = next((part.shape[0] for factor, part in pair.items() if factor == "A" and part.shape), 0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or rank < 1:
        return "adapter_config.json gives no lora_alpha that is a number"
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)
