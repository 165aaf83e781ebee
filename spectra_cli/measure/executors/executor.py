"""What an executor is, and one checkpoint measured by it. Knows no machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import OnMatrix
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.measure.results import CheckpointResult, MatrixResult, combine
from spectra_cli.measure.trajectory import Trajectory, Upcoming
from spectra_cli.records import Checkpoint, Matrix

OnDone = Callable[[Checkpoint, Matrix | None], None]


class Executor(Protocol):
    """Measures the matrices of a comparison, and fetches ahead what comes next."""

    @property
    def device(self) -> str:
        """Where spectra are computed."""

    @property
    def reads(self) -> bool:
        """Whether it reads matrices of the checkpoints that it is given, or opens them itself, elsewhere."""

    def use_waiting_time(self, reference: OpenCheckpoint | None, first: Upcoming) -> None:
        """Compute what can be computed while the first checkpoint is fetched."""

    def measure(self, comparison: Comparison, upcoming: Upcoming | None, on_done: OnMatrix) -> list[MatrixResult]:
        """Return a result for each matrix of the current checkpoint, in their order.

        upcoming: the one that is measured next. on_done: called after each matrix.
        """


def measure_checkpoint(
    executor: Executor,
    trajectory: Trajectory,
    checkpoint: Checkpoint,
    upcoming: Checkpoint | None = None,
    on_done: OnDone = lambda *_: None,
    *,
    check: Callable[[], None] = lambda: None,
) -> CheckpointResult:
    """Measure every matrix of a checkpoint, and move the trajectory on to it.

    upcoming: the one that is measured next, so that it can be fetched meanwhile. on_done: called after each matrix, and
    with None after the checkpoint. check: called once its files are open, and again after the last matrix; where it
    raises, nothing is taken from the checkpoint, and the trajectory stays where it was. Raises SpectraError where the
    checkpoint cannot be opened.
    """
    trajectory.catch_up()
    executor.use_waiting_time(trajectory.reference, trajectory.upcoming(checkpoint))
    with trajectory.compare(checkpoint) as comparison:
        check()
        following = trajectory.upcoming(upcoming) if upcoming is not None else None
        results = executor.measure(comparison, following, lambda matrix: on_done(checkpoint, matrix))
        result = combine(comparison, results, trajectory.plan)
        check()
    on_done(checkpoint, None)
    return result
