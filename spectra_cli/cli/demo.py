"""The command that shows everything on a run of its own: demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spectra_cli.cli.looking import report
from spectra_cli.cli.options import Answer, RunInputs
from spectra_cli.cli.scanning import Target, scan_to
from spectra_cli.errors import require_report


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where the run and its table go; must not exist yet, or be empty.")
    ] = Path("spectra-demo"),
) -> int:
    """Train a tiny model on Python's own sources, scan its checkpoints, and say what was found."""
    require_report()  # at the end, after a minute, comes a page
    from spectra_cli.jobs import demo as training
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.progress import TrainingProgress

    console = make_console(error=True)
    table = folder / "demo.parquet"
    with TrainingProgress(console, quiet=False, doing="loading torch and transformers").running() as progress:
        run = training.train(folder, on_progress=progress.note, on_step=progress, recipe=training.DEMO)
    training.write_held_out(folder)
    target = Target(table, str(table), advise=False)
    code = scan_to(target, str(run), (), answer=Answer())
    report([str(table)], output=str(folder / "demo.html"), inputs=RunInputs(loss=[str(run / "loss.jsonl")]))
    console.print(training.what_next(folder), soft_wrap=True)
    return code
