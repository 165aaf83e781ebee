"""What measuring gives: of one matrix, and of a whole checkpoint. Computes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spectra_cli.measure.comparison import Comparison, layout_differences
from spectra_cli.measure.left_out import left_out_problem
from spectra_cli.measure.plan import Plan
from spectra_cli.records import Layout, MatrixRows, Problem


@dataclass(frozen=True)
class MatrixResult:
    """What one matrix gave.

    equal_to: the checkpoints in which it has the very same entries. random: whether it is on its random baseline.
    unmoved: whether it has the entries of the previous checkpoint. uncertain: metrics whose third digit the error of σ
    could change. route: by which its spectrum was computed, by its name. fallbacks: what a GPU had no memory
    for, and what was done: the numbers are as good as any.
    """

    rows: MatrixRows | None = None
    equal_to: frozenset[str] = frozenset()
    problem: Problem | None = None
    random: bool = False
    unmoved: bool = False
    uncertain: tuple[str, ...] = ()
    route: str | None = None
    fallbacks: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint's rows by matrix, the layout they rest on, which checkpoint it repeats, and what went wrong.

    random, unmoved, uncertain, fallbacks: as in MatrixResult; uncertain has metric and matrix of each. as_reference:
    matrices with the entries of the reference, where that is another checkpoint. computed_by: each route and how many
    spectra it computed.
    """

    rows: tuple[MatrixRows, ...]
    layout: Layout
    duplicate_of: str | None
    problems: tuple[Problem, ...]
    random: tuple[str, ...] = ()
    unmoved: tuple[str, ...] = ()
    as_reference: tuple[str, ...] = ()
    uncertain: tuple[tuple[str, str], ...] = ()
    computed_by: tuple[tuple[str, int], ...] = ()
    fallbacks: tuple[Problem, ...] = ()


def combine(comparison: Comparison, results: Sequence[MatrixResult], plan: Plan) -> CheckpointResult:
    """Return what the matrices of the current checkpoint gave together; results: one for each, in their order."""
    current, reference = comparison.current, comparison.reference
    named = list(zip((matrix.name for matrix in current.layout.matrices), results, strict=True))
    left_out = (left_out_problem(current.checkpoint, lost) for lost in current.layout.lost)
    measured = {name for name, result in named if result.rows}
    differences = layout_differences(current, reference, measured)
    matrix_problems = (result.problem for result in results if result.problem)
    return CheckpointResult(
        tuple(result.rows for result in results if result.rows),
        current.layout,
        _twin(comparison, results, plan),
        (*left_out, *differences, *matrix_problems),
        random=tuple(name for name, result in named if result.random),
        unmoved=tuple(name for name, result in named if result.unmoved),
        as_reference=tuple(
            name for name, result in named if reference and reference.checkpoint.revision in result.equal_to
        ),
        uncertain=tuple((metric, name) for name, result in named for metric in result.uncertain),
        computed_by=tuple(sorted(Counter(result.route for result in results if result.route).items())),
        fallbacks=unique(problem for result in results for problem in result.fallbacks),
    )


def unique(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, in the order of their first mention."""
    return tuple(dict.fromkeys(problems))


def _twin(comparison: Comparison, results: Sequence[MatrixResult], plan: Plan) -> str | None:
    """Name an earlier checkpoint that the current one repeats in every entry, or whose files are the same blobs."""
    checkpoint, reference = comparison.current.checkpoint, comparison.reference
    equal = frozenset.intersection(*(result.equal_to for result in results)) if results else frozenset()
    later = plan.checkpoints[plan.checkpoints.index(checkpoint) + 1 :]
    earlier_reference = reference if reference and reference.checkpoint not in later else None
    for other in (comparison.previous, earlier_reference):
        if other and other.checkpoint.revision in equal:
            return other.checkpoint.revision
    return plan.twin_of(checkpoint)
