"""Goes through checkpoints in order and measures each against the reference and the one before. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, product
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from spectra_cli import architectures, metrics, svd
from spectra_cli.engines import local
from spectra_cli.engines.ahead import ahead
from spectra_cli.errors import SpectraError
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.plan import Plan, open_checkpoint, threads, twin_of
from spectra_cli.records import (
    Checkpoint,
    Layout,
    Matrix,
    Pair,
    Problem,
    Remote,
    Row,
    Skipped,
    Spectrum,
    StoredTensor,
)
from spectra_cli.sources import Supply, recurring
from spectra_cli.weights import Weights

if TYPE_CHECKING:
    import torch

SHUFFLE_SEED = 0
ALONE_BYTES = 1 << 30  # a matrix that takes more than this to decompose is measured without company
MOST_OPEN = 3  # the checkpoint, the one before and the reference
Products = NDArray[np.float64] | None
Result = TypeVar("Result")
Progress = Callable[[Checkpoint, Matrix | None], None]


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
        places = [(blobs[path.name], offset, size) for path, offset, size in weights.stretches(matrix.tensor)]
        # Where a tensor is made of several stretches, other files (a config, an index) say how: those may differ.
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
    def open(cls, checkpoint: Checkpoint, plan: Plan, device: str, supply: Supply, known: Known) -> Side:
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


@dataclass(frozen=True)
class Measured:
    """One checkpoint's rows, the layout they rest on, which checkpoint it repeats, and what went wrong.

    random: the matrices on their random baseline. unmoved: those with the very entries of the checkpoint before.
    open: metric and matrix of every number whose third digit the error of σ could change.
    """

    rows: tuple[Row, ...]
    layout: Layout
    duplicate_of: str | None
    problems: tuple[Problem, ...]
    random: tuple[str, ...] = ()
    unmoved: tuple[str, ...] = ()
    open: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class One:
    """What one matrix gave; same: the checkpoints in which it has the very same entries; the rest as in Measured.

    fallbacks: what a GPU had no memory for, and what was done: the numbers are as good as any.
    """

    rows: tuple[Row, ...] = ()
    same: frozenset[str] = frozenset()
    problem: Problem | None = None
    random: bool = False
    unmoved: bool = False
    open: tuple[str, ...] = ()
    fallbacks: tuple[Problem, ...] = ()


@dataclass
class Walk:
    """Measures checkpoints one after the other; holds open only the reference and the previous one.

    plan: what to measure. device: where. progress: called after each matrix, and with None after each
    checkpoint. each: what measures a checkpoint's matrices, this machine's processors by default. Use it in a `with`
    block, which opens the reference. A reference that the user named must be readable; of the others, the last
    readable one serves.
    """

    plan: Plan
    device: str
    progress: Progress | None = None
    reference: Side | None = None
    previous: Side | None = None
    problems: list[Problem] = field(default_factory=list)
    fallbacks: list[Problem] = field(default_factory=list)
    passed: Checkpoint | None = None
    begun: bool = False
    each: Each = field(default_factory=lambda: _on_this_machine)

    def __enter__(self) -> Walk:
        """Open the reference."""
        self._closing = ExitStack()
        self.supply = self._closing.enter_context(self.plan.supply())
        self.known = Known(recurring(self.plan.checkpoints))
        try:
            return self._open_reference()
        except BaseException:
            self._closing.close()
            raise

    def _open_reference(self) -> Walk:
        wanted = self.plan.reference
        if wanted is None:
            return self
        named = self.plan.request.reference is not None
        for one in [wanted] if named else reversed(self.plan.checkpoints):
            try:
                self.reference = self._open(one)
                break
            except SpectraError as error:
                if error.stops or named or one is self.plan.checkpoints[0]:
                    raise
        if self.reference and self.reference.checkpoint is not wanted:
            served = self.reference.checkpoint.revision
            self.problems.append(
                Problem(
                    f"{wanted.revision} cannot be read, so it is not the reference", f"compared with {served} instead"
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        for side in {id(side): side for side in (self.reference, self.previous) if side}.values():
            side.closing.close()
        self._closing.close()

    def _open(self, checkpoint: Checkpoint) -> Side:
        return Side.open(checkpoint, self.plan, self.device, self.supply, self.known)

    def first_layout(self) -> Layout:
        """Give the layout of the reference, or of the only checkpoint. Raises SpectraError where it cannot be read."""
        if self.reference is not None:
            return self.reference.layout
        with open_checkpoint(self.plan.checkpoints[0], self.plan.request, self.supply) as (_, layout):
            return layout

    def skip(self, checkpoint: Checkpoint) -> None:
        """Pass over a checkpoint that was measured before: one measured next is still compared with it."""
        self.passed = checkpoint
        if self.progress:
            self.progress(checkpoint, None)

    def measure(self, checkpoint: Checkpoint, then: Checkpoint | None = None) -> Measured:
        """Measure every matrix of a checkpoint. Raises SpectraError where the checkpoint cannot be opened.

        then: the one that is measured next, so that it can be fetched meanwhile.
        """
        self._catch_up()
        self._use_the_wait(checkpoint)
        here = self._side(checkpoint)
        if then is not None:
            self._fetch_ahead(then)
        ones = self.each(self, here, then)
        self.fallbacks = list(dict.fromkeys((*self.fallbacks, *(told for one in ones for told in one.fallbacks))))
        problems = [
            *(_unreadable(checkpoint, one) for one in here.weights.unreadable),
            *_differences(here, self.reference),
            *(one.problem for one in ones if one.problem),
        ]
        same = frozenset.intersection(*(one.same for one in ones)) if ones else frozenset()
        rows = tuple(row for one in ones for row in one.rows)
        later = self.plan.checkpoints[self.plan.checkpoints.index(checkpoint) + 1 :]
        reference = self.reference if self.reference and self.reference.checkpoint not in later else None
        twin = _twin(same, self.previous, reference) or twin_of(checkpoint, self.plan)
        named = list(zip((matrix.name for matrix in here.layout.matrices), ones, strict=True))
        measured = Measured(
            rows,
            here.layout,
            twin,
            tuple(problems),
            random=tuple(name for name, one in named if one.random),
            unmoved=tuple(name for name, one in named if one.unmoved),
            open=tuple((metric, name) for name, one in named for metric in one.open),
        )
        self._step_to(here)
        if self.progress:
            self.progress(checkpoint, None)
        return measured

    def _fetch_ahead(self, checkpoint: Checkpoint) -> None:
        self.supply.prepare(
            checkpoint, partial(open_checkpoint, checkpoint, self.plan.request, self.supply, ahead=True)
        )

    def _use_the_wait(self, checkpoint: Checkpoint) -> None:
        """While the first checkpoint is fetched, compute the spectra of the one that all are compared with."""
        reference = self.reference
        if self.begun or reference is None or reference.checkpoint == checkpoint:
            return
        self.begun = True
        if not isinstance(checkpoint.path, Remote):
            return
        self._fetch_ahead(checkpoint)

        def work(matrix: Matrix) -> None:
            try:
                reference.spectrum(matrix.name)
            except (SpectraError, MemoryError, RuntimeError) as error:
                if not isinstance(error, SpectraError) and not svd.is_out_of_memory(error):
                    raise
                # met again, and told, where a matrix is compared with it

        _run(work, [reference], reference.layout.matrices)

    def forget(self) -> None:
        """Compare nothing with the checkpoint measured last: its files are not what they were."""
        if self.previous is not self.reference:
            self._step_to(None)

    def _side(self, checkpoint: Checkpoint) -> Side:
        if self.reference is not None and checkpoint == self.reference.checkpoint:
            return self.reference
        return self._open(checkpoint)

    def _catch_up(self) -> None:
        """Open the checkpoint that was passed over last, as the previous one."""
        if self.passed is None:
            return
        try:
            before = self._side(self.passed)
        except SpectraError as error:  # its own rows are kept, so that only those of all after it would be wrong
            raise SpectraError(error.message, hint=error.hint, code=error.code, stops=True) from None
        self.passed = None
        self._step_to(before)

    def _step_to(self, here: Side | None) -> None:
        if self.previous is not None and self.previous is not self.reference:
            self.previous.closing.close()
        self.previous = here


Each = Callable[[Walk, Side, Checkpoint | None], list[One]]
"""Gives a result for each matrix of a checkpoint, in their order, where it wants; the last is the one measured next."""


def _on_this_machine(walk: Walk, here: Side, _: Checkpoint | None) -> list[One]:
    def told(matrix: Matrix) -> None:
        if walk.progress:
            walk.progress(here.checkpoint, matrix)

    return side_by_side(here, walk.reference, walk.previous, here.layout.matrices, told)


def side_by_side(
    here: Side,
    final: Side | None,
    previous: Side | None,
    matrices: Sequence[Matrix],
    told: Callable[[Matrix], None] = lambda _: None,
) -> list[One]:
    """Measure some matrices of a checkpoint on this machine's processors, in their order; told: of each when done."""
    names = here.plan.metrics

    def work(matrix: Matrix) -> One:
        one = _measure(here, matrix, final, previous, names)
        told(matrix)
        return one

    return _run(work, [one for one in dict.fromkeys((here, final, previous)) if one is not None], matrices)


def _run(work: Callable[[Matrix], Result], sides: Sequence[Side], matrices: Sequence[Matrix]) -> list[Result]:
    """Do the work of each matrix, side by side, while a GPU, where that is the device, computes the sides' spectra."""
    here = sides[0]
    on_gpu = svd.computes_on(here.device) != "cpu"
    ordered = sorted(matrices, key=_equal_shapes_together) if on_gpu else matrices
    with _computed_on_gpu(sides, ordered) if on_gpu else nullcontext():
        found = local.run(
            work,
            ordered,
            threads=threads(here.plan.request),
            alone=_too_large_for_company,
            cost=_gigaflops,
            memory=here.memory,
        )
        results = dict(zip((matrix.name for matrix in ordered), found, strict=True))
    return [results[matrix.name] for matrix in matrices]


@contextmanager
def _computed_on_gpu(sides: Sequence[Side], matrices: Sequence[Matrix]) -> Iterator[None]:
    """Have one thread give a GPU the matrices whose spectra are not known, in this order, for all to wait for.

    The processors compare, measure and take what the GPU leaves: only that thread ever asks the device for memory.
    """
    wanted = [
        (side, side.matrices[matrix.name])
        for _, alike in groupby(matrices, key=_equal_shapes_together)
        for side, matrix in product(sides, tuple(alike))
        if _comparable(side, matrix) and matrix.name not in side.spectra
    ]
    attempts = _attempts(wanted, sides[0].device, sides[0].shuffle_seed)
    with ahead(attempts, [(side, matrix.name) for side, matrix in wanted]) as promises:
        for (side, name), promise in promises.items():
            side.coming[name] = promise
        yield
    for side in sides:
        side.coming.clear()


def _attempts(
    wanted: Sequence[tuple[Side, Matrix]], device: str, seed: int | None
) -> Generator[tuple[tuple[Side, str], svd.Attempt]]:
    """Give the device's attempt at each matrix that can be read, with that at its entries in random order if asked."""

    def stored() -> Iterator[tuple[tuple[Side, str], torch.Tensor]]:
        for side, matrix in wanted:
            try:
                known = side.known.has(side.weights, side.checkpoint, matrix)
                array = None if known else side.read(matrix.name)
            except SpectraError:
                continue  # met again, and told, where the matrix is measured
            if array is not None and not isinstance(array, svd.Factors):
                yield (side, matrix.name), array
                if seed is not None:
                    yield (side, matrix.name), svd.shuffled(array, seed)

    found = svd.in_batches(stored(), device)
    if seed is None:
        yield from found
        return
    for (key, own), (_, other) in zip(found, found, strict=True):
        both = own.spectrum and other.spectrum and replace(own.spectrum, shuffled=other.spectrum.sigma)
        yield key, svd.Attempt(both, own.fallback or other.fallback)


def _gigaflops(matrix: Matrix) -> float:
    return svd.gigaflops(matrix.rows, matrix.cols)


def _equal_shapes_together(matrix: Matrix) -> tuple[float, int, int]:
    """Sort the dearest first, as they are begun by `local.run` too."""
    return -_gigaflops(matrix), matrix.rows, matrix.cols


def _unreadable(checkpoint: Checkpoint, one: Skipped) -> Problem:
    return Problem(f"{checkpoint.revision}: {one.tensor} is left out: {one.reason}", "the other tensors are measured")


def _too_large_for_company(matrix: Matrix) -> bool:
    return svd.working_bytes(matrix.rows, matrix.cols) > ALONE_BYTES


def _measure(here: Side, matrix: Matrix, final: Side | None, prev: Side | None, names: Sequence[str]) -> One:
    name = matrix.name
    try:
        sides = [side for side in dict.fromkeys((final, prev)) if side is not None and _comparable(side, matrix)]
        with here.holding(name):
            pairs = _pairs(here, name, sides)
            spectrum = here.spectrum(name)
    except SpectraError as error:
        if error.stops:
            raise
        return One(problem=Problem(error.message, error.hint))
    except (MemoryError, RuntimeError) as error:
        if not svd.is_out_of_memory(error):
            raise
        where = f"{here.checkpoint.revision}: {matrix.tensor} ({matrix.rows}×{matrix.cols})"
        raise MemoryError(where) from None  # ends the scan: it may go on with fewer matrices side by side
    to_final, to_prev = (pairs.get(side) if side else None for side in (final, prev))
    rows = tuple(
        Row(here.checkpoint, matrix, metric, value, vector)
        for metric, value, vector in metrics.measure(
            spectrum, to_final, to_prev, names, alpha_range=_alpha_range(here.plan)
        )
    )
    same = frozenset(
        side.checkpoint.revision for side, pair in pairs.items() if side is not here and pair.distance == 0
    )
    return One(
        rows,
        same,
        _trouble(here, matrix, spectrum, pairs),
        random=metrics.on_random_baseline(spectrum),
        unmoved=to_prev is not None and to_prev.distance == 0,
        open=uncertain(spectrum, names, final=to_final, prev=to_prev, alpha_range=_alpha_range(here.plan)),
        fallbacks=tuple(side.fallbacks[name] for side in (here, *pairs) if name in side.fallbacks),
    )


def _alpha_range(plan: Plan) -> metrics.RankRange:
    return metrics.RankRange.parse(plan.request.alpha_range) if plan.request.alpha_range else metrics.RankRange()


def _comparable(other: Side, matrix: Matrix) -> bool:
    twin = other.matrices.get(matrix.name)
    return twin is not None and (twin.rows, twin.cols) == (matrix.rows, matrix.cols)


def _pairs(here: Side, name: str, sides: Sequence[Side]) -> dict[Side, Pair]:
    """Compare a matrix with its namesakes; where one has the very same entries, its spectrum serves here too."""
    others = [side for side in sides if side is not here]
    distances = dict(zip(others, _distances(here, name, others), strict=True))
    own = here.spectrum(name)
    pairs: dict[Side, Pair] = {
        other: Pair(
            own,
            other.spectrum(name),
            *both,
            _steps_between(here.checkpoint, other.checkpoint),
            *_turned(here, other, name),
        )
        for other, both in distances.items()
    }
    if here in sides:
        pairs[here] = Pair(own, own, float(np.dot(own.sigma, own.sigma)), 0.0, None, *_turned(here, here, name))
    return pairs


def _distances(here: Side, name: str, others: Sequence[Side]) -> list[tuple[float, float]]:
    """Give ⟨A,B⟩_F and ‖A − B‖_F to each namesake; where one is the same in every bit, its spectrum serves here too."""
    if not others:
        return []
    array, theirs = here.array(name), [other.array(name) for other in others]
    found = svd.compare_each(array, theirs)
    for other, one, (_, distance) in zip(others, theirs, found, strict=True):
        if distance == 0.0 and array.dtype == one.dtype:
            here.spectra.setdefault(name, other.spectrum(name))
    return found


def _turned(here: Side, other: Side, name: str) -> tuple[Products, Products]:
    """U_AᵀU_B and V_AᵀV_B of the first singular vectors; None where they were not asked for."""
    count = here.plan.request.vectors
    if count is None:
        return None, None
    (left, right), (theirs_left, theirs_right) = here.vectors(name, count), other.vectors(name, count)
    return left.T @ theirs_left, right.T @ theirs_right


def _steps_between(here: Checkpoint, other: Checkpoint) -> int | None:
    if here.step is None or other.step is None or here.stage != other.stage or here.model != other.model:
        return None
    return here.step - other.step


def _trouble(here: Side, matrix: Matrix, spectrum: Spectrum, pairs: Mapping[Side, Pair]) -> Problem | None:
    where = f"{here.checkpoint.revision}: {matrix.tensor}"
    if not spectrum.finite:
        return Problem(f"{where} holds NaN or Inf", f"the rows of {matrix.name} at this checkpoint are NaN")
    for side, pair in pairs.items():
        broken = metrics.violations(pair)
        if broken:
            return Problem(
                f"{where} against {side.checkpoint.revision}: {broken[0]}",
                "this is an error in spectra's numbers: please report it",
            )
    return None


def _differences(here: Side, reference: Side | None) -> list[Problem]:
    """Name the matrices that the reference has and this checkpoint lacks, or has in another shape."""
    if reference is None or here is reference:
        return []
    named, other = here.checkpoint.revision, reference.checkpoint.revision
    missing = [name for name in reference.matrices if name not in here.matrices]
    extra = [name for name in here.matrices if name not in reference.matrices]
    reshaped = [
        (mine, theirs)
        for name, mine in here.matrices.items()
        if (theirs := reference.matrices.get(name)) and (mine.rows, mine.cols) != (theirs.rows, theirs.cols)
    ]
    problems = []
    if missing:
        problems.append(
            Problem(
                f"{named} has no {_some(missing)}, which {other} has", "there are no rows for it at this checkpoint"
            )
        )
    if extra:
        problems.append(
            Problem(f"{named} has {_some(extra)}, which {other} has not", "it is measured, but not compared")
        )
    for mine, theirs in reshaped[:3]:
        shapes = f"{mine.rows}×{mine.cols} in {named} and {theirs.rows}×{theirs.cols} in {other}"
        problems.append(Problem(f"{mine.name} ({mine.tensor}) is {shapes}", "it is measured, but not compared"))
    return problems


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _twin(same: frozenset[str], *sides: Side | None) -> str | None:
    return next((side.checkpoint.revision for side in sides if side and side.checkpoint.revision in same), None)
