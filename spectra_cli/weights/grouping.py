"""Which files of a folder make up one checkpoint. Knows names, not what is inside the files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.weights.files import COPY_AGAIN

SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?P<suffix>\.\w+)")
STATES = re.compile(
    r"(optim|opt_|scheduler|rng|random_states|training_args|trainer|scaler|zero_pp_rank|tokenizer|train\.|val\.|"
    r"bf16_zero|zero_to|dataloader|sampler|^args|\.distcp$)",
    re.IGNORECASE,
)
EMA_WORD = re.compile(r"[_.-]ema(?=[_.-])|^ema[_.-]", re.IGNORECASE)
EMA_FILE = re.compile(r"(^|[_.-])ema([_.-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Listing:
    """The names in a folder."""

    path: Path
    files: frozenset[str]
    folders: frozenset[str]


@dataclass(frozen=True)
class Naming:
    """The names of a format's files: a single file, an index of shards, or any other name with one of the suffixes."""

    singles: tuple[str, ...]
    indexes: tuple[str, ...]
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """The files of one checkpoint; index: the JSON that maps each tensor to its file."""

    files: tuple[str, ...]
    index: str | None = None


SAFETENSORS = Naming(
    ("model.safetensors", "pytorch_model.safetensors", "consolidated.safetensors"),
    ("model.safetensors.index.json", "pytorch_model.safetensors.index.json", "consolidated.safetensors.index.json"),
    (".safetensors",),
)
TORCH = Naming(
    ("pytorch_model.bin", "model.pt", "model.pth", "model.bin", "model.ckpt", "pytorch_model.pt", "lit_model.pth"),
    ("pytorch_model.bin.index.json",),
    (".bin", ".pt", ".pth", ".ckpt"),
)


def list_folder(path: Path) -> Listing:
    """List a folder's names; a link counts as what it leads to, a broken one as a file, so that it is named."""
    try:
        with os.scandir(path) as entries:
            kinds = {entry.name: entry.is_dir() for entry in entries}
    except OSError:
        raise SpectraError(f"{printable(path, 400)} cannot be listed", hint="check its permissions") from None
    return Listing(path, frozenset(n for n, d in kinds.items() if not d), frozenset(n for n, d in kinds.items() if d))


def weight_files(
    names: Iterable[str], suffixes: tuple[str, ...] = (*SAFETENSORS.suffixes, *TORCH.suffixes)
) -> list[str]:
    """Return the names, sorted, that end as files of weights do and are not called after states.

    >>> weight_files({"model.pt", "optimizer.pt", "a.safetensors", "README.md"})
    ['a.safetensors', 'model.pt']
    """
    return sorted(name for name in names if name.endswith(suffixes) and not STATES.search(name))


def pick(listing: Listing, naming: Naming, *, ema: bool = False) -> Group | None:
    """Return the files of the one checkpoint in a folder; None if it holds none, or several.

    >>> names = frozenset({"pytorch_model.bin", "optimizer.pt", "config.json"})
    >>> pick(Listing(Path("run/checkpoint-5"), names, frozenset()), TORCH)
    Group(files=('pytorch_model.bin',), index=None)
    >>> pick(Listing(Path("run"), frozenset({"ckpt_100.pt", "ckpt_200.pt"}), frozenset()), TORCH)
    """
    weights = weight_files(listing.files, naming.suffixes)
    averages = [name for name in weights if EMA_FILE.search(name)]
    if ema and len(averages) == 1:
        return Group((averages[0],))
    # By pairs: a folder from Mistral has model's shards beside consolidated.safetensors, whose names are its own.
    for single, index in zip_longest(naming.singles, naming.indexes):
        if single in listing.files:
            return Group((single,))
        if index in listing.files:
            return Group((), index)
    weights = [name for name in weights if name not in averages]
    shards = [name for name in weights if SHARD.fullmatch(name)]
    if shards:
        return Group(tuple(shards))
    if len(weights) == 1 and ("config.json" in listing.files or not re.search(r"\d", Path(weights[0]).stem)):
        return Group((weights[0],))
    return None


def has_better_twin(path: Path, *, ema: bool) -> bool:
    """Whether another file beside it is to be read instead: `step5_ema.pt` for `step5.pt` with `ema`, or the reverse.

    >>> has_better_twin(Path("run/step5_ema.pt"), ema=True)
    False
    """
    own = EMA_WORD.sub("", path.name)
    if own != path.name:
        return not ema and os.path.isfile(path.with_name(own))
    twins = (f"{path.stem}{mark}ema{path.suffix}" for mark in "_-.")
    return ema and any(os.path.isfile(path.with_name(twin)) for twin in (*twins, f"ema_{path.name}"))


def check_complete(folder: Path, shards: tuple[str, ...]) -> None:
    """Raise SpectraError unless shards without an index are complete, and all of one set.

    >>> check_complete(Path("run"), ("model-00001-of-00002.bin",))
    Traceback (most recent call last):
    ...
    spectra_cli.errors.SpectraError: run lacks shard 2 of 2 of model
    """
    matches = [match for match in map(SHARD.fullmatch, shards) if match]
    if not matches:
        return
    sets = {(match["stem"], match["count"]) for match in matches}
    if len(sets) > 1:
        raise SpectraError(
            f"{printable(folder, 400)} holds shards of {len(sets)} different sets", hint="keep one set of shards in it"
        )
    stem, count = sets.pop()
    present = {int(match["number"]) for match in matches}
    first = 0 if 0 in present else 1
    missing = next((n for n in range(first, first + min(int(count), 100_000)) if n not in present), None)
    if missing is not None:
        raise SpectraError(
            f"{printable(folder, 400)} lacks shard {missing} of {int(count)} of {printable(stem)}", hint=COPY_AGAIN
        )
