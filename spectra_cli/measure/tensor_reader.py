"""What measuring asks of whatever holds a checkpoint's tensors. Knows neither files nor models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from spectra_cli.records import FileRange, Skipped, StoredTensor
from spectra_cli.weights import LowRank

if TYPE_CHECKING:
    import torch


class TensorReader(Protocol):
    """What holds the tensors of one checkpoint: its files (`weights.Weights`), or a copy made while a model trains.

    config: the model's configuration as plain data. skipped: tensors that `tensors` lacks, each with the reason, those
    of `unreadable` because they could not be read. notes: what a user should know of it.
    """

    @property
    def config(self) -> Mapping[str, Any]: ...  # noqa: D102 - described above
    @property
    def tensors(self) -> Mapping[str, StoredTensor]: ...  # noqa: D102
    @property
    def skipped(self) -> tuple[Skipped, ...]: ...  # noqa: D102
    @property
    def unreadable(self) -> tuple[Skipped, ...]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor into memory of its own, in its stored dtype; may be called from several threads."""

    def read_together(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Read some tensors, each as `read` does, but neighbours may share memory: none may be changed."""

    def factors(self, name: str) -> LowRank | None:
        """Read a tensor that is kept as two small factors as those; None for one that is kept whole."""

    def is_factored(self, name: str) -> bool:
        """Whether a tensor is kept as two small factors; nothing is read."""

    def file_ranges(self, name: str) -> tuple[FileRange, ...]:
        """Return every range of a file that is read for a tensor."""
