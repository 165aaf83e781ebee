"""PEFT's LoRA adapters: each target's change ΔW = scale · B·A, kept as its factors. Never forms the product itself."""

from __future__ import annotations

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
from spectra_cli.weights.layouts.peft.parameters import module_of, parameter_of, parameters_of
from spectra_cli.weights.layouts.peft.settings import (
    CONFIG,
    UNKNOWN,
    changes_base,
    of_pattern,
    refusal,
    scale,
    unknown_keys,
)
from spectra_cli.weights.layouts.peft.start import FILES, find_start
from spectra_cli.weights.layouts.single_file import open_file, with_config
from spectra_cli.weights.tensors.low_rank import LowRankStack, LowRankTensor
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource

NOTE = "an adapter: its matrices are the changes it makes, not the model's weights"
FUSED = "where it changes fused tensors, put the model's own config.json beside it"
FACTOR = re.compile(
    r"(?:base_model\.model\.)?(?P<target>.+)\.lora_(?P<embedding>embedding_)?(?P<factor>[AB])(\.default)?(\.weight)?"
)
OTHER = re.compile(r"(?:base_model\.model\.)?(?P<target>.+)\.lora_(?P<kind>\w+?)(\.default)?(\.weight|\.bias)?")
MAGNITUDE, BIAS = "magnitude_vector", re.compile(r".*\.lora_B(\.default)?\.bias")
# kohya's and diffusers' LoRA, LyCORIS' LoHa and LoKr.
FACTOR_OF_OTHERS = re.compile(
    r".+\.(lora_(up|down|mid)|lora(_linear_layer)?\.(up|down)|hada_[wt][12](_[ab])?|lokr_(w[12](_[ab])?|t[12]))"
    r"(\.weight)?"
)
REPLACED_ROWS = re.compile(r".*trainable_tokens_delta.*")


def is_adapter(listing: Listing) -> bool:
    """Whether a folder holds an adapter."""
    return any(name in listing.files for name in FILES)


def is_adapter_file(path: Path, _head: bytes) -> bool:
    """Whether a file is an adapter's, by its name."""
    return path.name in FILES


def without_factors(contents: Contents) -> Contents:
    """Name an adapter's factors in a file that is not read as an adapter: alone they are no matrices of a model."""
    own = f"a factor of an adapter; it is read from a file {FILES[0]} with its {CONFIG} beside it"
    others = "a factor of an adapter that PEFT did not write; convert it to PEFT's files, or merge it into its model"
    skipped = [
        Skipped(name, own if FACTOR.fullmatch(name) else others)
        for name in contents.tensors
        if FACTOR.fullmatch(name) or FACTOR_OF_OTHERS.fullmatch(name)
    ]
    left = {skip.tensor for skip in skipped}
    tensors = {name: tensor for name, tensor in contents.tensors.items() if name not in left}
    return replace(contents, tensors=tensors, skipped=(*contents.skipped, *skipped))


@dataclass(frozen=True)
class _Adapter:
    """An adapter's settings, and what it started from. start: its tensors, where it changed the model and is known."""

    config: Mapping[str, Any]
    refusal: str | None
    file: str
    start: Mapping[str, TensorSource] | None
    has_model_config: bool
    unmoved: bool


def open_adapter(path: Path, boundary: Boundary, ema: bool) -> Contents:
    """Open an adapter's folder or file: a target's ΔW under the name of the matrix it changes, in [out, in].

    The model's own config.json is not among what PEFT saves; it is read where someone put it there.
    """
    folder = path if os.path.isdir(path) else path.parent
    if not os.path.lexists(folder / CONFIG):
        raise SpectraError(
            f"{printable(path, 400)} holds an adapter without its {CONFIG}, so the scale of its changes is not known",
            hint=f"put the {CONFIG} that PEFT saved with it into the same folder",
        )
    source, config = read_json(folder / CONFIG, boundary, limit=4 * 2**20)
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise SpectraError(
            f"{source} describes an adapter of the kind {printable(kind)}; only LoRA is read",
            hint="merge the adapter into its model with PEFT's merge_and_unload, and scan that",
        )
    name = next(name for name in FILES if os.path.lexists(folder / name) or name == FILES[-1])
    contents = open_file(admit(path if folder != path else folder / name, boundary), ema)
    contents = with_config(replace(contents, config=config), folder, boundary)
    changed = changes_base(config)
    start = find_start(folder, config, boundary) if changed else None
    adapter = _Adapter(
        {**contents.config, **config}, refusal(config), str(contents.files[0]), start.tensors if start else None,
        os.path.lexists(folder / "config.json"),
        start is not None and start.files[0].path.resolve() == contents.files[0].path.resolve(),
    )  # fmt: skip
    tensors, skipped = _changes(contents.tensors, adapter)
    notes = [NOTE if adapter.has_model_config else f"{NOTE}; {FUSED}", *_start_notes(changed, start)]
    unknown = [Skipped(f"{CONFIG}: {printable(key, 80)}", UNKNOWN) for key in unknown_keys(config)]
    return replace(
        contents, tensors=tensors, skipped=(*contents.skipped, *skipped, *unknown),
        notes=(*contents.notes, *notes), files=(*contents.files, source, *(start.files if start else ())),
    )  # fmt: skip


def _start_notes(changed: str | None, start: Contents | None) -> list[str]:
    if changed is None:
        return []
    if start is not None:
        first = start.files[0].path.parent.name
        return [
            f"{changed} took B₀·A₀ out of the model's weights: the matrices are scale · (B·A − B₀·A₀), with {first}"
        ]
    return [
        f"{changed} took B₀·A₀ out of the model's weights, and no first adapter is known: the matrices are scale · B·A "
        f"whole, not the change since the start (put the first adapter into {changed.split('_')[0]}_init beside it)"
    ]


def _changes(stored: Mapping[str, TensorSource], adapter: _Adapter) -> tuple[dict[str, TensorSource], list[Skipped]]:
    by_target: dict[str, dict[str, str]] = {}
    variants: dict[str, str] = {}
    embeddings: set[str] = set()
    tensors: dict[str, TensorSource] = {}
    skipped: list[Skipped] = []
    for name, tensor in stored.items():
        if match := FACTOR.fullmatch(name):
            by_target.setdefault(match["target"], {})[match["factor"]] = name
            embeddings |= {match["target"]} if match["embedding"] else set()
        elif BIAS.fullmatch(name) or not (match := OTHER.fullmatch(name)):
            if REPLACED_ROWS.fullmatch(name):
                skipped.append(Skipped(name, "rows that replace some of an embedding's, no matrix of the model"))
            else:
                tensors[name] = tensor
        else:
            variants[match["target"]] = match["kind"]
            if match["target"] not in by_target and match["kind"] != MAGNITUDE:
                skipped.append(Skipped(name, f"lora_{match['kind']} is not read"))
    for target, names in by_target.items():
        label, change = _change(target, names, stored, adapter, variants.get(target), target in embeddings)
        if isinstance(change, str):
            skipped.append(Skipped(label, change))
        else:
            tensors[label] = change
    return tensors, skipped


def _change(
    target: str, names: Mapping[str, str], stored: Mapping[str, TensorSource], adapter: _Adapter,
    variant: str | None, embedding: bool,
) -> tuple[str, TensorSource | str]:  # fmt: skip
    """Return a target's name and its change, or why it cannot be known."""
    where = printable(f"{target} of {adapter.file}", 400)
    label = f"{module_of(target)}.weight"
    pair = [stored[names[factor]] if factor in names else None for factor in "BA"]
    b, a = pair
    if not isinstance(b, PlainTensor) or not isinstance(a, PlainTensor):
        raise SpectraError(f"{where} has only one of its two factors", hint=COPY_AGAIN)
    if variant:
        dora = variant == MAGNITUDE
        return label, "DoRA's change depends on the model it adapts" if dora else f"its lora_{variant} is not read"
    if adapter.refusal:
        return label, adapter.refusal
    if len(a.shape) != 2 or len(b.shape) != 2:
        return label, "it changes a convolution, whose factors are not two matrices"
    if a.shape[0] != b.shape[1]:
        raise SpectraError(f"the factors of {where} do not fit: {b.shape} · {a.shape}", hint=COPY_AGAIN)
    if parameters_of(module_of(target), adapter.config):
        return _of_parameter(target, b, a, adapter)
    factor = scale(target, a.shape[0], adapter.config)
    if isinstance(factor, str):
        return label, factor
    # An embedding keeps its rows by token: its change is the product's transpose.
    start = _start_of(names, adapter, b, a)
    return label, LowRankTensor(b, a, 0.0 if adapter.unmoved else factor, embedding, start) if start else (
        f"the first adapter has no factors of these sizes for {target}" if adapter.start is not None
        else LowRankTensor(b, a, factor, embedding)
    )  # fmt: skip


def _start_of(
    names: Mapping[str, str], adapter: _Adapter, b: PlainTensor, a: PlainTensor
) -> tuple[PlainTensor, PlainTensor] | None:
    if adapter.start is None:
        return None
    b0, a0 = (adapter.start.get(names[factor]) for factor in "BA")
    if not isinstance(b0, PlainTensor) or not isinstance(a0, PlainTensor):
        return None
    return (b0, a0) if (b0.shape, a0.shape) == (b.shape, a.shape) else None


def _of_parameter(target: str, b: PlainTensor, a: PlainTensor, adapter: _Adapter) -> tuple[str, TensorSource | str]:
    """Return the change of a parameter, which may stack the experts' matrices: each has factors of its own."""
    module = module_of(target)
    parameter = parameter_of(target, (b.shape[0], a.shape[1]), adapter.config)
    label = f"{module}.{parameter or 'parameter'}"
    if parameter is None:
        return (
            label,
            "target_parameters names several of its parameters, and no config.json tells which has these sizes",
        )
    rank = of_pattern(f"{module}.{parameter}", "rank_pattern", "r", adapter.config)
    if type(rank) is not int or rank < 1 or a.shape[0] % rank:
        return label, f"its factors have rank {a.shape[0]}, which is no multiple of {CONFIG}'s r, {printable(rank, 80)}"
    factor, experts = scale(f"{module}.{parameter}", rank, adapter.config), a.shape[0] // rank
    if changes_base(adapter.config):
        factor = "a start that changes the model's weights is not read for target_parameters"
    if isinstance(factor, str):
        return label, factor
    if experts == 1:
        return label, LowRankTensor(b, a, factor)
    beside = "it changes stacked experts; put the model's own config.json beside it, which gives their number"
    return label, LowRankStack(b, a, factor, experts) if adapter.has_model_config else beside
