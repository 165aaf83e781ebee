"""PEFT's LoRA adapters: each target's change ΔW = scale · B·A, kept as its factors. Never forms the product itself."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    by_target: dict[str, dict[str, re.Match[str]]] = {}
    for name, match in factors.items():
        by_target.setdefault(match["target"], {})[name] = match
    alphas = _alphas(config)
    turned = config.get("fan_in_fan_out") is True  # the model keeps [in, out], as GPT-2 does
    magnitudes = {match["target"] for match in map(MAGNITUDE.fullmatch, contents.tensors) if match}
    tensors: dict[str, TensorSource] = {}
    skipped = list(contents.skipped)
    for target, matches in by_target.items():
        pair = {match["factor"]: contents.tensors[name] for name, match in matches.items()}
        embedding = any(match["embedding"] for match in matches.values())
        change = "DoRA's change depends on the model it adapts" if target in magnitudes else _product(
            f"{target} of {contents.files[0]}", pair, _scale(target, pair, config, alphas), embedding or turned
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


@dataclass(frozen=True)
class _Alphas:
    """What alpha_pattern says: each value with its place, by the whole name of a target and by the end of one."""

    whole: Mapping[str, tuple[int, Any]]
    ends: Mapping[str, tuple[int, Any]]

    def of(self, target: str, otherwise: Any) -> Any:
        """Return the first value in the pattern's order whose key is the target's name, or ends it after a dot."""
        pieces = target.split(".")
        ends = (".".join(pieces[start:]) for start in range(1, len(pieces)))
        named = [*(self.ends[end] for end in ends if end in self.ends), self.whole.get(target)]
        return min((value for value in named if value is not None), key=lambda value: value[0], default=(0, otherwise))[
            1
        ]


def _alphas(config: Mapping[str, Any]) -> _Alphas | str:
    """Read alpha_pattern, whose keys are regular expressions, mostly plain names; or return why it cannot be read.

    Others than plain names are not run: a file that one was given may hold one that never ends.
    """
    patterns = config.get("alpha_pattern")
    own = patterns if isinstance(patterns, dict) else {}
    if any(not PLAIN_KEY.fullmatch(str(key)) for key in own):
        return "alpha_pattern of adapter_config.json holds a regular expression, so its scale is not known"
    whole: dict[str, tuple[int, Any]] = {}
    for index, (key, value) in enumerate(own.items()):
        whole.setdefault(key.lstrip("^"), (index, value))
    return _Alphas(whole, {key: (index, value) for index, (key, value) in enumerate(own.items())})


def _scale(
    target: str, pair: Mapping[str, TensorSource], config: Mapping[str, Any], alphas: _Alphas | str
) -> float | str:
    """Return α/r, or α/√r for rank-stabilised LoRA, with a target's own α where alpha_pattern names it; or a reason."""
    if isinstance(alphas, str):
        return alphas
    alpha = alphas.of(target, config.get("lora_alpha"))
    rank = next((part.shape[0] for factor, part in pair.items() if factor == "A" and part.shape), 0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or rank < 1:
        return "adapter_config.json gives no lora_alpha that is a number"
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)
