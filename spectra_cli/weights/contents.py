"""What opening a checkpoint gives: names and shapes from the headers, data on demand. Knows no format."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from spectra_cli.errors import SpectraError
from spectra_cli.records import Skipped, StoredTensor
from spectra_cli.weights.extents import Extent, read_extent
from spectra_cli.weights.files import SourceFile
from spectra_cli.weights.text import shown

if TYPE_CHECKING:
    import torch


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
        """Tensors that the files hold and that cannot be read, each with the reason."""

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own; may be called from several threads."""


@dataclass(frozen=True)
class Contents:
    """What a format's module found in the files of one checkpoint."""

    tensors: Mapping[str, Extent]
    files: tuple[SourceFile, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class OpenWeights:
    """Weights over the contents that some format's module found; open until its `with` block ends."""

    def __init__(self, format: str, contents: Contents) -> None:
        """Take over what was found; nothing is read yet."""
        self.format = format
        self.config = MappingProxyType(dict(contents.config))
        self.files = tuple(file.path for file in contents.files)
        self.skipped = contents.skipped
        self.tensors = MappingProxyType({n: StoredTensor(n, e.shape, e.dtype) for n, e in contents.tensors.items()})
        self._contents = contents
        self._warnings: dict[str, None] = {}
        self._lock = threading.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed on opening and, since then, on reading."""
        with self._lock:
            return (*self._contents.notes, *self._warnings)

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own, in its stored dtype."""
        extent = self._contents.tensors.get(name)
        if extent is None:
            raise SpectraError(f"there is no tensor {shown(name)} in {self.files[0]}", hint="see `spectra inspect`")
        return read_extent(name, extent, self._warn)

    def _warn(self, text: str) -> None:
        with self._lock:
            self._warnings[text] = None
