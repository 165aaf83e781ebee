"""The commands that compute spectra: scan and diff."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import (
    Answer,
    Compute,
    HubAccess,
    Measuring,
    Reading,
    Selection,
    Sources,
    options_of,
    parquet_name,
    reading_words,
    request_of,
)
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    from spectra_cli.jobs.scan import Scan
    from spectra_cli.views.console.progress import ScanProgress

STANDARD_OUTPUT = "standard output"


@dataclass(frozen=True)
class Target:
    """Where a scan writes its table. name: what it is called on screen. kept: whether the file stays when it is done.

    advise: whether the commands that go on from the table are named.
    """

    path: Path
    name: str
    kept: bool = True
    advise: bool = True

    def discard(self) -> None:
        """Remove what was written where nothing of it is to stay."""
        if not self.kept:
            shutil.rmtree(self.path.parent, ignore_errors=True)


def scan(
    source: Sources,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The Parquet file; - for standard output; by default the model's name.",
        ),
    ] = None,
    selection: Selection,
    measuring: Measuring,
    reading: Reading,
    compute: Compute,
    restart: Annotated[
        bool, typer.Option("--restart", help="Compute all anew, also what an earlier scan of this output finished.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write what ran when on each worker, in Chrome's trace format."),
    ] = None,
    hub: HubAccess,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    answer: Answer,
) -> int:
    """Measure every matrix of every checkpoint and write one table; resumes where it was stopped."""
    from spectra_cli.sources.address import join

    groups = (selection, measuring, reading, compute, hub)
    address = join(source, selection.revisions or [])
    if output == "-":
        return _scan_to_stdout(address, groups, restart=restart, trace=trace, quiet=quiet, answer=answer)
    target = Target(parquet_name(output), output) if output else None
    return scan_to(target, address, groups, restart=restart, trace=trace, quiet=quiet, answer=answer)


def _named_after_model(source: str, groups: tuple[object, ...]) -> Target:
    from spectra_cli.measure.plan import make_plan

    name = f"{make_plan(request_of(source, *groups)).model}.parquet"
    return Target(Path(name), name)


def _scan_to_stdout(
    source: str, groups: tuple[object, ...], *, restart: bool, trace: Path | None, quiet: bool, answer: Answer
) -> int:
    if answer.as_json or sys.stdout.isatty():
        reason = "--json also writes there" if answer.as_json else "it is a terminal, and Parquet is binary"
        raise SpectraError(f"the table cannot go to standard output: {reason}", hint="give -o FILE", code=2)
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        target = Target(Path(folder) / "scan.parquet", STANDARD_OUTPUT, kept=False, advise=False)
        code = scan_to(target, source, groups, restart=restart, trace=trace, quiet=quiet, answer=answer)
        with open(target.path, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return code


def scan_to(
    target: Target | None,
    source: str,
    groups: tuple[object, ...],
    *,
    restart: bool = False,
    trace: Path | None = None,
    quiet: bool = False,
    answer: Answer,
) -> int:
    """Scan a source into a target, show progress and result, and return the exit code.

    target: None for a file named after the model. Something is shown before what takes seconds to load is loaded.
    """
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.progress import ScanProgress

    console = make_console(error=True)
    with ScanProgress(console, quiet=quiet or answer.as_json, doing=reading_words(source)).running() as progress:
        request_of(source, *groups)  # what can never be carried out is refused before anything heavy loads
        target = target or _named_after_model(source, groups)
        options = {**options_of(*groups), "trace": trace}
        scanned = _scan(target, source, options, restart, progress)
    _show(target, scanned, quiet=quiet, answer=answer)
    return 3 if scanned.problems else 0


def _scan(target: Target, source: str, options: dict[str, Any], restart: bool, progress: ScanProgress) -> Scan:
    from spectra_cli.cli.interrupts import stoppable
    from spectra_cli.jobs.scan import scan_checkpoints
    from spectra_cli.views.console.problems import show_error

    with stoppable(_how_to_resume(target, restart=restart), show_error, target.discard):
        return scan_checkpoints(
            source,
            target.path,
            restart=restart,
            losses=target.kept,
            on_done=progress,
            on_start=progress.begin,
            on_wait=progress.wait,
            **options,
        )


def _show(target: Target, scanned: Scan, *, quiet: bool, answer: Answer) -> None:
    from spectra_cli.studies.summary import summarise
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems
    from spectra_cli.views.console.scan import scan_json, show_next, show_scan

    roles, console = summarise(target.path), make_console(error=True)

    def text() -> None:
        if quiet:
            return
        show_scan(console, scanned, roles, target.name)
        if target.advise:
            show_next(console, scanned, roles)
        show_problems(scanned.fallbacks)

    show_result(answer, text=text, facts=lambda: scan_json(scanned, roles))
    show_problems(scanned.problems)


def _how_to_resume(target: Target, *, restart: bool) -> str:
    if not target.kept:
        return "nothing is kept of a table for standard output: give -o FILE, and a stopped scan goes on"
    return f"what was finished is kept: the same command{', without --restart,' if restart else ''} goes on from there"


def diff(
    a: Annotated[str, typer.Argument(help="A checkpoint's folder or file.", show_default=False)],
    b: Annotated[str, typer.Argument(help="The checkpoint it is compared with.", show_default=False)],
    *,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the table to this Parquet file too.")
    ] = None,
    selection: Annotated[Selection, Fields(omit=("revisions", "steps"))],
    reading: Annotated[Reading, Fields(omit=("map", "tokens_per_step"))],
    compute: Annotated[Compute, Fields(omit=("engine",))],
    hub: HubAccess,
    everything: Annotated[bool, typer.Option("--all", help="Show every matrix.")] = False,
    answer: Answer,
) -> int:
    """Compare two checkpoints, matrix by matrix, biggest movers first."""
    groups = (selection, reading, compute, hub)
    request_of(a, *groups)
    if output is not None:
        parquet_name(output)
    from spectra_cli.jobs.diff import diff_checkpoints
    from spectra_cli.views.console.diff import diff_json, show_diff
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems, show_waiting

    compared = diff_checkpoints(a, b, output, on_wait=show_waiting, **options_of(*groups))
    show_result(
        answer,
        text=lambda: show_diff(make_console(error=False), compared, everything=everything),
        facts=lambda: diff_json(compared),
    )
    show_problems((*compared.fallbacks, *compared.problems))
    return 3 if compared.problems else 0
