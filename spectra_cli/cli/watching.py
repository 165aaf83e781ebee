"""The command that follows a run while it trains: watch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import (
    Answer,
    Compute,
    HubAccess,
    Measuring,
    Reading,
    Selection,
    options_of,
    parquet_name,
    request_of,
)
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError, require_report

if TYPE_CHECKING:
    from spectra_cli.jobs.watch import Conditions, Watched
    from spectra_cli.views.console.watch import WatchView

LEAST_BETWEEN_REPORTS = 60.0


@dataclass(frozen=True)
class Following:
    """When a checkpoint is complete, and when the run is over."""

    GROUP: ClassVar[str] = "When a checkpoint is complete, and the run over"

    quiet_period: Annotated[
        str,
        typer.Option("--quiet-period", metavar="TIME", help="A checkpoint is complete once its files rest so long."),
    ] = "10s"
    marker: Annotated[
        str | None, typer.Option("--marker", metavar="NAME", help="A checkpoint is complete once it holds this file.")
    ] = None
    done_marker: Annotated[
        str | None, typer.Option("--done-marker", metavar="NAME", help="The run is over once its folder holds this.")
    ] = None
    idle: Annotated[
        str | None, typer.Option("--idle", metavar="TIME", help="Stop once nothing new has come for so long.")
    ] = None
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Look so often; by default 1s, at the Hub 1m.")
    ] = None


@dataclass(frozen=True)
class Sparing:
    """How much of the machine watching leaves to training."""

    GROUP: ClassVar[str] = "Leave time to training"

    share: Annotated[float, typer.Option("--share", metavar="0-1", help="Measure at most this share of the time.")] = (
        1.0
    )
    nice: Annotated[int, typer.Option("--nice", metavar="N", help="Lower the priority by so much, up to 19.")] = 0


@dataclass(frozen=True)
class Written:
    """What watching writes."""

    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The table, which grows.")]
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="Write the page anew, at most once a minute.")
    ] = None
    loss: Annotated[
        str | None, typer.Option("--loss", metavar="FILE", help="What the run logs: for the page and beside spikes.")
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Begin the table anew.")] = False


def watch(
    source: Annotated[str, typer.Argument(help="The run's folder, or hf:owner/name.", show_default=False)],
    *,
    written: Written,
    following: Following,
    sparing: Sparing,
    selection: Selection,
    measuring: Annotated[Measuring, Fields(omit=("reference",))],
    reading: Reading,
    compute: Annotated[Compute, Fields(omit=("engine",))],
    hub: HubAccess,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    answer: Answer,
) -> int:
    """Measure each checkpoint once as a training run writes it; stops when the run is over."""
    groups = (selection, measuring, reading, compute, hub)
    request_of(source, *groups)
    page, conditions = _Page(written), _conditions(following, sparing)
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems
    from spectra_cli.views.console.watch import WatchView

    if sparing.nice:
        os.nice(sparing.nice)
    view = WatchView(make_console(error=True), source, quiet=quiet or answer.as_json)
    watched = _watch(source, written, conditions, options_of(*groups), view, page)
    page.write()
    show_result(answer, text=lambda: view.finished(watched, written.output), facts=lambda: _facts(watched))
    show_problems(watched.problems)
    return 3 if watched.problems else 0


def _watch(
    source: str, written: Written, conditions: Conditions, options: Mapping[str, Any], view: WatchView, page: _Page
) -> Watched:
    from spectra_cli.cli.interrupts import stoppable
    from spectra_cli.jobs.watch import OnChange, watch_run
    from spectra_cli.views.console.problems import show_error, show_waiting

    def looked(waiting: tuple[str, ...]) -> None:
        view.looked(waiting)
        page.write_if_due()

    hint = f"{written.output} holds what was measured: the same command goes on from there"
    with stoppable(hint, show_error), view.running():
        return watch_run(
            source,
            parquet_name(written.output),
            conditions=conditions,
            restart=written.restart,
            losses=written.loss,
            on_change=OnChange(view.measured, view.event, view.failed, view.dropped, looked),
            on_wait=show_waiting,
            **options,
        )


def _conditions(following: Following, sparing: Sparing) -> Conditions:
    from spectra_cli.jobs.watch import Conditions
    from spectra_cli.sources import parse_seconds

    if not 0 <= sparing.nice <= 19:
        raise SpectraError(f"--nice {sparing.nice} is no priority", hint="give 0 to 19", code=2)
    return Conditions(
        quiet=parse_seconds(following.quiet_period),
        marker=following.marker,
        done_marker=following.done_marker,
        idle=None if following.idle is None else parse_seconds(following.idle),
        poll=None if following.every is None else parse_seconds(following.every),
        share=sparing.share,
    )


class _Page:
    """Writes the page after new checkpoints, and not more often than it takes to read it."""

    def __init__(self, written: Written) -> None:
        parquet_name(written.output)
        if written.report is not None:
            from spectra_cli.views.report.shell import check_page_name

            require_report()
            check_page_name(written.report)
        self._page, self._table, self._loss = written.report, Path(written.output), written.loss
        self._seen, self._due = -1, 0.0

    def write_if_due(self) -> None:
        """Write the page where the table has changed since, and a minute has passed."""
        if self._page is None or time.monotonic() < self._due or not self._table.exists():
            return
        changed = self._table.stat().st_mtime_ns
        if changed != self._seen:
            self.write()
            self._seen, self._due = changed, time.monotonic() + LEAST_BETWEEN_REPORTS

    def write(self) -> None:
        """Write the page; what is in the way of it does not end watching."""
        if self._page is None:
            return
        from spectra_cli.jobs.training_log import companion
        from spectra_cli.views.console.problems import show_error
        from spectra_cli.views.report.report import report

        log = Path(self._loss) if self._loss else companion(self._table)
        try:
            report([self._table], self._page, losses=[str(log)] if log.exists() else [])
        except SpectraError as error:
            show_error(error.message, error.hint)


def _facts(watched: Watched) -> dict[str, Any]:
    import json

    return {
        "output": str(watched.output),
        "checkpoints": watched.checkpoints,
        "over": watched.over,
        "why": watched.why,
        "events": [json.loads(event.as_line()) for event in watched.events],
        "problems": [problem.message for problem in watched.problems],
    }
