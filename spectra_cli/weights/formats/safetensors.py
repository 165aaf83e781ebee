"""The safetensors format: eight bytes of length, a JSON header, the data. Knows nothing of how files are grouped.

The header is read here and not by `safe_open`, which takes the last of two equal keys in silence and maps the file:
a file that shrinks under a map kills the process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import Skipped
from spectra_cli.weights.files import COPY_AGAIN, SourceFile, fill, opened, read_head, refuse_stand_in
from spectra_cli.weights.plain_data import JSON_BYTES, NAME_LENGTH, long_name, parse_json
from spectra_cli.weights.tensors.plain import PlainTensor

# The format's name → torch's name and bits of an element; None where torch has no dtype of one element each.
DTYPES: dict[str, tuple[str | None, int]] = {
    "F64": ("float64", 64), "F32": ("float32", 32), "F16": ("float16", 16), "BF16": ("bfloat16", 16),
    "F8_E4M3": ("float8_e4m3fn", 8), "F8_E5M2": ("float8_e5m2", 8), "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": (None, 6), "F6_E3M2": (None, 6), "F4": (None, 4),
    "I64": ("int64", 64), "I32": ("int32", 32), "I16": ("int16", 16), "I8": ("int8", 8),
    "U64": ("uint64", 64), "U32": ("uint32", 32), "U16": ("uint16", 16), "U8": ("uint8", 8),
    "BOOL": ("bool", 8), "C64": ("complex64", 64),
}  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors(source: SourceFile) -> tuple[dict[str, PlainTensor], tuple[Skipped, ...], dict[str, Any]]:
    """Read the header of one safetensors file: where each tensor is, what cannot be read and why, what else it says."""
    header, start = _header(source)
    entries = [_entry(source, name, value) for name, value in header.items() if name != "__metadata__"]
    _check_layout(source, entries, source.size - start)
    tensors, skipped = {}, []
    for entry in entries:
        dtype = DTYPES[entry.dtype][0]
        if dtype is None:
            skipped.append(Skipped(entry.name, f"packed as {entry.dtype}, which has no element of its own"))
            continue
        nbytes = entry.end - entry.begin
        tensors[entry.name] = PlainTensor(source, start + entry.begin, nbytes, entry.shape, dtype)
    metadata = header.get("__metadata__")
    return tensors, tuple(skipped), metadata if isinstance(metadata, dict) else {}


def _header(source: SourceFile) -> tuple[dict[str, Any], int]:
    read_head(source)
    length = bytearray(min(8, source.size))
    with opened(source) as descriptor:
        fill(descriptor, memoryview(length), 0, source)
        size = int.from_bytes(length, "little")
        if source.size < 8 or (size <= JSON_BYTES and 8 + size > source.size):
            raise SpectraError(f"{source} is cut short: it ends within its header", hint=COPY_AGAIN)
        if size > JSON_BYTES:
            raise _damaged(source, f"its first bytes announce a header of {size:,} bytes")
        data = bytearray(size)
        fill(descriptor, memoryview(data), 8, source)
    refuse_stand_in(bytes(data[:64]), source)
    return parse_json(bytes(data), f"the header of {source}"), 8 + size


def _damaged(source: SourceFile, why: str) -> SpectraError:
    return SpectraError(f"{source} is not a sound safetensors file: {why}", hint=COPY_AGAIN)


def _entry(source: SourceFile, name: str, value: object) -> _Entry:
    if len(name) > NAME_LENGTH:
        raise long_name(name)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(source, f"the entry of {printable(name)} lacks dtype, shape or data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _damaged(source, f"{printable(name)} has the dtype {printable(dtype)}, which the format does not know")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise _damaged(source, f"{printable(name)} has a shape or offsets that are not counts")
    bits = math.prod(shape) * DTYPES[dtype][1]
    if (offsets[1] - offsets[0]) * 8 != bits:
        raise _damaged(
            source, f"{printable(name)} needs {bits // 8:,} bytes, its offsets give {offsets[1] - offsets[0]:,}"
        )
    return _Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _check_layout(source: SourceFile, entries: list[_Entry], available: int) -> None:
    """Check that the tensors follow one another without gap or overlap and fill the file exactly."""
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise _damaged(source, f"the data of {printable(entry.name)} overlap others or leave a gap before them")
        end = entry.end
    if available < end:
        raise SpectraError(
            f"{source} is cut short: its header promises {end:,} bytes of data, {available:,} are there",
            hint=COPY_AGAIN,
        )
    if available > end:
        raise _damaged(source, f"its header describes {end:,} bytes of data, {available:,} are there")
