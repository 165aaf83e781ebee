"""Measures matrices of one checkpoint side by side, each against the reference and the previous checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spectra_cli import svd
from spectra_cli.engines import processors
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import Comparison, has_namesake
from spectra_cli.measure.device_spectra import SharedSpectra, equal_shapes_together, gigaflops, spectra_on_device
from spectra_cli.measure.numbers import Decomposed, results_of
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, first_of
from spectra_cli.measure.read_ahead import reading_ahead
from spectra_cli.measure.results import MatrixResult
from spectra_cli.measure.taken_together import taken_together
from spectra_cli.records import Checkpoint, FileRange, Matrix, Pair, Problem, Remote

Products = NDArray[np.float64] | None
Result = TypeVar("Result")
Job = tuple[Matrix, ...]
Distances = dict[OpenCheckpoint, tuple[float, float]]
OnMatrix = Callable[[Matrix], None]


def measure_matrices(
    comparison: Comparison, matrices: Sequence[Matrix], on_done: OnMatrix = lambda _: None
) -> list[MatrixResult]:
    """Measure some matrices of the current checkpoint on this machine, in their order; on_done: called after each."""

    def work(job: Job) -> list[MatrixResult]:
        results = _measure(comparison, job)
        for matrix in job:
            on_done(matrix)
        return results

    return run(work, comparison.checkpoints, matrices)


def compute_spectra(checkpoint: OpenCheckpoint) -> None:
    """Compute all spectra of a checkpoint; what goes wrong is met again where a matrix is compared with it."""

    def work(job: Job) -> list[None]:
        try:
            with _read_together(checkpoint, job):
                checkpoint.compute_together([matrix.name for matrix in job])
                for matrix in job:
                    with suppress(SpectraError):
                        checkpoint.spectrum(matrix.name)
        except (MemoryError, RuntimeError) as error:
            if not svd.is_out_of_memory(error):
                raise
        return [None] * len(job)

    run(work, (checkpoint,), checkpoint.layout.matrices)


def run(
    work: Callable[[Job], Sequence[Result]], checkpoints: Sequence[OpenCheckpoint], matrices: Sequence[Matrix]
) -> list[Result]:
    """Do the work of all matrices, side by side; a GPU, where that is the device, takes its part of the spectra.

    work: returns a result for each of the matrices that are one job.
    """
    current, workers = checkpoints[0], checkpoints[0].plan.request.workers

    def recorded(job: Job) -> Sequence[Result]:
        facts = first_of([matrix.name for matrix in job])
        with current.plan.recorder.span("measure", checkpoint=current.checkpoint.revision, **facts):
            results = work(job)
        note_done(sum(part.size for part in needed[job[0].name]))
        return results

    shared, ordered = None, matrices
    if svd.computes_on(current.device) != "cpu":
        ordered = sorted(matrices, key=equal_shapes_together)
        shared = SharedSpectra(checkpoints, ordered, workers)
    jobs = list(taken_together(ordered, workers))
    in_turn = sorted(jobs, key=_cost, reverse=True)  # as `processors.run` begins them
    needed = {job[0].name: tuple(_file_ranges(checkpoints, job)) for job in in_turn}
    ahead = reading_ahead(chain.from_iterable(needed.values()))
    with spectra_on_device(shared, current) if shared else nullcontext(), ahead as note_done:
        done = processors.run(
            recorded,
            jobs,
            threads=workers,
            exclusive=lambda job: any(svd.is_exclusive(matrix.rows, matrix.cols) for matrix in job),
            cost=_cost,
            memory=lambda job: sum(map(current.memory, job)) - (len(job) - 1) * svd.working_bytes(0, 0),
            turns=shared,
        )
        results = dict(zip((matrix.name for matrix in ordered), chain.from_iterable(done), strict=True))
    return [results[matrix.name] for matrix in matrices]


def _cost(job: Job) -> float:
    return sum(map(gigaflops, job))


def _file_ranges(checkpoints: Sequence[OpenCheckpoint], job: Job) -> Iterator[FileRange]:
    """Yield what is read of the files of this machine for a job; what is fetched is fetched ahead by itself."""
    for checkpoint in checkpoints:
        if not isinstance(checkpoint.checkpoint.path, Remote):
            for matrix in job:
                if has_namesake(checkpoint, matrix):
                    yield from checkpoint.weights.file_ranges(checkpoint.matrices[matrix.name].tensor)


def _measure(comparison: Comparison, job: Job) -> list[MatrixResult]:
    """Measure the matrices of one job: all are compared before the spectra are computed, which equal ones share."""
    current = comparison.current
    with _naming(current, job), ExitStack() as loaded:
        for checkpoint in comparison.checkpoints if len(job) > 1 else (current,):
            loaded.enter_context(_read_together(checkpoint, job))
        compared = {matrix.name: _attempt(comparison, matrix, _distances) for matrix in job}
        for checkpoint in comparison.checkpoints if len(job) > 1 else ():
            names = [matrix.name for matrix in job if has_namesake(checkpoint, matrix)]
            checkpoint.compute_together([name for name in names if not isinstance(compared[name], MatrixResult)])
        return _results(comparison, job, compared)


@contextmanager
def _naming(current: OpenCheckpoint, job: Job) -> Iterator[None]:
    """Name the matrices that there is no memory for; that ends the scan: it may be resumed with fewer side by side."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not svd.is_out_of_memory(error):
            raise
        first, more = job[0], f" and {len(job) - 1} more" if len(job) > 1 else ""
        where = f"{current.checkpoint.revision}: {first.tensor} ({first.rows}×{first.cols}){more}"
        raise MemoryError(where) from None


@contextmanager
def _read_together(checkpoint: OpenCheckpoint, job: Job) -> Iterator[None]:
    """Read what a checkpoint has of the matrices of a job once, at once where there are several."""
    names = [matrix.name for matrix in job if has_namesake(checkpoint, matrix)]
    with checkpoint.reading_once(names):
        if len(job) > 1:
            checkpoint.load(names)
        yield


def _attempt(
    comparison: Comparison, matrix: Matrix, work: Callable[[Comparison, Matrix], Result]
) -> Result | MatrixResult:
    """Do a part of the work of one matrix; where that cannot be done, its result is the problem."""
    try:
        return work(comparison, matrix)
    except SpectraError as error:
        if error.stops:
            raise
        return MatrixResult(problem=Problem(error.message, error.hint))


def _results(comparison: Comparison, job: Job, compared: Mapping[str, Distances | MatrixResult]) -> list[MatrixResult]:
    """Return the results of the matrices of a job; the metrics of those that are alike are computed together."""
    results: dict[str, MatrixResult] = {}
    groups: dict[tuple[object, ...], list[Decomposed]] = {}
    for matrix in job:
        decomposed = _decomposed(comparison, matrix, compared[matrix.name])
        if isinstance(decomposed, MatrixResult):
            results[matrix.name] = decomposed
        else:
            groups.setdefault(decomposed.alike, []).append(decomposed)
    for some in groups.values():
        results |= zip((decomposed.matrix.name for decomposed in some), results_of(comparison, some), strict=True)
    return [results[matrix.name] for matrix in job]


def _decomposed(
    comparison: Comparison, matrix: Matrix, distances: Distances | MatrixResult
) -> Decomposed | MatrixResult:
    if isinstance(distances, MatrixResult):
        return distances

    def of_spectra(comparison: Comparison, matrix: Matrix) -> Decomposed:
        pairs = _pairs(comparison, matrix, distances)
        return Decomposed(matrix, comparison.current.spectrum(matrix.name), pairs)

    return _attempt(comparison, matrix, of_spectra)


def _pairs(comparison: Comparison, matrix: Matrix, distances: Distances) -> dict[OpenCheckpoint, Pair]:
    """Return the pairs of a matrix and its namesakes."""
    current, name = comparison.current, matrix.name
    own = current.spectrum(name)
    pairs: dict[OpenCheckpoint, Pair] = {
        other: Pair(
            own,
            other.spectrum(name),
            inner,
            distance,
            _steps_between(current.checkpoint, other.checkpoint),
            *_rotations(current, other, name),
        )
        for other, (inner, distance) in distances.items()
    }
    if current in comparison.namesakes(matrix):
        itself = float(np.dot(own.sigma, own.sigma))
        pairs[current] = Pair(own, own, itself, 0.0, None, *_rotations(current, current, name))
    return pairs


def _distances(comparison: Comparison, matrix: Matrix) -> Distances:
    """Return ⟨A,B⟩_F and ‖A − B‖_F to each namesake.

    One that is the same in every bit shares its spectrum, and what is known of its distances to the others.
    """
    current, name = comparison.current, matrix.name
    others = [other for other in comparison.namesakes(matrix) if other is not current]
    if not others:
        return {}
    array = current.array(name)
    with ExitStack() as loaded:
        for other in others:
            loaded.enter_context(other.reading_once([name]))  # for its bits, and again for its entries
        distances = _from_twin(current, name, others)
        rest = [other for other in others if other not in distances]
        theirs = [other.array(name) for other in rest]
        with current.plan.recorder.span("compare"):
            distances |= dict(zip(rest, svd.compare_each(array, theirs), strict=True))
        for other, their_array in zip(rest, theirs, strict=True):
            if distances[other][1] == 0.0 and array.dtype == their_array.dtype:
                current.spectra.setdefault(name, other.spectrum(name))
    current.distances[name] = {other.checkpoint: pair for other, pair in distances.items()}
    return {other: distances[other] for other in others}


def _from_twin(current: OpenCheckpoint, name: str, others: Sequence[OpenCheckpoint]) -> Distances:
    """Return the distances that follow from one that is the same in every bit: the previous one is tried first."""
    array = current.array(name)
    for twin in reversed(others):
        if not svd.same_bits(array, twin.array(name)) or not (own := twin.spectrum(name)).finite:
            continue
        current.spectra.setdefault(name, own)
        known = twin.distances.get(name, {})
        distances = {other: known[other.checkpoint] for other in others if other.checkpoint in known}
        return {**distances, twin: (float(np.dot(own.sigma, own.sigma)), 0.0)}
    return {}


def _rotations(current: OpenCheckpoint, other: OpenCheckpoint, name: str) -> tuple[Products, Products]:
    """Return U_AᵀU_B and V_AᵀV_B of the first singular vectors; None where they were not asked for."""
    count = current.plan.request.vectors
    if count is None:
        return None, None
    left, right = current.singular_vectors(name, count)
    other_left, other_right = other.singular_vectors(name, count)
    return left.T @ other_left, right.T @ other_right


def _steps_between(current: Checkpoint, other: Checkpoint) -> int | None:
    if current.step is None or other.step is None or current.stage != other.stage or current.model != other.model:
        return None
    return current.step - other.step
