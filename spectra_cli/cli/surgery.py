"""The commands that make new checkpoints: merge and warmup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.models import Device, TextReading, evaluation_options
from spectra_cli.cli.options import Answer, HubAccess, Reading, Selection, Sources, options_of
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError

NEW_FOLDER = typer.Option(
    "-o", "--output", metavar="FOLDER", help="The folder to write, new or empty.", show_default=False
)
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which checkpoints and weights, write nothing.")]
ChoosingText = Annotated[
    str | None,
    typer.Option("--text", metavar="FILE", help="Choose by the loss on one half of this text, report the other."),
]


@dataclass(frozen=True)
class Merging:
    """Which checkpoints are merged, and how."""

    method: Annotated[
        str,
        typer.Option(
            "--method", metavar="NAME", help="mean, linear, sqrt, ema; extra goes on along the line of the means."
        ),
    ] = "mean"
    window: Annotated[
        str,
        typer.Option("--window", metavar="N", help="How much of the run's end is averaged: 5, 5000steps, 20Btokens."),
    ] = "5"
    spacing: Annotated[
        str, typer.Option("--spacing", metavar="N", help="How far apart the averaged ones are, likewise.")
    ] = "1"
    direction: Annotated[
        str,
        typer.Option(
            "--direction", metavar="NAME", help="Of extra: secant (the last step of the mean) or pc1 (of all means)."
        ),
    ] = "secant"
    coefficients: Annotated[
        str | None,
        typer.Option(
            "--coefficients", metavar="C,…", help="How far extra goes; by default back by none, half and all of the "
            "lag, and one save ahead.",
        ),
    ] = None  # fmt: skip


def merge(
    source: Sources,
    *,
    output: Annotated[str | None, NEW_FOLDER] = None,
    merging: Merging,
    dry_run: DryRun = False,
    text: ChoosingText = None,
    selection: Annotated[Selection, Fields(only=("revisions", "steps"))],
    reading: Annotated[Reading, Fields(only=("map", "tokens_per_step", "ema", "follow_links"))],
    evaluating: TextReading,
    compute: Device,
    hub: HubAccess,
    answer: Answer,
) -> int:
    """Average the last checkpoints of a run into a new one, or step further along the line of their means."""
    from spectra_cli.sources.address import join
    from spectra_cli.surgery.recipes import MergeOptions

    _check_place(output, dry_run)
    address, options = join(source, selection.revisions or []), MergeOptions(**vars(merging))
    request = options_of(selection, reading, hub)
    judged = evaluation_options(evaluating, compute, hub)
    from spectra_cli.cli.interrupts import stoppable
    from spectra_cli.jobs.merge import merge_checkpoints
    from spectra_cli.views.console.merge import merge_json, show_merge
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_error, show_problems, show_waiting

    with stoppable("nothing was written: give the command again", show_error):
        merged = merge_checkpoints(
            address, output, options, text=text, evaluation=judged, on_wait=show_waiting, **request
        )
    console = make_console(error=False)
    show_result(answer, text=lambda: show_merge(console, merged), facts=lambda: merge_json(merged), allow_nan=False)
    show_problems(merged.problems)
    return 3 if merged.problems else 0


def _check_place(output: str | None, dry_run: bool) -> None:
    if (output is None) != dry_run:
        what = "--dry-run writes nothing" if dry_run else "the merged checkpoint needs a place"
        raise SpectraError(what, hint="give either -o FOLDER or --dry-run", code=2)


def warmup(
    reference: Annotated[
        str, typer.Argument(help="A trained checkpoint's folder, or hf:owner/name[@revision].", show_default=False)
    ],
    *,
    output: Annotated[str, NEW_FOLDER],
    spectrum: Annotated[
        str, typer.Option("--spectrum", metavar="NAME", help="trained; flat or mp, of the same Frobenius norm.")
    ] = "trained",
    scale: Annotated[float, typer.Option("--scale", metavar="S", help="Multiplies every singular value.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the singular vectors and all else.")] = 0,
    per_head: Annotated[bool, typer.Option("--per-head", help="Give each head of attention its own spectrum.")] = False,
    reading: Annotated[Reading, Fields(only=("arch", "ema", "follow_links"))],
    hub: HubAccess,
    answer: Answer,
) -> int:
    """Start a model for training with a trained one's spectra and random singular vectors."""
    from spectra_cli.jobs.warmup import WarmupOptions, warm_start

    options = WarmupOptions(spectrum, scale, seed, per_head)
    from spectra_cli.cli.interrupts import stoppable
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_error, show_waiting
    from spectra_cli.views.console.warmup import show_warmup, warmup_json

    with stoppable("nothing was written: give the command again", show_error):
        made = warm_start(reference, output, options, on_wait=show_waiting, **options_of(reading, hub))
    console = make_console(error=False)
    show_result(answer, text=lambda: show_warmup(console, made), facts=lambda: warmup_json(made))
    return 0
