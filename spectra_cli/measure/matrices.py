"""Measures matrices of one checkpoint side by side, each against its namesakes in the reference and the one before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from spectra_cli import metrics, svd
from spectra_cli.engines import processors
from spectra_cli.engines.ahead import ahead
from spectra_cli.errors import SpectraError
from spectra_cli.measure.open_checkpoint import Side, comparable
from spectra_cli.measure.plan import Plan, threads
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Checkpoint, Matrix, Pair, Problem, Row, Spectrum

if TYPE_CHECKING:
    import torch

ALONE_BYTES = 1 << 30  # a matrix that takes more than this to decompose is measured without company
Products = NDArray[np.float64] | None
Result = TypeVar("Result")


@dataclass(frozen=True)
class One:
    """What one matrix gave; same: the checkpoints in which it has the very same entries; the rest as in walk.Measured.

    fallbacks: what a GPU had no memory for, and what was done: the numbers are as good as any.
    """

    rows: tuple[Row, ...] = ()
    same: frozenset[str] = frozenset()
    problem: Problem | None = None
    random: bool = False
    unmoved: bool = False
    uncertain: tuple[str, ...] = ()
    fallbacks: tuple[Problem, ...] = ()


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

    return run(work, [one for one in dict.fromkeys((here, final, previous)) if one is not None], matrices)


def run(work: Callable[[Matrix], Result], sides: Sequence[Side], matrices: Sequence[Matrix]) -> list[Result]:
    """Do the work of each matrix, side by side, while a GPU, where that is the device, computes the sides' spectra."""
    here = sides[0]
    on_gpu = svd.computes_on(here.device) != "cpu"
    ordered = sorted(matrices, key=_equal_shapes_together) if on_gpu else matrices
    with _computed_on_gpu(sides, ordered) if on_gpu else nullcontext():
        found = processors.run(
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
        if comparable(side, matrix) and matrix.name not in side.spectra
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


def _too_large_for_company(matrix: Matrix) -> bool:
    return svd.working_bytes(matrix.rows, matrix.cols) > ALONE_BYTES


def _measure(here: Side, matrix: Matrix, final: Side | None, prev: Side | None, names: Sequence[str]) -> One:
    name = matrix.name
    try:
        sides = [side for side in dict.fromkeys((final, prev)) if side is not None and comparable(side, matrix)]
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
        uncertain=uncertain(spectrum, names, reference=to_final, previous=to_prev, alpha_range=_alpha_range(here.plan)),
        fallbacks=tuple(side.fallbacks[name] for side in (here, *pairs) if name in side.fallbacks),
    )


def _alpha_range(plan: Plan) -> metrics.RankRange:
    return metrics.RankRange.parse(plan.request.alpha_range) if plan.request.alpha_range else metrics.RankRange()


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
