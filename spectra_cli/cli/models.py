"""The commands that run a language model on text: evaluate and ablate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import Answer, Compute, HubAccess
from spectra_cli.cli.show import show_result

if TYPE_CHECKING:
    from spectra_cli.jobs.evaluate import EvaluationOptions

TextFile = Annotated[
    str,
    typer.Option("--text", metavar="FILE", help="Plain text that the model was not trained on.", show_default=False),
]


@dataclass(frozen=True)
class TextReading:
    """How a model reads a text."""

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


ModelSource = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A checkpoint's folder or file, or hf:owner/name[@revision].", show_default=False
    ),
]
Protect = Annotated[
    str | None,
    typer.Option(
        "--protect", metavar="FIRST:LAST", help="Layers at both ends that are no core layers; a sixth each by default."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Device = Annotated[Compute, Fields(only=("device",))]


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="A checkpoint's folder or file, or hf:owner/name[@revision].", show_default=False
        ),
    ],
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
    from spectra_cli.views.figures.save import suffix_of

    if output is not None:
        suffix_of(output)
    ablation = ablate_layers(model, text, options, protect=protect, on_wait=show_waiting, on_layer=progress(quiet))
    show_result(
        answer,
        text=lambda: show_ablation(make_console(error=False), ablation),
        facts=lambda: ablation_json(ablation),
        allow_nan=False,
    )
    if output is not None:
        from spectra_cli.views.figures.ablate import draw_ablation

        if (drawn := draw_ablation(ablation, output)) is not None:
            typer.echo(drawn)
    return 0


def progress(quiet: bool) -> Callable[[str], None]:
    """Return what shows a line on how far a command is: on a terminal, each in place of the last; else nothing."""
    if quiet or not sys.stderr.isatty():
        return lambda _: None
    return lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def evaluation_options(reading: TextReading, compute: Compute, hub: HubAccess) -> EvaluationOptions:
    """Return how models are evaluated. Raises SpectraError, code 2, for what can never be carried out."""
    from spectra_cli.jobs.evaluate import EvaluationOptions

    return EvaluationOptions(**vars(reading), device=compute.device, **vars(hub))
