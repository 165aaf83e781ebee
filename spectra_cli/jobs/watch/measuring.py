"""Measures one checkpoint after the other, each beside the one before, whatever happens to their files meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spectra_cli import sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.watch.completeness import files_of, lacks, rewritten
from spectra_cli.measure.executors import Executor, measure_checkpoint
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.results import CheckpointResult
from spectra_cli.measure.trajectory import Trajectory
from spectra_cli.records import Checkpoint, Remote


class Measuring:
    """Keeps the checkpoint measured last open, so that the next can be compared with it though it was deleted."""

    def __init__(self, plan: Plan, executor: Executor) -> None:
        """Open nothing yet."""
        self.plan, self.executor = plan, executor
        self._trajectory: Trajectory | None = None

    def measure(
        self, checkpoint: Checkpoint, files: str, previous: Checkpoint | None, ready: Sequence[Checkpoint] = ()
    ) -> CheckpointResult:
        """Measure a checkpoint against the one before.

        files: what they were when it was found complete. Once they are open they must still be these; when the last
        matrix is measured, some may have been deleted, and none replaced. previous: the checkpoint measured last, to be
        opened where it is not open; None where its files are no longer what they were. ready: those that come after it,
        to be fetched ahead. Raises SpectraError where it cannot be read or was replaced; nothing is taken from it then.
        """
        resolved = self._resolve([checkpoint, *ready])
        current = resolved[0]
        trajectory = self._open(resolved, previous)
        times = 0

        def check() -> None:
            nonlocal times
            times += 1
            now = files_of(checkpoint)
            if rewritten(files, now) or (times == 1 and lacks(files, now)):
                raise SpectraError(
                    f"the files of {checkpoint.revision} changed while it was measured", hint="it is measured again"
                )

        following = resolved[1] if len(resolved) > 1 and isinstance(current.path, Remote) else None
        try:
            result = measure_checkpoint(self.executor, trajectory, current, following, check=check)
        except SpectraError:
            if trajectory.previous is None:
                self.close()
            raise
        if result.problems and not result.rows:
            self.close()
            raise SpectraError(result.problems[0].message, hint=result.problems[0].hint)
        return result

    def close(self) -> None:
        """Close what is open: the next checkpoint opens the one before it anew."""
        if self._trajectory is not None:
            self._trajectory.__exit__(None, None, None)
            self._trajectory = None

    def rest(self) -> None:
        """Remove what was fetched, until there is something new."""
        if self._trajectory is not None and sources.is_hub(self.plan.request.source):
            self.close()

    def _resolve(self, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
        """Return checkpoints with their files; those after the first are left out where they have none."""
        first, *others = checkpoints
        if not isinstance(first.path, Remote):
            return list(checkpoints)
        resolved, _ = sources.resolve_files([first], self.plan.client, weights.checkpoint_files)
        try:
            ahead, _ = sources.resolve_files(others, self.plan.client, weights.checkpoint_files) if others else ((), ())
        except SpectraError:
            ahead = ()
        return [*resolved, *ahead]

    def _open(self, upcoming: Sequence[Checkpoint], previous: Checkpoint | None) -> Trajectory:
        """Return what compares, with the previous checkpoint open or to be opened in it."""
        if self._trajectory is not None and isinstance(upcoming[0].path, Remote):
            if upcoming[0] in self._trajectory.plan.checkpoints:
                return self._trajectory
            self.close()  # its room for what is fetched was measured for other checkpoints
        if self._trajectory is not None:
            self._trajectory.plan = replace(self.plan, checkpoints=tuple(upcoming))
            return self._trajectory
        before = self._resolve([previous])[:1] if previous is not None else []
        plan = replace(self.plan, checkpoints=(*before, *upcoming))
        trajectory = Trajectory(plan, self.executor.device, hold=True, reads=self.executor.reads)
        trajectory.__enter__()
        self._trajectory = trajectory
        if before:
            trajectory.pass_over(before[0])
        return trajectory
