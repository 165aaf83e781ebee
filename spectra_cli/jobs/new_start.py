"""The model as training would start it, with matrices of wanted spectra in place of its own: tensors to be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli import architectures, sources
from spectra_cli.errors import SpectraError, printable
from spectra_cli.jobs.reference_spectra import Array, Reference, opened_checkpoint
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint, Matrix
from spectra_cli.surgery import Original, TensorToWrite, open_original
from spectra_cli.surgery.spectral import generator_for, parts_of, random_matrix, wanted

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Start:
    """The model as it would start, open, and the spectra that its matrices are to have."""

    original: Original
    matrices: Mapping[str, list[Matrix]]
    goals: Mapping[str, tuple[Array, ...]]
    reference: Reference
    seed: int

    def tensors(self) -> list[TensorToWrite]:
        """Return its tensors in the reference's dtype, those of matrices made anew."""
        dtype = self.reference.dtype
        return [
            TensorToWrite(name, tensor.shape, dtype, partial(self._made, name))
            if tensor.dtype == "float32"
            else self.original.tensor(name)
            for name, tensor in self.original.stored.tensors.items()
        ]

    def _made(self, name: str) -> torch.Tensor:
        import torch

        tensor = self.original.stored.read(name).contiguous()
        for matrix in self.matrices.get(name, ()):
            generator = generator_for(self.seed, matrix.name)
            values = np.empty((matrix.rows, matrix.cols), np.float32)
            for part, sigma in zip(parts_of(matrix, *self.reference.sizes), self.goals[matrix.name], strict=True):
                rows, cols = values[part.rows, part.cols].shape
                values[part.rows, part.cols] = random_matrix(sigma, rows, cols, generator)
            architectures.put(tensor, matrix, torch.from_numpy(values))
        return tensor.to(getattr(torch, self.reference.dtype))


@contextmanager
def open_start(trained: Reference, folder: Path, spectrum: str, scale: float, seed: int) -> Iterator[Start]:
    """Open the model as it starts. Raises SpectraError where its matrices are not those of the reference."""
    client = sources.Client(sources.RetryPolicy())
    request = Request(str(folder))
    with opened_checkpoint(Checkpoint(trained.called, "start", folder), request, client) as (files, _, layout):
        own = {matrix.name: matrix for matrix in layout.matrices}
        unlike = next((name for name in trained.sigma if name not in own), None)
        if unlike is not None:
            raise SpectraError(
                f"{printable(unlike)} of {trained.called} has no counterpart in the model of its config.json",
                hint="compare the names with `spectra inspect`",
            )
        matrices: dict[str, list[Matrix]] = {}
        goals = {}
        for name, sigma in trained.sigma.items():
            matrices.setdefault(own[name].tensor, []).append(own[name])
            shapes = [(part.rows.stop - part.rows.start, part.cols.stop - part.cols.start)
                      for part in parts_of(own[name], *trained.sizes)]  # fmt: skip
            goals[name] = tuple(
                wanted(values, *shape, spectrum, scale) for values, shape in zip(sigma, shapes, strict=True)
            )
        with open_original(files) as original:
            yield Start(original, matrices, goals, trained, seed)
