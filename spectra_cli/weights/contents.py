"""What opening a checkpoint gives: names and shapes from the headers, data on demand. Knows no format."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import FileRange, Skipped, StoredTensor
from spectra_cli.weights.files import Provider, SourceFile
from spectra_cli.weights.tensors.low_rank import LowRank, LowRankTensor
from spectra_cli.weights.tensors.source import TensorSource

if TYPE_CHECKING:
    import torch

LOOK = "`spectra inspect` lists the tensors"


class Weights(Protocol):
    """An open checkpoint."""

    @property
    def format(self) -> str:
        """Name of the format, one of FORMATS."""

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """What can be read, by its name on disk; from headers alone."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's configuration as plain data; empty when there is none."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was read: weights, index, configuration."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, such as a checksum that does not match; grows while data are read."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Tensors that the files hold and that `tensors` lacks, each with the reason."""

    @property
    def unreadable(self) -> tuple[Skipped, ...]:
        """Those of `skipped` that are weights which could not be read: to be told as a problem."""

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:
        """Say where in which files a tensor's bytes lie."""

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own; may be called from several threads."""

    def factors(self, name: str) -> LowRank | None:
        """Read a tensor that is kept as two small factors as those; None for one that is kept whole."""


@dataclass(frozen=True)
class Contents:
    """What a format's module found in the files of one checkpoint.

    skipped: tensors that cannot be read. helpers: those that are read only with another, such as its scale.
    """

    tensors: Mapping[str, TensorSource]
    files: tuple[SourceFile, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    helpers: tuple[Skipped, ...] = ()


@contextmanager
def renamed(path: str, called: str) -> Iterator[None]:
    """Call a checkpoint's files in errors what the user calls them, where they lie under a passing name."""
    try:
        yield
    except SpectraError as error:
        if not path or path not in f"{error.message} {error.hint}":
            raise
        texts = (error.message.replace(path, called), error.hint.replace(path, called))
        raise SpectraError(texts[0], hint=texts[1], code=error.code, stops=error.stops) from None


class OpenWeights:
    """Weights over the contents that some format's module found; open until its `with` block ends."""

    def __init__(
        self, format: str, contents: Contents, provider: Provider | None = None, called: tuple[str, str] = ("", "")
    ) -> None:
        """Take over what was found; nothing is read yet. called: a path in texts, and what is said in its place."""
        self.format = format
        self.config = MappingProxyType(dict(contents.config))
        self.files = tuple(file.path for file in contents.files)
        self.unreadable = contents.skipped
        self.skipped = (*contents.skipped, *contents.helpers)
        self.tensors = MappingProxyType({n: StoredTensor(n, e.shape, e.dtype) for n, e in contents.tensors.items()})
        self._contents = contents
        self._provider, self._called = provider, called
        self._warnings: dict[str, None] = {}
        self._lock = threading.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed on opening and, since then, on reading."""
        with self._lock:
            notes = (*self._contents.notes, *self._warnings)
        return tuple(note.replace(*self._called) for note in notes) if self._called[0] else notes

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:
        """Say where in which files a tensor's bytes lie."""
        return self._part(name).file_ranges

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own, in its stored dtype."""
        with self._at_hand(name):
            return self._part(name).read(name, self._warn)

    def factors(self, name: str) -> LowRank | None:
        """Read the factors of a tensor that is kept as such."""
        part = self._part(name)
        if not isinstance(part, LowRankTensor):
            return None
        with self._at_hand(name):
            return part.factors(name, self._warn)

    @contextmanager
    def _at_hand(self, name: str) -> Iterator[None]:
        with (
            renamed(*self._called),
            self._provider.reading(self.file_ranges(name)) if self._provider else nullcontext(),
        ):
            yield

    def _part(self, name: str) -> TensorSource:
        if name not in self._contents.tensors:
            raise SpectraError(f"there is no tensor {printable(name)} in {printable(self.files[0], 400)}", hint=LOOK)
        return self._contents.tensors[name]

    def _warn(self, text: str) -> None:
        with self._lock:
            self._warnings[text] = None
