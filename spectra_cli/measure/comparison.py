"""What is measured at once: a checkpoint, with those that it is compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.records import Matrix, Problem

NOT_COMPARED = "it is measured, but not compared"


@dataclass(frozen=True)
class Comparison:
    """The current checkpoint, against the reference and against the previous one; None where there is none.

    The reference may itself be the current or the previous checkpoint.
    """

    current: OpenCheckpoint
    reference: OpenCheckpoint | None
    previous: OpenCheckpoint | None

    @property
    def checkpoints(self) -> tuple[OpenCheckpoint, ...]:
        """Each open checkpoint once, the current one first."""
        every = dict.fromkeys((self.current, self.reference, self.previous))
        return tuple(checkpoint for checkpoint in every if checkpoint is not None)

    def namesakes(self, matrix: Matrix) -> tuple[OpenCheckpoint, ...]:
        """Return those that a matrix of the current checkpoint is compared with: they have its name and shape."""
        others = dict.fromkeys((self.reference, self.previous))
        return tuple(other for other in others if other is not None and has_namesake(other, matrix))


def has_namesake(other: OpenCheckpoint, matrix: Matrix) -> bool:
    """Whether a checkpoint has a matrix of this name and shape."""
    twin = other.matrices.get(matrix.name)
    return twin is not None and (twin.rows, twin.cols) == (matrix.rows, matrix.cols)


def layout_differences(
    current: OpenCheckpoint, reference: OpenCheckpoint | None, measured: Collection[str]
) -> list[Problem]:
    """Name the matrices that the reference has and this checkpoint lacks, or has in another shape.

    measured: names of those that have rows; why another has none is told by itself.
    """
    if reference is None or current is reference:
        return []
    named, other = current.checkpoint.revision, reference.checkpoint.revision
    missing = [name for name in reference.matrices if name not in current.matrices]
    ours = {name: matrix for name, matrix in current.matrices.items() if name in measured}
    extra = [name for name in ours if name not in reference.matrices]
    problems = []
    if missing:
        message = f"{named} has no {_some(missing)}, which {other} has"
        problems.append(Problem(message, "there are no rows for it at this checkpoint"))
    if extra:
        problems.append(Problem(f"{named} has {_some(extra)}, which {other} has not", NOT_COMPARED))
    shared = [(matrix, reference.matrices[name]) for name, matrix in ours.items() if name in reference.matrices]
    reshaped = [(a, b) for a, b in shared if (a.rows, a.cols) != (b.rows, b.cols)]
    for a, b in reshaped[:3]:
        shapes = f"{a.rows}×{a.cols} in {named} and {b.rows}×{b.cols} in {other}"
        problems.append(Problem(f"{a.name} ({a.tensor}) is {shapes}", NOT_COMPARED))
    return problems


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
