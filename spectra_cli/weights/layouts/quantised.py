"""Weights of eight bits or fewer: paired with the scales stored next to them, or left out with the reason.

The ways of storing them are listed in SCALES and PACKED. Reads no data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.tensors.low_bit import MXFP4Tensor, QuantizedTensor
from spectra_cli.weights.tensors.plain import PlainTensor
from spectra_cli.weights.tensors.source import TensorSource

NUMBERS = frozenset({"float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "int8"})
FLOATS = frozenset({"float32", "float16", "bfloat16", "float64", "float8_e8m0fnu"})
BLOCK = 128


@dataclass(frozen=True)
class Scale:
    """The name of a scale: the weight's, with `ends` replaced by `by`. factor: what every scale is multiplied by."""

    ends: str
    by: str
    factor: float = 1.0


SCALES = (
    Scale("", "_scale_inv"),  # DeepSeek and those after it: by blocks, and to be multiplied with, despite the name
    Scale("", "_scale"),  # compressed-tensors, FBGEMM, ModelOpt: one, or one per row
    Scale("weight", "SCB", 1 / 127),  # bitsandbytes LLM.int8: the row's largest magnitude
)


@dataclass(frozen=True)
class Packed:
    """Tensors that belong to a packed weight: those of such a name, where `beside` of the same stem exists."""

    names: re.Pattern[str]
    beside: str
    reason: str


PACKED = (
    Packed(re.compile(r"(?P<stem>.+)\.(qweight|qzeros|scales|g_idx)"), "{stem}.qweight", "packed by GPTQ or AWQ"),
    Packed(
        re.compile(r"(?P<stem>.+\.weight)(\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+))?"),
        "{stem}.absmax", "packed by bitsandbytes",
    ),
    Packed(
        re.compile(r"(?P<stem>.+)\.weight_(packed|shape|zero_point|g_idx|scale|global_scale)"),
        "{stem}.weight_packed", "packed by compressed-tensors",
    ),
    Packed(re.compile(r"(?P<stem>.+)\.weight(_scale(_2)?)?"), "{stem}.weight_scale_2", "packed by ModelOpt (NVFP4)"),
)  # fmt: skip


def pair_scales(contents: Contents) -> Contents:
    """Pair quantised weights with their scales; leave out what is packed or has none, naming it."""
    skipped: list[Skipped] = []
    tensors, used = _mxfp4(contents.tensors)
    marked = isinstance(contents.config.get("quantization_config"), dict)
    for name, part in contents.tensors.items():
        if name in used:
            continue
        paired = _paired(name, part, contents, marked, used)
        if isinstance(paired, str):
            skipped.append(Skipped(name, paired))
        else:
            tensors[name] = paired
    helpers = tuple(Skipped(name, f"part of how {of} is stored, and read with it") for name, of in used.items())
    tensors = {name: part for name, part in tensors.items() if name not in used}
    return replace(contents, tensors=tensors, skipped=(*contents.skipped, *skipped), helpers=helpers)


def _mxfp4(tensors: Mapping[str, TensorSource]) -> tuple[dict[str, TensorSource], dict[str, str]]:
    """Find the matrices kept as blocks of four-bit numbers beside a scale for each block (MXFP4, as gpt-oss is)."""
    unpacked: dict[str, TensorSource] = {}
    used: dict[str, str] = {}
    for name, blocks in tensors.items():
        stem = name.removesuffix("_blocks")
        scales = tensors.get(f"{stem}_scales")
        if stem == name or not isinstance(blocks, PlainTensor) or not isinstance(scales, PlainTensor):
            continue
        if {blocks.dtype, scales.dtype} == {"uint8"} and blocks.shape[:-1] == scales.shape and len(scales.shape) == 3:
            unpacked[stem] = MXFP4Tensor(blocks, scales)
            used |= {name: stem, f"{stem}_scales": stem}
    return unpacked, used


def _paired(
    name: str, part: TensorSource, contents: Contents, marked: bool, used: dict[str, str]
) -> TensorSource | str:
    """Return a tensor with its scales, one without scales unchanged, or the reason why it cannot be read."""
    if reason := _packed(name, contents.tensors):
        return reason
    if not isinstance(part, PlainTensor) or part.dtype not in NUMBERS or len(part.shape) < 2:
        return part
    for rule in SCALES:
        if not name.endswith(rule.ends):
            continue
        beside = f"{name.removesuffix(rule.ends)}{rule.by}"
        scale = contents.tensors.get(beside)
        if isinstance(scale, PlainTensor) and scale.dtype in FLOATS:
            block = _block(part.shape, scale.shape, contents.config)
            if isinstance(block, str):
                return block
            used[beside] = name
            return QuantizedTensor(part, scale, block or None, rule.factor)
    if part.dtype == "int8" and name.endswith("weight"):
        return "int8 without a scale beside it"
    return "fp8 without a scale beside it, where the configuration says it is quantised" if marked else part


def _packed(name: str, tensors: Mapping[str, TensorSource]) -> str | None:
    for rule in PACKED:
        match = rule.names.fullmatch(name)
        if match and rule.beside.format(stem=match["stem"]) in tensors:
            return rule.reason
    return None


def _block(
    shape: tuple[int, ...], scale: tuple[int, ...], config: Mapping[str, Any]
) -> tuple[int, int] | tuple[()] | str:
    """Return the rows and columns that share a scale; () where the scale broadcasts, a reason where neither fits.

    >>> _block((300, 512), (3, 4), {}), _block((300, 512), (300, 1), {}), _block((300, 512), (), {})
    ((128, 128), (), ())
    """
    *stack, rows, columns = shape
    if _broadcasts(shape, scale):
        return ()
    if len(scale) < 2:
        return f"its shape {shape} and that of its scale {scale} do not fit"
    *over, high, wide = scale
    quantised = config.get("quantization_config")
    stated = quantised.get("weight_block_size") if isinstance(quantised, dict) else None
    blocks = [tuple(stated)] if isinstance(stated, list) and len(stated) == 2 else [(BLOCK, BLOCK)]
    blocks += [(-(-rows // high), -(-columns // wide))] if high and wide else []
    for down, across in blocks:
        counts = all(type(size) is int and size > 0 for size in (down, across))
        if list(over) == stack and counts and (-(-rows // down), -(-columns // across)) == (high, wide):
            return (down, across)
    return f"its shape {shape} and that of its scale {scale} do not fit"


def _broadcasts(shape: tuple[int, ...], scale: tuple[int, ...]) -> bool:
    """Whether a scale is one number, or one per row."""
    a_row = (shape[:-1], (*shape[:-1], 1))
    return all(size == 1 for size in scale) or scale in a_row
