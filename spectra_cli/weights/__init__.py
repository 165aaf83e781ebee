"""Reads the weights of a checkpoint, one tensor at a time, in whatever format it lies. Knows nothing of what they mean.

One module per format says where each tensor's data lie; FORMATS is the list of them. Nothing here imports torch until
the first tensor is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.contents import Contents, OpenWeights, Weights, renamed
from spectra_cli.weights.files import LFS_POINTER, Boundary, Provider, admit
from spectra_cli.weights.formats.torch import STREAM_MAGIC, ZIP_MAGIC
from spectra_cli.weights.grouping import SAFETENSORS, STATES, TORCH, Listing, has_better_twin, list_folder, pick
from spectra_cli.weights.layouts.dcp import is_dcp, open_dcp
from spectra_cli.weights.layouts.peft import is_adapter, open_adapter
from spectra_cli.weights.layouts.quantised import pair_scales
from spectra_cli.weights.layouts.shards import open_safetensors, open_torch
from spectra_cli.weights.layouts.tensor_parallel import (
    is_deepspeed,
    is_megatron,
    is_neox,
    open_deepspeed,
    open_megatron,
    open_neox,
)
from spectra_cli.weights.plain_data import JSON_BYTES
from spectra_cli.weights.tensors.low_rank import LowRank

__all__ = ["FORMATS", "Format", "LowRank", "Weights", "described_by", "open_weights", "recognise", "wanted"]


META = re.compile(r"meta_\d+\.json")  # nanochat's description of a step


@dataclass(frozen=True)
class Format:
    """One way to keep weights: how its folder and its file are told, and what opens them."""

    name: str
    what: str
    folder: Callable[[Listing], bool]
    file: Callable[[Path, bytes], bool]
    open: Callable[[Path, Boundary, bool], Contents]


def _safetensors_file(path: Path, _: bytes) -> bool:  # by its name alone: a broken one is to be named, not passed by
    return path.suffix == ".safetensors"


def _torch_file(path: Path, head: bytes) -> bool:
    written = head.startswith((ZIP_MAGIC, LFS_POINTER)) or STREAM_MAGIC in head
    known = path.name in TORCH.singles or path.suffix in (".pt", ".pth", ".ckpt")
    return known or (path.suffix == ".bin" and written)  # .bin may be anything: token files of a corpus are


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
        _unless_whole(is_adapter), _never, open_adapter,
    ),
    Format(
        "dcp", "a torch distributed checkpoint: .metadata and .distcp files",
        _unless_whole(is_dcp), _never, open_dcp,
    ),
    Format("neox", "GPT-NeoX's layer_XX-model_YY-model_states.pt", _unless_whole(is_neox), _never, open_neox),
    Format("deepspeed", "DeepSpeed's mp_rank_XX_model_states.pt", _unless_whole(is_deepspeed), _never, open_deepspeed),
    Format("megatron", "Megatron's mp_rank_XX folders", _unless_whole(is_megatron), _never, open_megatron),
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
    """Name the format of a checkpoint's folder or file from names and first bytes; None when it is no checkpoint.

    A folder of several checkpoints is none itself, nor is a folder or file of optimizer states alone. Of two files of
    which one is called the EMA of the other, that one is the checkpoint with `ema`, and else the other.
    """
    found = _format(path)
    return found.name if found and not has_better_twin(path, ema=ema) else None


def _format(path: Path) -> Format | None:
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
    """Read the first bytes of a regular file, none of anything else; what is wrong with it is told on opening."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as stream:
            return stream.read(64)
    except OSError:
        return b""


def wanted(names: Sequence[str]) -> tuple[str, ...]:
    """Choose, of the names in one folder, those of the files that are read to open its checkpoint; none if it is none.

    >>> wanted(["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"])
    ('config.json', 'model.safetensors')
    """
    nowhere = Listing(Path(os.devnull), frozenset(names), frozenset())  # names alone: nothing is there to look into
    format = next((one for one in FORMATS if one.folder(nowhere)), None)
    naming = {"safetensors": SAFETENSORS, "torch": TORCH}.get(format.name if format else "")
    if format is None:
        return ()
    if naming is None:
        return tuple(sorted(name for name in names if not name.endswith((".md", ".msgpack", ".h5"))))
    group = pick(nowhere, naming)
    files = set(group.files if group else ())
    if group and group.index:
        files = {group.index, *(n for n in names if n.endswith(naming.suffixes) and not STATES.search(n))}
    return tuple(sorted(name for name in names if name in files or name == "config.json" or META.fullmatch(name)))


def described_by(name: str, head: bytes) -> int | None:
    """Say how many bytes from a file's start tell all that it holds; None where that takes the whole file.

    head: its first bytes, as many as there are at hand; without any, the answer is for the kind of file.
    """
    if not name.endswith(".safetensors"):
        return None
    return 8 + min(int.from_bytes(head[:8], "little"), JSON_BYTES)


@contextmanager
def open_weights(
    path: Path, *, follow_links: bool = False, ema: bool = False, provider: Provider | None = None,
    called: str | None = None,
) -> Iterator[Weights]:  # fmt: skip
    """Open a checkpoint: what it holds from its headers, and one tensor at a time by `read`.

    follow_links: also read files that links lead to, outside the checkpoint's folder. ema: the average of the weights
    that some training programs keep, in place of the weights. provider: fetches what of the folder is not there yet.
    called: what errors call the path. Raises SpectraError naming the file, for whatever is
    wrong with it, here and in `read`.
    """
    names = (str(path), called) if called is not None and called != str(path) else ("", "")
    with renamed(*names):
        format, contents = _open(path, follow_links, ema, provider)
    yield OpenWeights(format.name, contents, provider, names)


def _open(path: Path, follow_links: bool, ema: bool, provider: Provider | None) -> tuple[Format, Contents]:
    is_folder = os.path.isdir(path)  # unlike Path.is_dir, false for a name too long to be one
    boundary = Boundary(path if is_folder else path.parent, follow_links, provider)
    format = _format(path)
    if format is None:
        if not is_folder:
            admit(path, boundary)
        raise SpectraError(
            f"{printable(path, 400)} holds no weights in a format that is known" if is_folder
            else f"{printable(path, 400)} is not a file of weights in a format that is known",
            hint=f"known are: {'; '.join(f'{format.name} ({format.what})' for format in FORMATS)}",
        )  # fmt: skip
    contents = pair_scales(format.open(path, boundary, ema))
    if provider:
        provider.described()
    return format, contents
