"""The commands that run language models on text: evaluate, ablate and prune."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import Answer, Compute, HubAccess
from spectra_cli.cli.show import show_result
from spectra_cli.errors import SpectraError, require_report

if TYPE_CHECKING:
    from spectra_cli.jobs.evaluate import EvaluationOptions

TextFile = Annotated[
    str,
    typer.Option("--text", metavar="FILE", help="Plain text that the model was not trained on.", show_default=False),
]


@dataclass(frozen=True)
class TextReading:
    """How a model reads a text."""

    GROUP: ClassVar[str] = "Read the text"

    context: Annotated[
        int | None,
        typer.Option("--context", metavar="N", help="Tokens in a window; the model's own by default, at most 2048."),
    ] = None
    stride: Annotated[
        int | None,
        typer.Option("--stride", metavar="N", help="New tokens in each window; half of the context by default."),
    ] = None
    blocks: Annotated[
        int, typer.Option("--blocks", metavar="N", help="Parts of the text that standard errors are taken over.")
    ] = 32
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer", metavar="FOLDER", help="A tokenizer other than the model's; a model without one reads bytes."
        ),
    ] = None
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="NAME", help="What is computed in: float32, bfloat16, float16, float64.")
    ] = "float32"


MODEL = typer.Argument(
    metavar="MODEL", help="A checkpoint's folder or file, or hf:owner/name[@revision].", show_default=False
)
ModelSource = Annotated[str, MODEL]
Protect = Annotated[
    str | None,
    typer.Option(
        "--protect", metavar="FIRST:LAST", help="Layers at both ends that are no core layers; a sixth each by default."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Device = Annotated[Compute, Fields(only=("device",))]


def evaluate(
    models: Annotated[list[str], MODEL],
    *,
    text: TextFile,
    reading: TextReading,
    compute: Device,
    hub: HubAccess,
    answer: Answer,
) -> int:
    """Measure the loss of language models on a text, paired on the same blocks of it."""
    options = evaluation_options(reading, compute, hub)
    from spectra_cli.jobs.evaluate import evaluate_models
    from spectra_cli.views.console.evaluate import evaluation_json, show_evaluation
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_problems, show_waiting

    evaluation = evaluate_models(models, text, options, on_wait=show_waiting)
    show_result(
        answer,
        text=lambda: show_evaluation(make_console(error=False), evaluation),
        facts=lambda: evaluation_json(evaluation),
        allow_nan=False,
    )
    show_problems(evaluation.problems)
    return 3 if evaluation.problems else 0


def ablate(
    model: ModelSource,
    *,
    text: TextFile,
    protect: Protect = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Draw the figure: .png, .svg, .html, .pdf; - draws here."),
    ] = None,
    reading: TextReading,
    compute: Device,
    hub: HubAccess,
    quiet: Quiet = False,
    answer: Answer,
) -> int:
    """Remove each layer in turn, and put the rise in loss beside its spectra and its Block Influence."""
    options = evaluation_options(reading, compute, hub)
    from spectra_cli.jobs.ablate import ablate_layers
    from spectra_cli.views.console.ablate import ablation_json, show_ablation
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_waiting

    check_figure(output)
    with progress(quiet) as on_layer:
        ablation = ablate_layers(model, text, options, protect=protect, on_wait=show_waiting, on_layer=on_layer)
    show_result(
        answer,
        text=lambda: show_ablation(make_console(error=False), ablation),
        facts=lambda: ablation_json(ablation),
        allow_nan=False,
    )
    if output is not None:
        from spectra_cli.views.figures.ablate import draw_ablation

        show_figure(draw_ablation(ablation, output))
    return 0


@dataclass(frozen=True)
class Pruned:
    """Which layers go, and what that is compared with."""

    layers: Annotated[int, typer.Option("--layers", metavar="K", help="How many layers to remove.", show_default=False)]
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="NAME", help="alpha, another exponent, stable_rank, bi or ablation: docs/pruning.md."
        ),
    ] = "alpha"
    protect: Protect = None
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="FILE", help="Plain text, for --by bi, --by ablation and --compare."),
    ] = None
    compare: Annotated[
        bool, typer.Option("--compare", help="Also measure other choices, on half of the text; without -o only that.")
    ] = False
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Random choices in the comparison.")] = 8


def prune(
    model: ModelSource,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="The new checkpoint: a new or empty folder.")
    ] = None,
    pruned: Pruned,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE", help="Draw the comparison: .png, .svg, .html, .pdf; - draws here."),
    ] = None,
    reading: TextReading,
    compute: Device,
    hub: HubAccess,
    quiet: Quiet = False,
    answer: Answer,
) -> int:
    """Write a model without some of its layers, chosen by their spectra or by a text; the result is run and checked."""
    options = evaluation_options(reading, compute, hub)
    if output is None and not pruned.compare:
        raise SpectraError("there is nowhere to write the smaller model", hint="give -o FOLDER, or --compare", code=2)
    from spectra_cli.jobs.prune import PruneOptions, prune_layers
    from spectra_cli.views.console.output import make_console
    from spectra_cli.views.console.problems import show_waiting
    from spectra_cli.views.console.prune import pruning_json, show_pruning

    check_figure(figure)
    wanted = PruneOptions(**vars(pruned))
    with progress(quiet) as on_step:
        result = prune_layers(model, output, wanted, options, on_wait=show_waiting, on_step=on_step)
    show_result(
        answer,
        text=lambda: show_pruning(make_console(error=False), result),
        facts=lambda: pruning_json(result),
        allow_nan=False,
    )
    if figure is not None and result.compared:
        from spectra_cli.views.figures.prune import draw_pruning

        show_figure(draw_pruning(result, figure))
    return 0


def check_figure(path: str | None) -> None:
    """Raise SpectraError, code 2, before anything is read, where a figure was asked for that cannot be written.

    So does a figure for which nothing is installed that draws.
    """
    if path is not None:
        require_report()
        from spectra_cli.views.figures.save import suffix_of

        suffix_of(path)


def show_figure(drawn: str | None) -> None:
    """Print a figure that was drawn in characters; one that went into a file is not shown."""
    if drawn is not None:
        typer.echo(drawn)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Return what shows a line on how far a command is: on a terminal, each in place of the last; else nothing."""
    shown = not quiet and sys.stderr.isatty()

    def show(line: str) -> None:
        if shown:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        show("")


def evaluation_options(reading: TextReading, compute: Compute, hub: HubAccess) -> EvaluationOptions:
    """Return how models are evaluated. Raises SpectraError, code 2, for what can never be carried out."""
    from spectra_cli.jobs.evaluate import EvaluationOptions

    return EvaluationOptions(**vars(reading), device=compute.device, **vars(hub))
