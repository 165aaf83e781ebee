"""Which format a checkpoint is in, recognised by names and first bytes. FORMATS is the list of all formats."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.weights.contents import Contents
from spectra_cli.weights.files import LFS_POINTER, Boundary
from spectra_cli.weights.formats.torch import STREAM_MAGIC, ZIP_MAGIC
from spectra_cli.weights.grouping import SAFETENSORS, STATES, TORCH, Listing, has_better_twin, list_folder, pick
from spectra_cli.weights.layouts.dcp import is_dcp, open_dcp
from spectra_cli.weights.layouts.megatron import is_megatron, open_megatron
from spectra_cli.weights.layouts.meta import is_meta, open_meta
from spectra_cli.weights.layouts.nanotron import is_nanotron, open_nanotron
from spectra_cli.weights.layouts.peft.adapter import is_adapter, is_adapter_file, open_adapter
from spectra_cli.weights.layouts.rank_files import is_rank_files, open_rank_files
from spectra_cli.weights.layouts.shards import open_safetensors, open_torch
from spectra_cli.weights.layouts.tensor_parallel import is_deepspeed, is_neox, open_deepspeed, open_neox
from spectra_cli.weights.plain_data import JSON_BYTES

META = re.compile(r"meta_\d+\.json")  # nanochat's description of a step


@dataclass(frozen=True)
class Format:
    """One way to keep weights. folder, file: whether a folder or file is of this format; open: reads what it holds."""

    name: str
    what: str
    folder: Callable[[Listing], bool]
    file: Callable[[Path, bytes], bool]
    open: Callable[[Path, Boundary, bool], Contents]


def _safetensors_file(path: Path, _: bytes) -> bool:  # by its name: a broken one is to be named, not ignored
    return path.suffix == ".safetensors"


def _torch_file(path: Path, head: bytes) -> bool:
    from_torch = head.startswith((ZIP_MAGIC, LFS_POINTER)) or STREAM_MAGIC in head
    by_name = path.name in TORCH.singles or path.suffix in (".pt", ".pth", ".ckpt")
    return by_name or (path.suffix == ".bin" and from_torch)  # .bin may be anything: token files of a corpus are


def _torch_folder(listing: Listing) -> bool:
    group = pick(listing, TORCH)
    if group is None or group.index:
        return group is not None
    return all(_torch_file(listing.path / name, _head(listing.path / name)) for name in group.files)


def _never(_path: Path, _head: bytes) -> bool:  # a format of folders only
    return False


def _unless_whole(test: Callable[[Listing], bool]) -> Callable[[Listing], bool]:
    """Prefer a model saved whole to the training program's own files in the same folder."""
    whole = (*SAFETENSORS.singles, *SAFETENSORS.indexes, *TORCH.singles, *TORCH.indexes)
    return lambda listing: listing.files.isdisjoint(whole) and test(listing)


FORMATS = (
    Format(
        "peft", "a LoRA adapter of PEFT: adapter_model and adapter_config.json",
        _unless_whole(is_adapter), is_adapter_file, open_adapter,
    ),
    Format(
        "dcp", "a torch distributed checkpoint: .metadata and .distcp files",
        _unless_whole(is_dcp), _never, open_dcp,
    ),
    Format("neox", "GPT-NeoX's layer_XX-model_YY-model_states.pt", _unless_whole(is_neox), _never, open_neox),
    Format("deepspeed", "DeepSpeed's mp_rank_XX_model_states.pt", _unless_whole(is_deepspeed), _never, open_deepspeed),
    Format("megatron", "Megatron's mp_rank_XX folders", _unless_whole(is_megatron), _never, open_megatron),
    Format("meta", "Meta's consolidated.NN.pth", _unless_whole(is_meta), _never, open_meta),
    Format("rank_files", "a file of torch.save from each rank, …rank_0.pt", _unless_whole(is_rank_files), _never,
           open_rank_files),
    Format("nanotron", "nanotron's folders below model/model", _unless_whole(is_nanotron), _never, open_nanotron),
    Format(
        "safetensors", "one file, or shards with or without an index",
        lambda listing: pick(listing, SAFETENSORS) is not None, _safetensors_file, open_safetensors,
    ),
    Format(
        "torch", "torch.save's .bin, .pt, .pth, .ckpt: one file, or shards with or without an index",
        _torch_folder, _torch_file, open_torch,
    ),
)  # fmt: skip


def recognise(path: Path, *, ema: bool = False) -> str | None:
    """Return the format of a checkpoint's folder or file, from names and first bytes; None when it is no checkpoint.

    A folder of several checkpoints is none itself, nor is a folder or file of optimizer states only. Of two files of
    which one is named as the EMA of the other, that one is the checkpoint with `ema`, and the other without.
    """
    format = format_of(path)
    return format.name if format and not has_better_twin(path, ema=ema) else None


def format_of(path: Path) -> Format | None:
    """Return the format of a folder or file; None when it is in none of them."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        listing = list_folder(path)
        return next((format for format in FORMATS if format.folder(listing)), None)
    if not stat.S_ISREG(mode) or STATES.search(path.name):
        return None
    head = _head(path)
    return next((format for format in FORMATS if format.file(path, head)), None)


def _head(path: Path) -> bytes:
    """Read the first bytes of a regular file, none of anything else; opening it reports what is wrong with it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as stream:
            return stream.read(64)
    except OSError:
        return b""


def checkpoint_files(names: Sequence[str]) -> tuple[str, ...]:
    """Return, of the names in a folder, those that are read to open its checkpoint; none if it holds no checkpoint.

    >>> checkpoint_files(["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"])
    ('config.json', 'model.safetensors')
    """
    unread = Listing(Path(os.devnull), frozenset(names), frozenset())  # only names: there is nothing to look into
    format = next((format for format in FORMATS if format.folder(unread)), None)
    naming = {"safetensors": SAFETENSORS, "torch": TORCH}.get(format.name if format else "")
    if format is None:
        return ()
    if naming is None:
        return tuple(sorted(name for name in names if not name.endswith((".md", ".msgpack", ".h5"))))
    group = pick(unread, naming)
    files = set(group.files if group else ())
    if group and group.index:
        files = {group.index, *(n for n in names if n.endswith(naming.suffixes) and not STATES.search(n))}
    return tuple(sorted(name for name in names if name in files or name == "config.json" or META.fullmatch(name)))


def header_size(name: str, head: bytes) -> int | None:
    """Return how many bytes from a file's start describe all that it holds; None where that takes the whole file.

    head: its first bytes, as many as have been read; without any, the result is that of the kind of file.
    """
    if not name.endswith(".safetensors"):
        return None
    return 8 + min(int.from_bytes(head[:8], "little"), JSON_BYTES)
