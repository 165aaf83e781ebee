"""The commands that look before and after a scan, and compute no spectrum: inspect, verify and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import (
    Answer,
    Compute,
    HubAccess,
    Pricing,
    Reading,
    Selection,
    Sources,
    options_of,
    request_of,
)
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError


@dataclass(frozen=True)
class Shown:
    """What is shown."""

    everything: Annotated[bool, typer.Option("--all", help="Show every checkpoint.")] = False
    record: Annotated[
        bool, typer.Option("--record", help="Print only the architecture's record, as TOML for --arch.")
    ] = False


def inspect(
    source: Sources,
    *,
    selection: Selection,
    reading: Reading,
    compute: Annotated[Compute, Fields(omit=("engine",))],
    hub: HubAccess,
    pricing: Pricing,
    shown: Shown,
    answer: Answer,
) -> int:
    """Show what a scan would read, split, skip and cost; computes no spectrum."""
    from spectra_cli.sources.address import join

    groups = (selection, reading, compute, hub)
    address = join(source, selection.revisions or [])
    request_of(address, *groups)
    if shown.record and reading.arch:  # whether it fits the source or not: it may be there to be edited
        typer.echo(_record(reading.arch))
        return 0
    from spectra_cli.jobs.inspect import inspect_source
    from spectra_cli.views.console.inspect import inspection_json, show_inspection
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems, show_waiting

    inspection = inspect_source(address, begun=0.0, on_wait=show_waiting, **options_of(*groups, pricing))
    if shown.record:
        typer.echo(_record(inspection.layout.architecture))
    else:
        show_result(
            answer,
            text=lambda: show_inspection(make_console(error=False), inspection, everything=shown.everything),
            facts=lambda: inspection_json(inspection),
        )
    show_problems(inspection.problems)
    return 3 if inspection.problems else 0


def _record(name: str) -> str:
    from spectra_cli.architectures import ARCHITECTURES, load, to_toml

    if name not in {architecture.name for architecture in ARCHITECTURES} and not Path(name).exists():
        raise SpectraError(
            "there is no record of this family", hint="start from a near one, such as --arch llama --record", code=2
        )
    return to_toml(load(name))


def verify(
    table: Annotated[Path, typer.Argument(help="A table that scan or diff wrote.", show_default=False)],
    *,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Also compute N random matrices again, and compare.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which N are drawn.")] = 0,
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="Where the checkpoints lie now, for --sample.")
    ] = None,
    reading: Annotated[Reading, Fields(only=("map",))],
    answer: Answer,
) -> int:
    """Check a table: schema, checksums, completeness, ranges, inequalities; exit code 1 where something is wrong."""
    from spectra_cli.jobs.verify import verify_table
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems
    from spectra_cli.views.console.verify import show_verified, verified_json

    verified = verify_table(table, sample=sample, seed=seed, source=source, map=reading.map)
    show_result(
        answer,
        text=lambda: show_verified(make_console(error=False), verified),
        facts=lambda: verified_json(verified),
    )
    show_problems(verified.findings)
    return 1 if verified.findings else 0


def metrics(name: Annotated[str | None, typer.Argument(help="One number's name.", show_default=False)] = None) -> None:
    """Show the catalogue of numbers, or one of them with its formula, range and source."""
    from spectra_cli.views.console.catalogue import one_metric, overview
    from spectra_cli.views.console.output import make_console, print_lines

    print_lines(make_console(error=False), one_metric(name) if name else overview())
