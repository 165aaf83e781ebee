"""The numbers of matrices of which the spectra are decomposed: those of matrices that are alike, together."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectra_cli import metrics, svd
from spectra_cli.columns import Numbers, as_rows, merged
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, OwnNumbers
from spectra_cli.measure.results import MatrixResult
from spectra_cli.metrics.stacks import Pairs, Spectra
from spectra_cli.metrics.uncertainty import uncertain_each
from spectra_cli.records import Matrix, MatrixRows, Pair, Problem, Spectrum

OF_ONE = frozenset(metric.name for metric in metrics.METRICS if metric.against is None)


@dataclass(frozen=True)
class Decomposed:
    """A matrix of which all is known that its metrics are computed of. pairs: with its namesakes."""

    matrix: Matrix
    spectrum: Spectrum
    pairs: Mapping[OpenCheckpoint, Pair]

    @property
    def alike(self) -> tuple[object, ...]:
        """What matrices have in common whose metrics are computed together: all that is no number."""
        own, pairs = self.spectrum, self.pairs.items()
        of_pairs = ((id(other), pair.steps, pair.left is None) for other, pair in pairs)
        return (own.rows, own.cols, own.finite, own.rounding is None, own.shuffled is None, *of_pairs)


def results_of(comparison: Comparison, some: Sequence[Decomposed]) -> list[MatrixResult]:
    """Return the result of each of some matrices, which are `alike`."""
    current, plan = comparison.current, comparison.current.plan
    with plan.recorder.span("metrics"):
        spectra = Spectra.of([subject.spectrum for subject in some])
        pairs = {other: Pairs.of([subject.pairs[other] for subject in some], spectra) for other in some[0].pairs}
        of_spectra = _of_spectra(comparison, some, spectra)
        compared, doubts = _compared(comparison, spectra, pairs)
        all_numbers = merged([own.numbers for own in of_spectra], compared)
        wrong = frozenset(other for other, pair in pairs.items() if metrics.violations(pair))
    return [
        MatrixResult(
            MatrixRows(current.checkpoint, subject.matrix, numbers),
            _equal_to(current, subject.pairs),
            _trouble(current, subject, wrong),
            random=own.random,
            unmoved=any(other is comparison.previous and pair.distance == 0 for other, pair in subject.pairs.items()),
            uncertain=(*own.uncertain, *doubt),
            route=current.routes.get(subject.matrix.name, svd.PROCESSORS.name),
            fallbacks=_fallbacks((current, *subject.pairs), subject.matrix.name),
        )
        for subject, own, numbers, doubt in zip(some, of_spectra, all_numbers, doubts, strict=True)
    ]


def _of_spectra(comparison: Comparison, some: Sequence[Decomposed], spectra: Spectra) -> list[OwnNumbers]:
    """Return what is measured of each spectrum; what another checkpoint has of the very same one is taken over."""
    current = comparison.current
    for subject in some:
        if (known := _of_twin(comparison, subject)) is not None:
            current.own[subject.matrix.name] = known
    if new := [index for index, subject in enumerate(some) if subject.matrix.name not in current.own]:
        names, ranks = [name for name in current.plan.metrics if name in OF_ONE], current.plan.request.rank_range
        spectra = spectra if len(new) == len(some) else spectra.at(np.array(new))
        numbers = dict(metrics.measure_together(spectra, None, None, names, alpha_range=ranks))
        doubts = uncertain_each(spectra, None, None, numbers, alpha_range=ranks)
        random = metrics.on_random_baseline(spectra).tolist()
        for index, *measured in zip(new, as_rows(numbers, len(new)), random, doubts, strict=True):
            current.own[some[index].matrix.name] = OwnNumbers(*measured)
    return [current.own[subject.matrix.name] for subject in some]


def _of_twin(comparison: Comparison, subject: Decomposed) -> OwnNumbers | None:
    """Return what the previous checkpoint or the reference has of a matrix, where it has the very same spectrum."""
    name = subject.matrix.name
    others = [other for other in (comparison.previous, comparison.reference) if other]
    return next((other.own.get(name) for other in others if other.spectra.get(name) is subject.spectrum), None)


def _compared(
    comparison: Comparison, spectra: Spectra, pairs: Mapping[OpenCheckpoint, Pairs]
) -> tuple[list[Numbers], list[tuple[str, ...]]]:
    """Return what is measured of each matrix and its namesakes, and what of it is uncertain."""
    plan = comparison.current.plan
    names, ranks = [name for name in plan.metrics if name not in OF_ONE], plan.request.rank_range
    reference, previous = (pairs.get(other) if other else None for other in (comparison.reference, comparison.previous))
    numbers = dict(metrics.measure_together(spectra, reference, previous, names, alpha_range=ranks))
    doubts = uncertain_each(spectra, reference, previous, numbers, alpha_range=ranks)
    return as_rows(numbers, len(spectra.sigma)), doubts


def _equal_to(current: OpenCheckpoint, pairs: Mapping[OpenCheckpoint, Pair]) -> frozenset[str]:
    equal = (other for other, pair in pairs.items() if other is not current and pair.distance == 0)
    return frozenset(other.checkpoint.revision for other in equal)


def _fallbacks(checkpoints: Sequence[OpenCheckpoint], name: str) -> tuple[Problem, ...]:
    return tuple(other.fallbacks[name] for other in checkpoints if name in other.fallbacks)


def _trouble(current: OpenCheckpoint, subject: Decomposed, wrong: Container[OpenCheckpoint]) -> Problem | None:
    """Return what is wrong with a matrix. wrong: those of whose pairs one breaks an inequality that holds for all."""
    where = f"{current.checkpoint.revision}: {subject.matrix.tensor}"
    if not subject.spectrum.finite:
        return Problem(f"{where} holds NaN or Inf", f"the rows of {subject.matrix.name} at this checkpoint are NaN")
    for other, pair in subject.pairs.items():
        if other in wrong and (broken := metrics.violations(pair)):
            return Problem(
                f"{where} against {other.checkpoint.revision}: {broken[0]}",
                "this is an error in spectra's numbers: please report it",
            )
    return None
