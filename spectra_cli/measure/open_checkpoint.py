"""An open checkpoint: its matrices, and what is known of them so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spectra_cli import architectures, svd
from spectra_cli.measure.plan import Plan, open_checkpoint
from spectra_cli.records import Checkpoint, Layout, Matrix, Problem, Remote, Spectrum, StoredTensor
from spectra_cli.sources import CheckpointFiles
from spectra_cli.weights import Weights

if TYPE_CHECKING:
    import torch

SHUFFLE_SEED = 0
MOST_OPEN = 3  # the checkpoint, the one before and the reference


@dataclass
class Known:
    """Spectra of files that several checkpoints have, by blob: each is computed once. recurring: those blobs."""

    recurring: frozenset[str]
    spectra: dict[tuple[object, ...], Spectrum] = field(default_factory=dict)

    def spectrum(
        self, weights: Weights, checkpoint: Checkpoint, matrix: Matrix, compute: Callable[[Matrix], Spectrum]
    ) -> Spectrum:
        """Give a matrix's spectrum, from an earlier checkpoint that has the very same file or else computed."""
        key = self._key(weights, checkpoint, matrix)
        if key is None:
            return compute(matrix)
        if key not in self.spectra:
            self.spectra[key] = compute(matrix)
        return self.spectra[key]

    def has(self, weights: Weights, checkpoint: Checkpoint, matrix: Matrix) -> bool:
        """Say whether an earlier checkpoint with the very same file gave a matrix's spectrum."""
        return self._key(weights, checkpoint, matrix) in self.spectra

    def _key(self, weights: Weights, checkpoint: Checkpoint, matrix: Matrix) -> tuple[object, ...] | None:
        """Name the bytes of a matrix and how it is cut out of them; None where no other checkpoint may have them."""
        if not self.recurring or not isinstance(checkpoint.path, Remote):
            return None
        blobs = {file.name: file.blob for file in checkpoint.path.files}
        places = [(blobs[path.name], offset, size) for path, offset, size in weights.file_ranges(matrix.tensor)]
        # Where a tensor is made of several ranges, other files (a config, an index) say how: those may differ.
        if len(places) != 1 or places[0][0] not in self.recurring:
            return None
        return (*places, matrix.tensor, matrix.view, repr(matrix.index), matrix.rows, matrix.cols, matrix.transposed)


@dataclass(frozen=True, eq=False)
class Side:
    """An open checkpoint that can be compared: its matrices by name, and those of their spectra already known.

    coming: what a GPU is to give, by name. fallbacks: what it had no memory for.
    """

    checkpoint: Checkpoint
    layout: Layout
    weights: Weights
    matrices: Mapping[str, Matrix]
    spectra: dict[str, Spectrum]
    leading: dict[str, svd.Vectors]
    plan: Plan
    device: str
    closing: ExitStack
    known: Known
    held: dict[str, torch.Tensor | svd.Factors | None] = field(default_factory=dict)
    coming: dict[str, Future[svd.Attempt | None]] = field(default_factory=dict)
    fallbacks: dict[str, Problem] = field(default_factory=dict)

    @classmethod
    def open(cls, checkpoint: Checkpoint, plan: Plan, device: str, supply: CheckpointFiles, known: Known) -> Side:
        """Open a checkpoint; close it with `closing.close()`. Raises SpectraError where it cannot be read."""
        closing = ExitStack()
        opened, layout = closing.enter_context(open_checkpoint(checkpoint, plan.request, supply))
        matrices = {matrix.name: matrix for matrix in layout.matrices}
        return cls(checkpoint, layout, opened, matrices, {}, {}, plan, device, closing, known)

    def array(self, name: str) -> torch.Tensor | svd.Factors:
        """Give a matrix as it is stored, (rows, cols): whole, or as an adapter's two factors."""
        if name not in self.held:
            return self.read(name)
        found = self.held[name]
        if found is None:
            found = self.held[name] = self.read(name)
        return found

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Read a matrix at most once while it is measured. One thread at a time may hold a matrix."""
        self.held[name] = None
        try:
            yield
        finally:
            del self.held[name]

    def read(self, name: str) -> torch.Tensor | svd.Factors:
        """Read a matrix from its file, held or not."""
        matrix = self.matrices[name]
        factors = self.weights.factors(matrix.tensor)
        if factors is None:
            return architectures.cut(self.weights.read(matrix.tensor), matrix)
        return svd.Factors(*architectures.cut_factors(factors.b, factors.a, matrix), factors.scale)

    def memory(self, matrix: Matrix) -> int:
        """Estimate the bytes that a matrix takes while it is measured, with those that it is compared with."""
        stored = StoredTensor(matrix.name, (matrix.rows, matrix.cols), self.weights.tensors[matrix.tensor].dtype)
        return MOST_OPEN * stored.nbytes + svd.working_bytes(matrix.rows, matrix.cols)

    def spectrum(self, name: str) -> Spectrum:
        """Give a matrix's spectrum, computed when it is first asked for."""
        if name not in self.spectra:
            self.spectra[name] = self.known.spectrum(self.weights, self.checkpoint, self.matrices[name], self._compute)
        return self.spectra[name]

    def _compute(self, matrix: Matrix) -> Spectrum:
        """Take what the GPU found, where there is one; what it leaves is computed here."""
        promise = self.coming.get(matrix.name)
        attempt = promise.result() if promise else None
        if attempt is not None and attempt.fallback is not None:
            self.fallbacks[matrix.name] = attempt.fallback
        if attempt is not None and attempt.spectrum is not None:
            return attempt.spectrum
        return svd.spectrum(self.array(matrix.name), shuffle_seed=self.shuffle_seed)

    @property
    def shuffle_seed(self) -> int | None:
        """The seed of the random order whose spectrum is asked for; None where it is not."""
        return SHUFFLE_SEED if "rand_distance" in self.plan.metrics else None

    def vectors(self, name: str, count: int) -> svd.Vectors:
        """Give a matrix's first singular vectors, left and right, computed when they are first asked for."""
        if name not in self.leading:
            self.leading[name] = svd.singular_vectors(self.array(name), count)
        return self.leading[name]


def comparable(other: Side, matrix: Matrix) -> bool:
    """Say whether a checkpoint has a matrix of this name and shape."""
    twin = other.matrices.get(matrix.name)
    return twin is not None and (twin.rows, twin.cols) == (matrix.rows, matrix.cols)
