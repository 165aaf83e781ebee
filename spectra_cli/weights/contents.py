"""What a checkpoint holds, as the module of its format or layout found it from headers. Knows no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spectra_cli.records import Skipped
from spectra_cli.weights.files import SourceFile
from spectra_cli.weights.tensors.source import TensorSource


@dataclass(frozen=True)
class Contents:
    """The tensors of one checkpoint by name, and the files that describe them.

    skipped: tensors that cannot be read. helpers: those that are read only with another, such as its scale.
    header: what the files' own headers say besides.
    """

    tensors: Mapping[str, TensorSource]
    files: tuple[SourceFile, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    helpers: tuple[Skipped, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
