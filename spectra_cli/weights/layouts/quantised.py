"""Weights of eight bits or fewer: paired with the scales stored next to them, or left out with the reason.

The ways of storing them are listed in SCALES, ZERO_POINTS, OTHERS and PACKED. Reads no data.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spectra_cli.records import Skipped
from spectra_cli.weights.contents import Contents
from spectra_cli.weights.tensors.low_bit import MXFP4Tensor, QuantizedTensor
from spectra_cli.weights.tensors.source import TensorSource

NUMBERS = frozenset({"float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "int8"})
LOW_BITS = NUMBERS | {"uint8", "int16", "uint16", "int32", "uint32"}  # codes of few bits are also packed into these
BLOCK = 128
PART = "part of how a quantised weight is stored"
SCALE_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64", "float8_e8m0fnu", "uint8"})


@dataclass(frozen=True)
class Beside:
    """The name of what a weight is stored with: the weight's, with `ends` replaced by `by`.

    factor: what every scale is multiplied by.
    """

    ends: str
    by: str
    factor: float = 1.0

    def name(self, weight: str) -> str | None:
        """Return the name beside a weight's; None where the weight's own does not end so.

        >>> Beside("weight", "scale_weight").name("q.weight"), Beside("weight", "SCB").name("experts.up_proj")
        ('q.scale_weight', None)
        """
        return f"{weight.removesuffix(self.ends)}{self.by}" if weight.endswith(self.ends) else None


SCALES = (
    Beside("", "_scale_inv"),  # DeepSeek and those after it: by blocks, and to be multiplied with, despite the name
    Beside("", "_scale"),  # compressed-tensors, FBGEMM, ModelOpt, MX: one, one per row, or one for each block
    Beside("", "_scales"),
    Beside("", ".scale"),
    Beside("weight", "scale_weight"),  # ComfyUI and those who read its files
    Beside("weight", "scale"),
    Beside("weight", "scale_inv"),
    Beside("weight", "weights_scaling_factor"),  # TensorRT-LLM
    Beside("weight", "SCB", 1 / 127),  # bitsandbytes LLM.int8: the row's largest magnitude
)
ZERO_POINTS = (Beside("", "_zero_point"), Beside("weight", "zero_point"))
OTHERS = (
    Beside("weight", "input_scale"),
    Beside("weight", "scale_input"),
    Beside("weight", "output_scale"),
    Beside("weight", "activation_scale"),
    Beside("weight", "activation_scaling_factor"),
    Beside("weight", "input_scale_ub"),
    Beside("weight", "weight_format"),
    Beside("", "_shape"),
    Beside("", "_g_idx"),
)
# Names that are a scale's whatever lies beside them. "scale" alone may be the name of a matrix.
SCALE_NAME = re.compile(
    r"(^|[._])(weight_scale|scale_weight|weight_scale_inv|scale_inv|SCB|(in|out)put_scale|scale_input)$"
)


@dataclass(frozen=True)
class Packed:
    """Tensors that belong to a packed weight: those of such a name, where all of `beside` of the same stem exist."""

    names: re.Pattern[str]
    beside: tuple[str, ...]
    reason: str


PACKED = (
    Packed(re.compile(r"(?P<stem>.+)\.(qweight|qzeros|scales|g_idx)"), ("{stem}.qweight",), "packed by GPTQ or AWQ"),
    Packed(
        re.compile(r"(?P<stem>.+\.weight)(\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+))?"),
        ("{stem}.absmax",), "packed by bitsandbytes",
    ),
    Packed(
        re.compile(r"(?P<stem>.+)\.weight_(packed|shape|zero_point|g_idx|scale|global_scale)"),
        ("{stem}.weight_packed",), "packed by compressed-tensors",
    ),
    Packed(re.compile(r"(?P<stem>.+)\.weight(_scale(_2)?)?"), ("{stem}.weight_scale_2",), "packed by ModelOpt (NVFP4)"),
    Packed(re.compile(r"(?P<stem>.+)\.(W_q|scale|zero|meta(\..+)?)"), ("{stem}.W_q",), "packed by HQQ"),
    Packed(re.compile(r"(?P<stem>.+)\.(_data|_scale|_shift)"), ("{stem}._data",), "quantised by Quanto"),
    Packed(re.compile(r"(?P<stem>.+)\.(weight|scales|biases)"), ("{stem}.scales", "{stem}.biases"), "packed by MLX"),
    Packed(re.compile(r"(?P<stem>.+)\.(codes|codebooks|scales)"), ("{stem}.codebooks",), "packed by AQLM"),
    Packed(
        re.compile(r"(?P<stem>.+)\.q_(weight|scale|scale_max|groups|group_map|perm|invperm)"),
        ("{stem}.q_weight",), "packed by ExLlamaV2",
    ),
)  # fmt: skip

BESIDE = (*SCALES, *ZERO_POINTS, *OTHERS)
ENDINGS = (*(rule.by for rule in BESIDE), *(name.format(stem="") for way in PACKED for name in way.beside))


def pair_scales(contents: Contents) -> Contents:
    """Pair quantised weights with their scales; leave out what is packed or has none, naming it.

    What lies beside a weight and is read with it is a helper. No scale is a tensor of its own, and where the
    configuration, the header or other scales say that weights are quantised, no number without one is taken as it is.
    """
    stored = contents.tensors
    tensors, used = _mxfp4(stored)
    likely = [name for name in stored if name.endswith(ENDINGS)]  # none in most models: nothing lies beside weights
    ways = [way for way in PACKED if all(_is_any(likely, template.format(stem="")) for template in way.beside)]
    packed = {name: reason for name in stored if name not in used and (reason := _packed(name, stored, ways))}
    rules = [rule for rule in BESIDE if _is_any(likely, rule.by)]
    for name in (*stored, *(skip.tensor for skip in contents.skipped)):
        if name not in packed:
            used |= {beside: name for beside in _helpers(name, stored, rules)}
    described = _is_described(contents, used)
    skipped = [Skipped(name, reason) for name, reason in packed.items()]
    for name, tensor in stored.items():
        if name in used or name in packed:
            continue
        paired = _paired(name, tensor, contents, described)
        if isinstance(paired, Skipped):
            skipped.append(paired)
        else:
            tensors[name] = paired
    parts = (Skipped(name, PART, harmless=True) for name in used)
    return replace(contents, tensors=tensors, skipped=(*contents.skipped, *skipped), helpers=tuple(parts))


def _is_described(contents: Contents, used: Container[str]) -> bool:
    """Whether something says that weights are quantised: the configuration, a file's header, or scales of others."""
    nested = (value for value in contents.config.values() if isinstance(value, Mapping))
    texts = [(key, value) for source in (contents.config, contents.header, *nested) for key, value in source.items()]
    if any(value and ("quantiz" in str(key) or key == "compression_config") for key, value in texts):
        return True
    return any(name in used or SCALE_NAME.search(name) for name in contents.tensors)


def _mxfp4(tensors: Mapping[str, TensorSource]) -> tuple[dict[str, TensorSource], dict[str, str]]:
    """Find the matrices kept as blocks of four-bit numbers beside a scale for each block (MXFP4, as gpt-oss is)."""
    unpacked: dict[str, TensorSource] = {}
    used: dict[str, str] = {}
    for name, blocks in tensors.items():
        stem = name.removesuffix("_blocks")
        scales = tensors.get(f"{stem}_scales")
        if stem == name or scales is None:
            continue
        if {blocks.dtype, scales.dtype} == {"uint8"} and blocks.shape[:-1] == scales.shape and len(scales.shape) == 3:
            unpacked[stem] = MXFP4Tensor(blocks, scales)
            used |= {name: stem, f"{stem}_scales": stem}
    return unpacked, used


def _is_any(names: Iterable[str], ending: str) -> bool:
    return any(name.endswith(ending) for name in names)


def _packed(name: str, tensors: Container[str], ways: Iterable[Packed]) -> str | None:
    for rule in ways:
        match = rule.names.fullmatch(name)
        if match and all(name.format(stem=match["stem"]) in tensors for name in rule.beside):
            return rule.reason
    return None


def _helpers(weight: str, tensors: Mapping[str, TensorSource], rules: Iterable[Beside]) -> Iterator[str]:
    """Yield what lies beside a weight and is no matrix: by any of the names where the weight is of few bits.

    Beside another, only names that are a scale's whatever they lie beside: a layer's input scale.
    """
    low_bits = weight not in tensors or tensors[weight].dtype in LOW_BITS
    for _, beside in _present(rules, weight, tensors):
        if low_bits or SCALE_NAME.search(beside):
            yield beside


def _present(rules: Iterable[Beside], weight: str, tensors: Container[str]) -> Iterator[tuple[Beside, str]]:
    return ((rule, name) for rule in rules if (name := rule.name(weight)) is not None and name in tensors)


def _paired(name: str, tensor: TensorSource, contents: Contents, described: bool) -> TensorSource | Skipped:
    """Return a tensor with its scale, one that needs none unchanged, or why it cannot be read."""
    if tensor.dtype not in NUMBERS or len(tensor.shape) < 2:
        return tensor
    scales = list(_present(SCALES, name, contents.tensors))
    if not scales and tensor.dtype == "int8":
        # In a model that is not quantised, integers under another name are a mask or indices: `architectures` knows.
        plain = not described and not name.endswith("weight")
        return tensor if plain else Skipped(name, "int8 without a scale beside it")
    if not scales:
        return Skipped(name, "fp8 without a scale beside it, in a quantised model") if described else tensor
    if len(scales) > 1:
        return Skipped(name, f"two scales are beside it, {scales[0][1]} and {scales[1][1]}")
    scaled = _scaled(name, tensor, *scales[0], contents)
    return Skipped(name, scaled) if isinstance(scaled, str) else scaled


def _scaled(name: str, numbers: TensorSource, rule: Beside, beside: str, contents: Contents) -> TensorSource | str:
    scale = contents.tensors[beside]
    if scale.dtype not in SCALE_DTYPES:
        return f"its scale {beside} is of the dtype {scale.dtype}"
    block = _block(numbers.shape, scale.shape, contents.config)
    if isinstance(block, str):
        return block
    zero = next((contents.tensors[zero] for _, zero in _present(ZERO_POINTS, name, contents.tensors)), None)
    if zero is not None and zero.shape != scale.shape:
        return f"its zero points have the shape {zero.shape}, its scales {scale.shape}"
    return QuantizedTensor(numbers, scale, block or None, rule.factor, zero)


def _block(
    shape: tuple[int, ...], scale: tuple[int, ...], config: Mapping[str, Any]
) -> tuple[int, int] | tuple[()] | str:
    """Return the rows and columns that share a scale; () where the scale broadcasts, a reason where neither fits.

    >>> _block((300, 512), (3, 4), {}), _block((300, 512), (300, 1), {}), _block((300, 512), (), {})
    ((128, 128), (), ())
    >>> _block((128, 128), (128, 4), {}), _block((300, 512), (3, 7), {})
    ((1, 32), 'its shape (300, 512) and that of its scale (3, 7) do not fit')
    """
    *stack, rows, columns = shape
    if _broadcasts(shape, scale):
        return ()
    misfit = f"its shape {shape} and that of its scale {scale} do not fit"
    if len(scale) < 2 or list(scale[:-2]) != stack or not scale[-2] or not scale[-1]:
        return misfit
    high, wide = scale[-2:]
    quantised = config.get("quantization_config")
    stated = quantised.get("weight_block_size") if isinstance(quantised, dict) else None
    blocks = [tuple(stated)] if isinstance(stated, list) and len(stated) == 2 else [(BLOCK, BLOCK)]
    # As many equal blocks as there are scales: groups of 16 or 32 in a row, as MX and others have them.
    blocks += [(rows // high, columns // wide)] if rows % high == columns % wide == 0 else []
    for down, across in blocks:
        counts = all(type(size) is int and size > 0 for size in (down, across))
        if counts and (-(-rows // down), -(-columns // across)) == (high, wide):
            return (down, across)
    return misfit


def _broadcasts(shape: tuple[int, ...], scale: tuple[int, ...]) -> bool:
    """Whether a scale is one number, or one per row."""
    a_row = (shape[:-1], (*shape[:-1], 1))
    return all(size == 1 for size in scale) or scale in a_row
