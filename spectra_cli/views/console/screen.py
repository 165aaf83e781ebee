"""What a scan and a diff say on the terminal: headline, progress, summary. Talk goes to standard error."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from spectra_cli.errors import printable
from spectra_cli.views.formatting import count, ellipsis, number, show_error, size

if TYPE_CHECKING:
    from spectra_cli.jobs.scan import Scan
    from spectra_cli.measure.plan import Plan
    from spectra_cli.records import Checkpoint, Layout, Matrix, Problem
    from spectra_cli.studies.summary import RoleSummary

PIPE_WIDTH = 160
MOST_PROBLEMS = 12
STILL = {
    "random_baseline": "no different from random entries",
    "equal_to_first": "unchanged since the first checkpoint",
}
LOG = "loss.jsonl"  # what a run may keep beside its checkpoints, as that of `spectra demo` does
ENOUGH_STEPS = 8  # with fewer, a study of the course finds nothing


def make_console(*, error: bool) -> Console:
    """Make a console that takes no markup from names, and is wide where no terminal says how wide it is."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=width)


def plain_table(*headers: str) -> Table:
    """Make a table without lines, whose columns shrink to the terminal: cells are folded, so that no digit is lost."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def waiting(words: str) -> None:
    """Say on standard error what is waited for."""
    print(f"spectra: {printable(words, 400)}", file=sys.stderr, flush=True)


def show_problems(problems: Sequence[Problem]) -> None:
    """Name what could not be read while the rest was."""
    for problem in problems[:MOST_PROBLEMS]:
        show_error(problem.message, problem.hint)
    if len(problems) > MOST_PROBLEMS:
        show_error(f"… and {len(problems) - MOST_PROBLEMS} more", "the table's metadata names all of them")


def headline(plan: Plan, layout: Layout, device: str, precision: str, workers: int) -> str:
    """Say in two lines what is about to be scanned, and how."""
    steps = [one.step for one in plan.checkpoints if one.step is not None]
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
    where = f"{count(workers, 'worker')} × 1 thread" if plan.request.engine == "local" else "on a Ray cluster"
    return f"{first}\n{device}, {where}, {precision}"


class ScanProgress:
    """Shows how far a scan is: a bar on a terminal, a line a checkpoint elsewhere, nothing when quiet."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """Prepare; nothing is drawn before `begin`."""
        self.console, self.quiet = console, quiet
        self.matrices = self.finished = self.checkpoints = 0
        self.bar: Progress | None = None

    def begin(self, plan: Plan, layout: Layout) -> None:
        """Learn how much there is to do."""
        self.matrices, self.checkpoints = len(layout.matrices), len(plan.checkpoints)
        if self.bar:
            self.task = self.bar.add_task("", total=self.matrices * self.checkpoints, rate="")

    @contextmanager
    def running(self) -> Iterator[ScanProgress]:
        """Draw while the scan runs."""
        if self.quiet or not self.console.is_terminal:
            yield self
            return
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True) as self.bar:
            yield self

    def say(self, words: str) -> None:
        """Say what the Hub is waited for: on the bar, or as a line of its own; errors tell it where all is quiet."""
        if self.bar and self.bar.tasks:
            self.bar.update(self.task, description=printable(words, 200))
        elif not self.quiet:
            self.console.print(printable(words, 200), soft_wrap=True)

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


def show_scan(console: Console, scan: Scan, roles: Sequence[RoleSummary], name: str) -> None:
    """Say where the table is, what is in it, and the facts a person wants first."""
    skipped = scan.metadata["skipped"]
    reasons = sorted({reason for _, reason in skipped})
    left = f"{count(len(skipped), 'tensor')} skipped ({ellipsis(reasons, 4)})" if skipped else "nothing skipped"
    where = f"{printable(name)} · {count(scan.rows, 'row')} · {size(scan.output.stat().st_size)} · {left}"
    console.print(where, soft_wrap=True)
    if scan.losses:
        console.print(f"{printable(str(scan.losses))} · the run's loss and learning rate, for --loss", soft_wrap=True)
    duplicates = scan.metadata["duplicates"]
    if duplicates:
        pairs = [f"{one} repeats {other}" for one, other in duplicates.items()]
        console.print(f"identical weights: {ellipsis(pairs)}", soft_wrap=True)
    for line in warnings_of(scan.metadata):
        console.print(line, soft_wrap=True)
    if scan.metadata["unread"]:
        names = [f"{name} ({reason})" for name, reason in scan.metadata["unread"]]
        console.print(f"not read: {ellipsis(names)}", soft_wrap=True)
    if roles:
        console.print()
        console.print(roles_table(roles))
        if scan.metadata["reference"]:
            console.print(f"\n{what_it_says(roles, scan.metadata['reference'])}", soft_wrap=True)


def warnings_of(metadata: Mapping[str, Any]) -> list[str]:
    """Say which matrices are still as at initialisation, and which numbers the error of σ leaves open.

    >>> warnings_of({"random_baseline": {"step0": 38, "step1": 38, "step9": 2}, "equal_to_first": {}, "uncertain": {}})
    ['no different from random entries: 38 matrices at step0 … step1, 2 at step9']
    """
    said = []
    for key, words in STILL.items():
        parts: list[str] = []
        for many, run in groupby(metadata[key].items(), lambda item: item[1]):
            names = [printable(name) for name, _ in run]
            span = f"{names[0]} … {names[-1]}" if names[1:] else names[0]
            parts.append(f"{many if parts else count(many, 'matrix', 'matrices')} at {span}")
        if parts:
            said.append(f"{words}: {ellipsis(parts, 4)}")
    uncertain = metadata["uncertain"]
    if uncertain:
        where = sorted({f"{matrix} at {revision}" for places in uncertain.values() for revision, matrix in places})
        said.append(f"uncertain in the third digit: {ellipsis(list(uncertain), 4)}, of {ellipsis(where)}")
    return said


def show_next(console: Console, scan: Scan) -> None:
    """Name the commands that go on from the table, where it holds a course of steps."""
    logged = Path(str(scan.metadata["source"])) / LOG
    losses = scan.losses or (logged if logged.is_file() else None)
    if losses or scan.steps >= ENOUGH_STEPS:
        table = printable(shlex.join([str(scan.output), *(["--loss", str(losses)] if losses else [])]), 8192)
        page = printable(shlex.quote(str(scan.output.with_suffix(".html"))), 4096)
        console.print(f"\nnext: spectra stability {table}\n      spectra report {table} -o {page}", soft_wrap=True)


def roles_table(roles: Sequence[RoleSummary]) -> Table:
    """Lay out one line a role."""
    compared = any(one.start is not None for one in roles)
    headers = ["role"]
    if compared:
        headers += ["spectra\n≥ 0.99", "weights\n≥ 0.99", "SD variation,\npeak"]
    table = plain_table(*headers, "stable rank", "α")
    for one in roles:
        cells = [one.role]
        if compared:
            peak = f"{number(one.peak[0], 2)}, step {one.peak[1]}" if one.peak else "–"
            cells += [_since(one.spectra_close, one), _since(one.weights_close, one), peak]
        table.add_row(*(printable(cell) for cell in cells), _change(one.stable_rank, 3), _change(one.alpha, 2))
    return table


def _since(step: int | None, one: RoleSummary) -> str:
    if step is None:
        return "–"
    return "the start" if step == one.first_step else f"step {step}"


def _change(ends: tuple[float, float] | None, digits: int) -> str:
    if ends is None:
        return "–"
    return f"{number(ends[0], digits)} → {number(ends[1], digits)}" if ends[0] != ends[1] else number(ends[0], digits)


def what_it_says(roles: Sequence[RoleSummary], reference: str) -> str:
    """Explain the columns of closeness, and say which role's weights moved furthest and which least."""
    known = sorted((one.start, one.role) for one in roles if one.start is not None and one.start == one.start)
    closeness = f"≥ 0.99: from then on the cosine to {printable(reference)} stays at or above 0.99"
    if len(known) < 2:
        return closeness
    (low, most), (high, least) = known[0], known[-1]
    first = f"weights of {most} moved most (cosine to {printable(reference)} {number(low)} at the start)"
    return f"{closeness}\n{first}, of {least} least ({number(high)})"
