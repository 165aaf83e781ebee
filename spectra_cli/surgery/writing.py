"""Writes a checkpoint that transformers loads, whole or not at all: safetensors, config, card, provenance.

It knows nothing of how the tensors are made. Each is made when its turn comes and let go of once it is in its file, so
that memory holds the one being made and the one being written. The files are the safetensors format's: eight bytes of
length, a JSON header, the data; the safetensors library opens them before the folder gets its name.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from spectra_cli.records import ITEMSIZE
from spectra_cli.storage.new_folder import check_output, new_folder

if TYPE_CHECKING:
    import torch

SHARD_BYTES = 5 * 10**9
PROVENANCE, CARD, CONFIG = "provenance.json", "README.md", "config.json"
# torch's name → the format's. What has no entry cannot be written.
DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip


@dataclass(frozen=True)
class TensorToWrite:
    """A tensor of the new checkpoint. dtype: torch's name of it. make: returns it, of this shape and dtype.

    >>> TensorToWrite("w", (2, 3), "bfloat16", lambda: torch.zeros(2, 3, dtype=torch.bfloat16)).nbytes
    12
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    make: Callable[[], torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of its data."""
        return math.prod(self.shape) * ITEMSIZE[self.dtype]


@dataclass(frozen=True)
class Description:
    """What a new checkpoint holds beside its tensors.

    config: becomes config.json. companions: other files by name, such as the tokenizer's. provenance: returns what it
    was made of, for provenance.json; called once its weights are written and checked. card: the text of README.md.
    """

    config: Mapping[str, Any]
    provenance: Callable[[], Mapping[str, Any]]
    card: str
    companions: Mapping[str, bytes]


@dataclass(frozen=True)
class Written:
    """A checkpoint that was written: its folder, the files of its weights, and the bytes of these together."""

    folder: Path
    files: tuple[str, ...]
    nbytes: int


def write_checkpoint(
    output: Path,
    tensors: Sequence[TensorToWrite],
    description: Description,
    *,
    check: Callable[[Path], None] = lambda _: None,
    shard_bytes: int = SHARD_BYTES,
) -> Written:
    """Write a checkpoint's folder whole or not at all: under another name, flushed, renamed.

    check: looks at the folder before it gets its name, all but provenance.json; what it raises undoes the writing.
    shard_bytes: the most of one file, but for a single tensor that is larger. Raises SpectraError where the output is
    there and not empty, another process writes it, there is no room, or a file cannot be written.
    """
    ordered = sorted(tensors, key=lambda tensor: -ITEMSIZE[tensor.dtype])  # aligned, as the safetensors library does
    shards = _shards(ordered, shard_bytes)
    nbytes = sum(tensor.nbytes for tensor in ordered)
    check_output(output, nbytes)
    with new_folder(output) as folder:
        files = [_shard_name(number, len(shards)) for number in range(1, len(shards) + 1)]
        for name, shard in zip(files, shards, strict=True):
            with open(folder / name, "xb") as file:
                _write_shard(file, shard)
                _flush(file)
            _check_shard(folder / name, shard)
        if len(shards) > 1:
            weight_map = {t.name: name for name, shard in zip(files, shards, strict=True) for t in shard}
            index = {"metadata": {"total_size": nbytes}, "weight_map": dict(sorted(weight_map.items()))}
            _write_json(folder / "model.safetensors.index.json", index)
        _write_beside(folder, description)
        check(folder)
        _write_json(folder / PROVENANCE, description.provenance())
    return Written(output, tuple(files), nbytes)


def _shards(tensors: Sequence[TensorToWrite], most: int) -> list[list[TensorToWrite]]:
    """Part tensors into files, in their order."""
    shards: list[list[TensorToWrite]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.nbytes > most:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    return shards


def _shard_name(number: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"


def _write_shard(file: IO[bytes], tensors: Sequence[TensorToWrite]) -> None:
    """Write the header, then each tensor while the next one is made."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + tensor.nbytes
        entry = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        header[tensor.name] = entry
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    file.flush()
    with ThreadPoolExecutor(1) as pool:
        pending: Future[None] | None = None
        for tensor in tensors:
            made = _made(tensor)
            if pending is not None:
                pending.result()
            pending = pool.submit(_append, file, made)
            del made
        if pending is not None:
            pending.result()


def _made(tensor: TensorToWrite) -> torch.Tensor:
    made = tensor.make()
    dtype = str(made.dtype).removeprefix("torch.")
    if tuple(made.shape) != tensor.shape or dtype != tensor.dtype:
        raise ValueError(f"{tensor.name} was to be {tensor.dtype} {tensor.shape}, not {dtype} {tuple(made.shape)}")
    return made.detach().contiguous().cpu()


def _append(file: IO[bytes], tensor: torch.Tensor) -> None:
    import torch

    if tensor.numel():
        file.write(memoryview(tensor.reshape(-1).view(torch.uint8).numpy().data))


def _check_shard(path: Path, tensors: Sequence[TensorToWrite]) -> None:
    """Let the safetensors library read the header: it refuses whatever does not fit the file."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        names = set(file.keys())
    if names != {tensor.name for tensor in tensors}:
        raise ValueError(f"{path.name} does not hold the tensors that were written")


def _write_beside(folder: Path, description: Description) -> None:
    """Write what is not weights; what the new checkpoint says of itself replaces a companion of that name."""
    for name, data in description.companions.items():
        if name not in (CONFIG, PROVENANCE, CARD):
            _write_bytes(folder / name, data)
    _write_json(folder / CONFIG, description.config)
    _write_bytes(folder / CARD, description.card.encode())


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _write_bytes(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        _flush(file)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
