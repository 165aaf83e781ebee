"""What `spectra evaluate` shows: a line a model, and how they differ on the same blocks."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.evaluation.estimates import Estimate
from spectra_cli.jobs.evaluate import Difference, Evaluation
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import count

GAIN = 2.0  # standard errors of a paired difference, below which nothing is claimed


def with_error(estimate: Estimate, *, signed: bool = False) -> str:
    """Return a value with its standard error, to the digits that the error leaves.

    >>> with_error(Estimate(1.70312, 0.00214)), with_error(Estimate(-0.0021, 0.0009), signed=True)
    ('1.7031 ± 0.0021', '−0.0021 ± 0.0009')
    """
    text = f"{estimate.value:+.4f}" if signed else f"{estimate.value:.4f}"
    return f"{text.replace('-', '−')} ± {estimate.stderr:.4f}"


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print what was read, the losses and their differences, and how to run a suite of benchmarks."""
    windows = evaluation.models[0].windows
    print_lines(
        console,
        f"{printable(evaluation.text.name)} · {len(evaluation.text.data):,} bytes in {evaluation.text.blocks} blocks · "
        f"context {windows.context:,}, stride {windows.stride:,} · {evaluation.device}, {evaluation.dtype}",
    )
    table = PlainTable("model", "tokens", "loss per token", "bits per byte", least=["tokens"])
    for model in evaluation.models:
        scored = f"{int(model.losses.tokens.sum()):,}"
        table.add_row(printable(model.model), scored, with_error(model.loss), with_error(model.bits_per_byte))
    console.print(table)
    for line in _sentences(evaluation):
        print_lines(console, line)
    for model in evaluation.models:
        if model.lm_eval:
            console.print(f"next: {printable(model.lm_eval, 1000)}", soft_wrap=True)


def _sentences(evaluation: Evaluation) -> list[str]:
    lines = [_compared(difference) for difference in evaluation.differences]
    begun = [printable(model.model) for model in evaluation.models if model.tokens.start]
    if begun:
        lines.append(f"Every window begins with the tokenizer's own mark of a beginning: {', '.join(begun)}.")
    without = sum(not model.lm_eval for model in evaluation.models)
    if without:
        lines.append(f"No line for lm_eval: {count(without, 'model')} without a tokenizer, or no folder that it loads.")
    return lines


def _compared(difference: Difference) -> str:
    clear = "" if difference.difference.beyond(GAIN) else f", which is within {GAIN:.0f} standard errors of none"
    return (
        f"{printable(difference.model)} against {printable(difference.against)}: "
        f"{with_error(difference.difference, signed=True)} {difference.unit}, paired{clear}."
    )


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    return {
        "models": [
            {
                "model": model.model,
                "loss": model.loss.value,
                "stderr": model.loss.stderr,
                "bits_per_byte": model.bits_per_byte.value,
                "tokens": int(model.losses.tokens.sum()),
                "context": model.windows.context,
                "stride": model.windows.stride,
            }
            for model in evaluation.models
        ],
        "differences": [
            {
                "model": difference.model,
                "against": difference.against,
                "unit": difference.unit,
                "difference": difference.difference.value,
                "stderr": difference.difference.stderr,
            }
            for difference in evaluation.differences
        ],
    }
