"""What `spectra scaling` shows: a line a model, and the power laws in sentences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.scaling import Scaling
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import number
from spectra_cli.views.sentences.scaling import scaling_sentences


def show_scaling(console: Console, scaling: Scaling) -> None:
    """Print the models and the fits."""
    table = PlainTable(
        "model", "family", "layers", "parameters", f"{scaling.alpha}, extremes", f"Δ{scaling.alpha}", "deviation",
        "peak at depth", "wave's velocity", least=["wave's velocity", "family"],
    )  # fmt: skip
    for model in scaling.models:
        peak = number(model.peak, 2) if model.peak is not None else "–"
        wave = number(model.velocity, 2) if model.velocity is not None else "–"
        extremes = " … ".join(number(end, 3) for end in model.extremes)
        spreads = number(model.spread, 3), number(model.deviation, 3)
        size = str(model.layers), f"{model.parameters:,}"
        table.add_row(printable(model.label), printable(model.family) or "–", *size, extremes, *spreads, peak, wave)
    console.print(table)
    console.print()
    for line in scaling_sentences(scaling):
        print_lines(console, line)


def scaling_json(scaling: Scaling) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    spreads = [
        {"spread": model.spread, "deviation": model.deviation, "extremes": model.extremes} for model in scaling.models
    ]
    facts = asdict(scaling)
    models = [{**model, **spread} for model, spread in zip(facts["models"], spreads, strict=True)]
    return {**facts, "models": models, "findings": scaling_sentences(scaling)}
