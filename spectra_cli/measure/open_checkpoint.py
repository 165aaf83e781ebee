"""An open checkpoint: its matrices, read one at a time, and the spectra that are known so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from spectra_cli import architectures, sources, svd
from spectra_cli.columns import Numbers
from spectra_cli.engines.work import Promise
from spectra_cli.errors import SpectraError
from spectra_cli.measure.layouts import open_weights
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.tensor_reader import TensorReader
from spectra_cli.records import Checkpoint, Layout, Matrix, Problem, Remote, Spectrum, StoredTensor

if TYPE_CHECKING:
    import torch

SHUFFLE_SEED = 0
MOST_OPEN = 3  # the current checkpoint, the previous one and the reference


@dataclass
class SpectrumCache:
    """Spectra of files that several checkpoints have, by blob: each is computed once. recurring: those blobs."""

    recurring: frozenset[str] = frozenset()
    spectra: dict[tuple[object, ...], Spectrum] = field(default_factory=dict)

    def spectrum(
        self, opened: TensorReader, checkpoint: Checkpoint, matrix: Matrix, compute: Callable[[Matrix], Spectrum]
    ) -> Spectrum:
        """Return a matrix's spectrum, from an earlier checkpoint that has the very same file or else computed."""
        key = self._key(opened, checkpoint, matrix)
        if key is None:
            return compute(matrix)
        if key not in self.spectra:
            self.spectra[key] = compute(matrix)
        return self.spectra[key]

    def has(self, opened: TensorReader, checkpoint: Checkpoint, matrix: Matrix) -> bool:
        """Whether an earlier checkpoint with the very same file gave a matrix's spectrum."""
        return self._key(opened, checkpoint, matrix) in self.spectra

    def _key(self, opened: TensorReader, checkpoint: Checkpoint, matrix: Matrix) -> tuple[object, ...] | None:
        """Name the bytes of a matrix and how it is cut out of them; None where no other checkpoint may have them."""
        if not self.recurring or not isinstance(checkpoint.path, Remote):
            return None
        blobs = {file.name: file.blob for file in checkpoint.path.files}
        ranges = [(blobs[path.name], offset, size) for path, offset, size in opened.file_ranges(matrix.tensor)]
        # Where a tensor is made of several ranges, other files (a config, an index) say how: those may differ.
        if len(ranges) != 1 or ranges[0][0] not in self.recurring:
            return None
        how = (matrix.view, repr(matrix.index), matrix.swapped, matrix.rows, matrix.cols, matrix.transposed)
        return (*ranges, matrix.tensor, *how)


def first_of(names: Sequence[str]) -> dict[str, object]:
    """Return what a trace says of the matrices that something is done with.

    >>> first_of(["layers.0.attn.q"]), first_of(["layers.0.attn.q", "layers.0.attn.k"])
    ({'matrix': 'layers.0.attn.q'}, {'matrix': 'layers.0.attn.q', 'matrices': 2})
    """
    return {"matrix": names[0]} | ({"matrices": len(names)} if len(names) > 1 else {}) if names else {}


@dataclass(frozen=True, eq=False)
class OwnNumbers:
    """What is measured of one spectrum: numbers by metric, whether it is on its random baseline, what is uncertain."""

    numbers: Numbers
    random: bool
    uncertain: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OpenCheckpoint:
    """A checkpoint that can be measured and compared: its matrices by name, and those of their spectra already known.

    spectra, vectors, own: what is known, by name. distances: to those that it was compared with, by name. promised:
    what a GPU may give, by name. routes: by which it gave that. fallbacks: what it had no memory for. loaded: matrices
    that are read once while they are measured; None where it was not read yet.
    """

    checkpoint: Checkpoint
    layout: Layout
    weights: TensorReader
    matrices: Mapping[str, Matrix]
    plan: Plan
    device: str
    spectrum_cache: SpectrumCache
    closing: ExitStack
    spectra: dict[str, Spectrum] = field(default_factory=dict)
    vectors: dict[str, svd.Vectors] = field(default_factory=dict)
    own: dict[str, OwnNumbers] = field(default_factory=dict)
    distances: dict[str, dict[Checkpoint, tuple[float, float]]] = field(default_factory=dict)
    loaded: dict[str, torch.Tensor | svd.Factors | None] = field(default_factory=dict)
    promised: dict[str, Promise[svd.Attempt]] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, Problem] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        checkpoint: Checkpoint,
        plan: Plan,
        device: str,
        checkpoint_files: sources.CheckpointFiles,
        spectrum_cache: SpectrumCache,
        *,
        hold: bool = False,
        names: frozenset[str] | None = None,
    ) -> OpenCheckpoint:
        """Open a checkpoint; `close` ends it. hold, names: as of `open_weights`.

        Raises SpectraError where it cannot be read.
        """
        closing = ExitStack()
        opened, layout = closing.enter_context(
            open_weights(checkpoint, plan.request, checkpoint_files, hold=hold, names=names)
        )
        matrices = {matrix.name: matrix for matrix in layout.matrices}
        return cls(checkpoint, layout, opened, matrices, plan, device, spectrum_cache, closing)

    def begun_anew(self, plan: Plan) -> OpenCheckpoint:
        """Return it as it was opened, for a plan of the same request, with nothing known of its matrices."""
        nothing: dict[str, Any] = {known.name: {} for known in fields(self) if known.default_factory is dict}
        return replace(self, plan=plan, **nothing)

    def close(self) -> None:
        """Close its files; what is known of its spectra stays."""
        self.closing.close()

    def array(self, name: str) -> torch.Tensor | svd.Factors:
        """Return a matrix as it is stored, (rows, cols): whole, or as an adapter's two factors."""
        if name not in self.loaded:
            return self.read(name)
        array = self.loaded[name]
        if array is None:
            array = self.loaded[name] = self.read(name)
        return array

    @contextmanager
    def reading_once(self, names: Sequence[str]) -> Iterator[None]:
        """Read matrices at most once while the block runs. One thread at a time may do so with a matrix.

        A block within another for the same matrix shares what that has read.
        """
        own = [name for name in names if name not in self.loaded]
        self.loaded.update(dict.fromkeys(own))
        try:
            yield
        finally:
            for name in own:
                del self.loaded[name]

    def load(self, names: Sequence[str]) -> None:
        """Read several of those matrices at once; what stands in the way is met again where one is read by itself."""
        whole = [self.matrices[name] for name in names if not self.weights.is_factored(self.matrices[name].tensor)]
        try:
            with self._reading(whole):
                tensors = self.weights.read_together(dict.fromkeys(matrix.tensor for matrix in whole))
        except (SpectraError, MemoryError):
            return
        for matrix in whole:
            self.loaded[matrix.name] = architectures.cut(tensors[matrix.tensor], matrix)

    def read(self, name: str) -> torch.Tensor | svd.Factors:
        """Read a matrix from its file, loaded or not."""
        matrix = self.matrices[name]
        with self._reading([matrix]):
            factors = self.weights.factors(matrix.tensor)
            if factors is None:
                return architectures.cut(self.weights.read(matrix.tensor), matrix)
            return svd.Factors(*architectures.cut_factors(factors.b, factors.a, matrix), factors.scale)

    def _reading(self, matrices: Sequence[Matrix]) -> AbstractContextManager[None]:
        names = [matrix.name for matrix in matrices]
        return self.plan.recorder.span("read", checkpoint=self.checkpoint.revision, **first_of(names))

    def memory(self, matrix: Matrix) -> int:
        """Return about the bytes that a matrix takes while it is measured, with those that it is compared with."""
        stored = StoredTensor(matrix.name, (matrix.rows, matrix.cols), self.weights.tensors[matrix.tensor].dtype)
        return MOST_OPEN * stored.nbytes + svd.working_bytes(matrix.rows, matrix.cols)

    def spectrum(self, name: str) -> Spectrum:
        """Return a matrix's spectrum, computed when it is first asked for."""
        if name not in self.spectra:
            matrix = self.matrices[name]
            self.spectra[name] = self.spectrum_cache.spectrum(self.weights, self.checkpoint, matrix, self._compute)
        return self.spectra[name]

    def compute_together(self, names: Sequence[str]) -> None:
        """Compute what is needed of the spectra of small matrices at once; the others wait until they are asked for."""
        arrays = {}
        for name in names:
            promise = self.promised.get(name)
            if self._is_small(name) and self.needs_spectrum(name) and (promise is None or promise.claim()):
                with suppress(SpectraError):  # met again where the spectrum is asked for
                    arrays[name] = self.array(name)
        spectra = svd.spectra(list(arrays.values()), **self._decomposing)
        by_name = dict(zip(arrays, spectra, strict=True))
        for name in arrays:
            matrix = self.matrices[name]
            self.spectra[name] = self.spectrum_cache.spectrum(
                self.weights, self.checkpoint, matrix, lambda matrix: by_name[matrix.name]
            )

    def _is_small(self, name: str) -> bool:
        return svd.is_small(self.matrices[name].rows, self.matrices[name].cols)

    def needs_spectrum(self, name: str) -> bool:
        """Whether a matrix's spectrum is still to be computed from its entries."""
        cached = self.spectrum_cache.has(self.weights, self.checkpoint, self.matrices[name])
        return name not in self.spectra and not cached

    def _compute(self, matrix: Matrix) -> Spectrum:
        """Take what the GPU gave, where there is one, and finish it; what it leaves is computed here."""
        promise = self.promised.get(matrix.name)
        given = promise.result() if promise else None
        attempt = given and given.finished()
        if attempt is not None and attempt.fallback is not None:
            self.fallbacks[matrix.name] = attempt.fallback
        if attempt is not None and attempt.spectrum is not None:
            self.routes[matrix.name] = attempt.route.name
            return attempt.spectrum
        return svd.spectrum(self.array(matrix.name), **self._decomposing)

    @property
    def _decomposing(self) -> dict[str, Any]:
        return {
            "shuffle_seed": self.shuffle_seed, "rounding": self.asks_rounding, "recorder": self.plan.recorder,
        }  # fmt: skip

    @property
    def shuffle_seed(self) -> int | None:
        """The seed of the random order whose spectrum is asked for; None where it is not."""
        return SHUFFLE_SEED if "shuffled" in self.plan.needs else None

    @property
    def asks_rounding(self) -> bool:
        """Whether what storing has left in a matrix is asked for."""
        return "rounding" in self.plan.needs

    def singular_vectors(self, name: str, count: int) -> svd.Vectors:
        """Return a matrix's first singular vectors, left and right, computed when they are first asked for."""
        if name not in self.vectors:
            array = self.array(name)
            with self.plan.recorder.span("singular vectors"):
                self.vectors[name] = svd.singular_vectors(array, count)
        return self.vectors[name]
