"""The commands that run a language model on text: evaluate."""

from __future__ import annotations

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


def evaluation_options(reading: TextReading, compute: Compute, hub: HubAccess) -> EvaluationOptions:
    """Return how models are evaluated. Raises SpectraError, code 2, for what can never be carried out."""
    from spectra_cli.jobs.evaluate import EvaluationOptions

    return EvaluationOptions(**vars(reading), device=compute.device, **vars(hub))
