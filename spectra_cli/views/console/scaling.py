"""What `spectra scaling` shows: a line a model, and the power laws in sentences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.scaling import Scaling
from spectra_cli.views.console.plain import plain_table
from spectra_cli.views.formatting import number
from spectra_cli.views.sentences.scaling import scaling_sentences


def show_scaling(console: Console, found: Scaling) -> None:
    """Print the models and the fits."""
    table = plain_table("model", "layers", "parameters", f"Δ{found.alpha}", "peak at depth")
    for one in found.models:
        peak = number(one.peak, 2) if one.peak is not None else "–"
        table.add_row(printable(one.label), str(one.layers), f"{one.parameters:,}", number(one.spread, 3), peak)
    console.print(table)
    console.print()
    for line in scaling_sentences(found):
        console.print(line, soft_wrap=not console.is_terminal)


def scaling_json(found: Scaling) -> dict[str, Any]:
    """Give everything as one object that json.dumps takes."""
    return {**asdict(found), "findings": scaling_sentences(found)}
