"""What is known and not read: why a folder or file holds no checkpoint, and what to do about it.

The kinds are data, KINDS: how each is known by its names, and the two lines of its error. Nothing is opened but for a
file's first bytes.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.grouping import Listing, list_folder, weight_files

CACHED = re.compile(r"models--[\w.-]+")
SNAPSHOTS = "snapshots"
STATES = re.compile(r"(optimizer|optim|opt_state|scheduler)[\w.-]*\.(pt|pth|bin|distcp|safetensors)", re.IGNORECASE)
MOST_CHILDREN = 1000
SCAN_ORIGINAL = "scan the safetensors or torch files that it was made from"
CONVERT = "load it with the program that wrote it, save the tensors as safetensors, and scan those"


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder that is not read. shows: which name tells it, None where none does.

    what: the first line after the path. hint: the second; `{path}` is the path of what tells it.
    """

    what: str
    hint: str
    shows: Callable[[Listing], str | None]


def _named(pattern: str) -> Callable[[Listing], str | None]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda listing: next((n for n in sorted(listing.files | listing.folders) if compiled.fullmatch(n)), None)


def _snapshot(listing: Listing) -> str | None:
    """Return the newest snapshot of a repository in the Hub's cache: the one that its main branch names, or any."""
    if not CACHED.fullmatch(listing.path.name) or SNAPSHOTS not in listing.folders:
        return None
    commits = sorted(list_folder(listing.path / SNAPSHOTS).folders)
    try:
        main = (listing.path / "refs" / "main").read_text(encoding="utf-8")[:64].strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    commit = main if main in commits else next(iter(commits), None)
    return None if commit is None else f"{SNAPSHOTS}/{commit}"


def _cached(listing: Listing) -> str | None:
    """Return the newest snapshot of the first repository in a folder of several."""
    for name in sorted(filter(CACHED.fullmatch, listing.folders)):
        if snapshot := _snapshot(list_folder(listing.path / name)):
            return f"{name}/{snapshot}"
    return None


def _only_states(listing: Listing) -> str | None:
    return next(iter(sorted(filter(STATES.fullmatch, listing.files))), None)


def _without_metadata(listing: Listing) -> str | None:
    pieces = sorted(name for name in listing.files if re.fullmatch(r"__\d+_\d+\.distcp", name))
    return pieces[0] if pieces and ".metadata" not in listing.files else None


def _several_files(listing: Listing) -> str | None:
    weights = weight_files(listing.files)
    return weights[0] if len(weights) > 1 else None


KINDS = (
    Kind("is a repository's folder in the Hub's cache, and its checkpoints lie in its snapshots",
         "scan one of them, as with `spectra scan {path}`", _snapshot),
    Kind("is the Hub's cache, with a folder for each repository", "scan one of them, as with `spectra scan {path}`",
         _cached),
    Kind("holds weights in GGUF, llama.cpp's own format, which is not read", SCAN_ORIGINAL, _named(r".+\.gguf")),
    Kind("holds an ONNX program, which is not read", SCAN_ORIGINAL, _named(r".+\.onnx")),
    Kind("holds a checkpoint of Flax or Orbax, which is not read", CONVERT,
         _named(r"flax_model.*\.msgpack|_CHECKPOINT_METADATA|ocdbt\.process_\d+|manifest\.ocdbt")),
    Kind("holds a checkpoint of TensorFlow or Keras, which is not read", CONVERT,
         _named(r".+\.(h5|keras)|.+\.ckpt.*\.index|.+\.data-\d+-of-\d+")),
    Kind("holds arrays of NumPy, which are not read", CONVERT, _named(r".+\.np[yz]")),
    Kind("holds the pieces of a torch distributed checkpoint without its .metadata, which says what they are",
         "copy the hidden file .metadata as well: it is written last, and missing where a save was cut off",
         _without_metadata),
    Kind("holds a NeMo archive, which is not read", "unpack it with tar, and scan the folder of the weights in it",
         _named(r".+\.nemo")),
    Kind("holds the optimizer's states and no weights",
         "give the folder that the weights were saved in: what an optimizer keeps is not the model", _only_states),
    Kind("holds several files of weights, and no name says how they belong together",
         "scan the one that is the model, as with `spectra scan {path}`; parts of one are joined by the program that "
         "wrote them", _several_files),
)  # fmt: skip


def why_unread(path: Path) -> SpectraError | None:
    """Return the error for a folder or file of a kind that is known and not read, None for any other.

    A folder without such a kind is known by that of the first folder in it.
    """
    if not os.path.isdir(path):
        return _error(path, Listing(path.parent, frozenset({path.name}), frozenset()))
    listing = list_folder(path)
    inner = (path / name for name in sorted(listing.folders)[:MOST_CHILDREN])
    errors = (_error(folder, list_folder(folder)) for folder in (path, *(f for f in inner if os.access(f, os.R_OK))))
    return next((error for error in errors if error), None)


def _error(path: Path, listing: Listing) -> SpectraError | None:
    for kind in KINDS:
        if (shown := kind.shows(listing)) is not None:
            hint = kind.hint.replace("{path}", shlex.quote(printable(listing.path / shown, 400)))
            return SpectraError(f"{printable(path, 400)} {kind.what}", hint=hint)
    return None
