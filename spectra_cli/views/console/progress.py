"""What is about to be scanned, and how far a job is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.text import Text

from spectra_cli.errors import printable
from spectra_cli.views.console.output import print_lines
from spectra_cli.views.formatting import count, duration, fitting

if TYPE_CHECKING:
    from spectra_cli.measure.plan import Plan
    from spectra_cli.records import Checkpoint, Layout, Matrix

BAR = 5  # of so many columns the bar takes one


class _Words(ProgressColumn):
    """What is done and left, drawn anew several times a second: the parts that fit, the most important first."""

    def __init__(self, parts: Callable[[], Sequence[str]], width: int) -> None:
        super().__init__()
        self.parts, self.width = parts, width

    def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's own signature
        """Return the parts on one line."""
        return Text(fitting(self.parts(), self.width), no_wrap=True, overflow="ellipsis")


class BarOrLines:
    """Shows how far a job is: a bar on a terminal, lines elsewhere, nothing when quiet. Each job has its own kind.

    doing: what is shown before the job knows how much there is to do.
    """

    task: TaskID
    waiting = ""

    def __init__(self, console: Console, *, quiet: bool, doing: str = "") -> None:
        """Prepare; nothing is drawn before the job runs."""
        self.console, self.quiet, self.doing = console, quiet, doing
        self.bar: Progress | None = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Draw while the job runs."""
        if self.quiet or not self.console.is_terminal:
            yield self
            return
        width = max(8, self.console.width // BAR)
        bar = BarColumn(width, "bright_black", complete_style="cyan", finished_style="green", pulse_style="cyan")
        columns = (bar, _Words(self.shown, self.console.width - width - 2))
        with Progress(*columns, console=self.console, transient=True) as self.bar:
            self.task = self.bar.add_task("", total=None)
            yield self

    def shown(self) -> Sequence[str]:
        """Return what stands beside the bar: what is waited for, or else how far the job is."""
        return [self.waiting] if self.waiting else self.parts()

    def parts(self) -> Sequence[str]:
        """Return how far the job is, the most important first."""
        return [self.doing]

    def move(self, completed: float, total: float) -> None:
        """Draw the bar so far; what was waited for has come."""
        self.waiting = ""
        if self.bar:
            self.bar.update(self.task, completed=completed, total=total)

    def wait(self, words: str) -> None:
        """Show what the Hub is waited for: on the bar, or as a line of its own; where all is quiet, errors name it."""
        if self.bar:
            self.waiting = printable(words, 200)
        elif not self.quiet:
            print_lines(self.console, printable(words, 200))


class ScanProgress(BarOrLines):
    """Shows how far a scan is: without a terminal, a line a checkpoint.

    The rate and the time left are of what this run measured: what an earlier one finished took no time of it.
    """

    matrices = finished = checkpoints = 0
    measured = of_current = 0
    started = 0.0
    current = ""

    def begin(self, plan: Plan, layout: Layout, device: str, kept: int) -> None:
        """Print what is about to be scanned, and start. layout: of one checkpoint, taken for all. kept: finished."""
        if not self.quiet:
            print_lines(self.console, headline(plan, layout, device))
            if kept:
                of = count(len(plan.checkpoints), "checkpoint")
                print_lines(self.console, f"resumed: {kept} of {of} were finished before")
        self.matrices, self.checkpoints = len(layout.matrices), len(plan.checkpoints)
        self.started = time.monotonic()
        self._move()

    def __call__(self, checkpoint: Checkpoint, matrix: Matrix | None) -> None:
        """Note that a matrix is done, or with None that a whole checkpoint is."""
        if matrix is None:
            self.finished, self.of_current = self.finished + 1, 0
            if not self.measured:
                self.started = time.monotonic()
        else:
            self.measured, self.of_current = self.measured + 1, self.of_current + 1
            self.current = f"{printable(checkpoint.revision)} {printable(matrix.name)}"
        self._move()
        if matrix is None and not self.bar and not self.quiet:
            print_lines(self.console, f"{self.finished}/{self.checkpoints} {printable(checkpoint.revision)}")

    def _move(self) -> None:
        self.move(self._done(), self.matrices * self.checkpoints)

    def _done(self) -> int:
        return min(self.finished * self.matrices + self.of_current, self.matrices * self.checkpoints)

    def parts(self) -> Sequence[str]:
        """Return how far the scan is."""
        if not self.checkpoints:
            return [self.doing]
        at = min(self.finished + 1, self.checkpoints)
        whole, passed = self.matrices * self.checkpoints, time.monotonic() - self.started
        parts = [f"checkpoint {at} of {self.checkpoints}"]
        if self.measured and passed:
            rate = self.measured / passed
            left = (whole - self._done()) / rate
            parts += [f"{duration(left)} left", f"{rate:.3g} matrices/s"]
        return [*parts, f"{self._done():,}/{whole:,} matrices", self.current]


class TrainingProgress(BarOrLines):
    """Shows how far the demo's training is: without a terminal, a line a checkpoint."""

    step = steps = 0
    started = 0.0
    saved = ""

    def note(self, line: str) -> None:
        """Show a line about what happens: before the first step, and without a bar, as it is; else beside the bar."""
        if self.bar and self.steps:
            self.saved = line.partition(" · ")[2]
        else:
            print_lines(self.console, line)

    def __call__(self, step: int, steps: int) -> None:
        """Note how many steps are done; the first call starts the clock."""
        if not self.steps:
            self.started = time.monotonic()
        self.step, self.steps = step, steps
        self.move(step, steps)

    def parts(self) -> Sequence[str]:
        """Return how far the training is."""
        if not self.steps:
            return [self.doing]
        parts = [f"step {self.step} of {self.steps}"]
        if self.step:
            left = (time.monotonic() - self.started) / self.step * (self.steps - self.step)
            parts.append(f"{duration(left)} left")
        return [*parts, self.saved]


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
