"""Measures matrices of one checkpoint side by side, each against the reference and the previous checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spectra_cli import metrics, svd
from spectra_cli.engines import processors
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.device_spectra import equal_shapes_together, gigaflops, spectra_on_device
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.measure.results import MatrixResult
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Checkpoint, Matrix, Pair, Problem, Row, Spectrum

EXCLUSIVE_BYTES = 1 << 30  # a matrix that takes more than this to decompose has all processors to itself
Products = NDArray[np.float64] | None
Result = TypeVar("Result")
OnMatrix = Callable[[Matrix], None]


def measure_matrices(
    comparison: Comparison, matrices: Sequence[Matrix], on_done: OnMatrix = lambda _: None
) -> list[MatrixResult]:
    """Measure some matrices of the current checkpoint on this machine, in their order; on_done: called after each."""

    def work(matrix: Matrix) -> MatrixResult:
        result = _measure(comparison, matrix)
        on_done(matrix)
        return result

    return run(work, comparison.checkpoints, matrices)


def compute_spectra(checkpoint: OpenCheckpoint) -> None:
    """Compute all spectra of a checkpoint; what goes wrong is met again where a matrix is compared with it."""

    def work(matrix: Matrix) -> None:
        try:
            checkpoint.spectrum(matrix.name)
        except (SpectraError, MemoryError, RuntimeError) as error:
            if not isinstance(error, SpectraError) and not svd.is_out_of_memory(error):
                raise

    run(work, (checkpoint,), checkpoint.layout.matrices)


def run(
    work: Callable[[Matrix], Result], checkpoints: Sequence[OpenCheckpoint], matrices: Sequence[Matrix]
) -> list[Result]:
    """Do the work of each matrix, side by side, while a GPU, where that is the device, computes the spectra."""
    current = checkpoints[0]
    on_gpu = svd.computes_on(current.device) != "cpu"
    ordered = sorted(matrices, key=equal_shapes_together) if on_gpu else matrices
    with spectra_on_device(checkpoints, ordered) if on_gpu else nullcontext():
        done = processors.run(
            work,
            ordered,
            threads=current.plan.request.workers,
            exclusive=_is_exclusive,
            cost=gigaflops,
            memory=current.memory,
        )
        results = dict(zip((matrix.name for matrix in ordered), done, strict=True))
    return [results[matrix.name] for matrix in matrices]


def _is_exclusive(matrix: Matrix) -> bool:
    return svd.working_bytes(matrix.rows, matrix.cols) > EXCLUSIVE_BYTES


def _measure(comparison: Comparison, matrix: Matrix) -> MatrixResult:
    current, name = comparison.current, matrix.name
    try:
        with current.reading_once(name):
            pairs = _pairs(current, name, comparison.namesakes(matrix))
            spectrum = current.spectrum(name)
    except SpectraError as error:
        if error.stops:
            raise
        return MatrixResult(problem=Problem(error.message, error.hint))
    except (MemoryError, RuntimeError) as error:
        if not svd.is_out_of_memory(error):
            raise
        where = f"{current.checkpoint.revision}: {matrix.tensor} ({matrix.rows}×{matrix.cols})"
        raise MemoryError(where) from None  # ends the scan: it may be resumed with fewer matrices side by side
    return _result(comparison, matrix, spectrum, pairs)


def _result(
    comparison: Comparison, matrix: Matrix, spectrum: Spectrum, pairs: Mapping[OpenCheckpoint, Pair]
) -> MatrixResult:
    current, plan = comparison.current, comparison.current.plan
    reference, previous = (pairs.get(other) if other else None for other in (comparison.reference, comparison.previous))
    names, ranks = plan.metrics, plan.request.rank_range
    numbers = metrics.measure(spectrum, reference, previous, names, alpha_range=ranks)
    return MatrixResult(
        tuple(Row(current.checkpoint, matrix, metric, value, vector) for metric, value, vector in numbers),
        frozenset(
            other.checkpoint.revision for other, pair in pairs.items() if other is not current and pair.distance == 0
        ),
        _trouble(current, matrix, spectrum, pairs),
        random=metrics.on_random_baseline(spectrum),
        unmoved=previous is not None and previous.distance == 0,
        uncertain=uncertain(spectrum, names, reference=reference, previous=previous, alpha_range=ranks),
        fallbacks=tuple(other.fallbacks[matrix.name] for other in (current, *pairs) if matrix.name in other.fallbacks),
    )


def _pairs(current: OpenCheckpoint, name: str, namesakes: Sequence[OpenCheckpoint]) -> dict[OpenCheckpoint, Pair]:
    """Compare a matrix with its namesakes; where one has the very same entries, its spectrum serves here too."""
    others = [other for other in namesakes if other is not current]
    distances = dict(zip(others, _distances(current, name, others), strict=True))
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
    if current in namesakes:
        itself = float(np.dot(own.sigma, own.sigma))
        pairs[current] = Pair(own, own, itself, 0.0, None, *_rotations(current, current, name))
    return pairs


def _distances(current: OpenCheckpoint, name: str, others: Sequence[OpenCheckpoint]) -> list[tuple[float, float]]:
    """Return ⟨A,B⟩_F and ‖A − B‖_F to each namesake; one that is the same in every bit shares its spectrum."""
    if not others:
        return []
    array, theirs = current.array(name), [other.array(name) for other in others]
    distances = svd.compare_each(array, theirs)
    for other, their_array, (_, distance) in zip(others, theirs, distances, strict=True):
        if distance == 0.0 and array.dtype == their_array.dtype:
            current.spectra.setdefault(name, other.spectrum(name))
    return distances


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


def _trouble(
    current: OpenCheckpoint, matrix: Matrix, spectrum: Spectrum, pairs: Mapping[OpenCheckpoint, Pair]
) -> Problem | None:
    where = f"{current.checkpoint.revision}: {matrix.tensor}"
    if not spectrum.finite:
        return Problem(f"{where} holds NaN or Inf", f"the rows of {matrix.name} at this checkpoint are NaN")
    for other, pair in pairs.items():
        broken = metrics.violations(pair)
        if broken:
            return Problem(
                f"{where} against {other.checkpoint.revision}: {broken[0]}",
                "this is an error in spectra's numbers: please report it",
            )
    return None
