"""The command that studies checkpoints beside each other: rank1."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import (
    Answer,
    Compute,
    HubAccess,
    Reading,
    Selection,
    Sources,
    options_of,
    parquet_name,
    reading_words,
    request_of,
)
from spectra_cli.cli.show import show_result

if TYPE_CHECKING:
    from spectra_cli.jobs.rank1 import Rank1Result


@dataclass(frozen=True)
class Averaging:
    """What is averaged, and where the findings go."""

    window: Annotated[
        int,
        typer.Option("--window", metavar="W", help="How many neighbouring checkpoints a merged one is the mean of."),
    ] = 5
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The Parquet file; by default the model's name with .rank1.parquet."
        ),
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Discard what an interrupted run on this output left.")] = (
        False
    )


@dataclass(frozen=True)
class Showing:
    """How much is said."""

    everything: Annotated[bool, typer.Option("--all", help="Show every layer.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


def rank1(
    source: Sources,
    *,
    averaging: Averaging,
    selection: Annotated[Selection, Fields(omit=("metrics",))],
    reading: Reading,
    compute: Annotated[Compute, Fields(only=("threads",))],
    hub: HubAccess,
    showing: Showing,
    answer: Answer,
) -> int:
    """Judge whether checkpoints, raw and averaged, lie on a line beyond what any drift does; resumes."""
    from spectra_cli.sources.address import join

    groups = (selection, reading, compute, hub)
    address = join(source, selection.revisions or [])
    request = request_of(address, *groups)
    from spectra_cli.cli.interrupts import stoppable
    from spectra_cli.jobs.rank1 import rank1_checkpoints
    from spectra_cli.measure.plan import make_plan
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_error
    from spectra_cli.views.console.rank1 import TensorProgress

    path = parquet_name(averaging.output or f"{make_plan(request).model}.rank1.parquet")
    silent, doing = showing.quiet or answer.as_json, reading_words(address)
    with (
        stoppable(f"what is finished is kept in {path}.parts: the same command resumes", show_error),
        TensorProgress(make_console(error=True), quiet=silent, doing=doing).running() as progress,
    ):
        result = rank1_checkpoints(
            address, path, window=averaging.window, restart=averaging.restart, on_start=progress.begin,
            on_done=progress, on_wait=progress.wait, **options_of(*groups),
        )  # fmt: skip
    _show(result, path, showing, answer)
    return 3 if result.problems else 0


def _show(result: Rank1Result, path: Path, showing: Showing, answer: Answer) -> None:
    from spectra_cli.errors import printable
    from spectra_cli.views.console.output import make_console, print_lines
    from spectra_cli.views.console.problems import show_problems
    from spectra_cli.views.console.rank1 import rank1_json, show_rank1

    show_result(
        answer,
        text=lambda: show_rank1(make_console(error=False), result.findings, everything=showing.everything),
        facts=lambda: {**rank1_json(result.findings), "output": str(path), "notes": list(result.notes)},
        allow_nan=False,
    )
    if not showing.quiet and not answer.as_json:
        console = make_console(error=True)
        for note in result.notes:
            print_lines(console, f"note: {printable(note)}")
        table = printable(shlex.quote(str(path)), 4096)
        console.print(f"\nnext: spectra plot {table} --kind rank1 -o rank1.png", soft_wrap=True)
    show_problems(result.problems)
