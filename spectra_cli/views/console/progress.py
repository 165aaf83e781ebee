"""What is about to be scanned, and how far the scan is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from spectra_cli.errors import printable
from spectra_cli.views.formatting import count

if TYPE_CHECKING:
    from spectra_cli.measure.plan import Plan
    from spectra_cli.records import Checkpoint, Layout, Matrix


class BarOrLines:
    """Shows how far a job is: a bar on a terminal, lines elsewhere, nothing when quiet. Each job has its own kind."""

    task: TaskID

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """Prepare; nothing is drawn before the job begins."""
        self.console, self.quiet = console, quiet
        self.bar: Progress | None = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Draw while the job runs."""
        if self.quiet or not self.console.is_terminal:
            yield self
            return
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True) as self.bar:
            yield self

    def wait(self, words: str) -> None:
        """Show what the Hub is waited for: on the bar, or as a line of its own; where all is quiet, errors name it."""
        if self.bar and self.bar.tasks:
            self.bar.update(self.task, description=printable(words, 200))
        elif not self.quiet:
            self.console.print(printable(words, 200), soft_wrap=True)


class ScanProgress(BarOrLines):
    """Shows how far a scan is: without a terminal, a line a checkpoint."""

    matrices = finished = checkpoints = 0

    def begin(self, plan: Plan, layout: Layout, device: str) -> None:
        """Print what is about to be scanned, and start the bar. layout: of one checkpoint, taken for all."""
        if not self.quiet:
            self.console.print(headline(plan, layout, device), soft_wrap=True)
        self.matrices, self.checkpoints = len(layout.matrices), len(plan.checkpoints)
        if self.bar:
            self.task = self.bar.add_task("", total=self.matrices * self.checkpoints, rate="")

    def __call__(self, checkpoint: Checkpoint, matrix: Matrix | None) -> None:
        """Note that a matrix is done, or with None that a whole checkpoint is."""
        if matrix is None:
            self.finished += 1
        if self.bar and matrix is not None:
            speed = self.bar.tasks[0].speed
            rate = f" · {speed:.1f} matrices/s" if speed else ""
            self.bar.update(
                self.task, advance=1, description=f"{printable(checkpoint.revision)} {printable(matrix.name)}{rate}"
            )
        elif self.bar:
            self.bar.update(self.task, completed=self.finished * self.matrices)
        elif matrix is None and not self.quiet:
            self.console.print(f"{self.finished}/{self.checkpoints} {printable(checkpoint.revision)}", soft_wrap=True)


def headline(plan: Plan, layout: Layout, device: str) -> str:
    """Return two lines: what is about to be scanned, and how."""
    from spectra_cli import svd

    steps = [checkpoint.step for checkpoint in plan.checkpoints if checkpoint.step is not None]
    span = f", steps {steps[0]} … {steps[-1]}" if len(steps) > 1 else f", step {steps[0]}" if steps else ""
    tensors = [matrix.tensor for matrix in layout.matrices]
    split = len({name for name in tensors if tensors.count(name) > 1}) if len(tensors) < 5000 else 0
    fused = f" ({split} fused tensors split)" if split else ""
    compared = (
        f"compared with {plan.reference.revision}" if plan.reference else "nothing to compare with: one checkpoint"
    )
    first = (
        f"{printable(plan.model)} · {printable(layout.architecture)}"
        f" · {count(len(plan.checkpoints), 'checkpoint')}{span}"
        f" · {count(len(layout.matrices), 'matrix', 'matrices')} each{fused} · {printable(compared)}"
    )
    local = plan.request.engine == "local"
    where = f"{count(plan.request.workers, 'worker')} × 1 thread" if local else "on a Ray cluster"
    return f"{first}\n{device}, {where}, {svd.describe(device)}"
