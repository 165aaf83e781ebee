"""The command that writes other forms of a table: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spectra_cli.cli.options import Answer
from spectra_cli.cli.show import show_result


def export(
    table: Annotated[Path, typer.Argument(help="A table that scan or diff wrote.", show_default=False)],
    *,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A .parquet, .csv or .duckdb file, a folder .tensorboard, .wandb or .mlflow, or FOLDER/ for datasets.",
        ),
    ],
    long: Annotated[
        bool, typer.Option("--long", help="A row for each metric, as in the table, and not a column.")
    ] = False,
    answer: Answer,
) -> int:
    """Write a table in another form: a row for each matrix of a checkpoint, a column for each metric."""
    from spectra_cli.jobs.export import export_table
    from spectra_cli.views.console.export import exported_json, exported_line
    from spectra_cli.views.console.output import make_console, print_lines

    exported = export_table(table, output, long=long)
    show_result(
        answer,
        text=lambda: print_lines(make_console(error=True), exported_line(exported)),
        facts=lambda: exported_json(exported),
    )
    return 0
