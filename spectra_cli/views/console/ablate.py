"""What `spectra ablate` shows: a line a layer, the correlations, and what they show in sentences."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.jobs.ablate import Ablation
from spectra_cli.views.console.evaluate import with_error
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import number
from spectra_cli.views.sentences.ablate import NAMED, ablation_sentences, signed

SHOWN = ("alpha", "alpha_hill", "alpha_tail", "stable_rank", "block_influence")  # columns; JSON has all


def show_ablation(console: Console, ablation: Ablation) -> None:
    """Print the layers, the correlations and the findings."""
    print_lines(
        console,
        f"{printable(ablation.model)} · loss {with_error(ablation.loss)} per token · {len(ablation.layers)} layers, "
        f"{len(ablation.core)} of them core (* are not) · context {ablation.windows.context:,}, stride "
        f"{ablation.windows.stride:,} · {ablation.device}, {ablation.dtype}",
    )
    layers = PlainTable(
        "layer", "loss without it", *(NAMED[name] for name in SHOWN), least=[NAMED["alpha_tail"], NAMED["alpha_hill"]]
    )
    for layer in ablation.layers:
        name = str(layer.layer) if layer.core else f"{layer.layer} *"
        numbers = (number(layer.measures[metric]) for metric in SHOWN)
        layers.add_row(name, with_error(layer.rise, signed=True), *numbers)
    console.print(layers)
    console.print()
    table = PlainTable("metric", "ρ, core layers", "p", "corrected", "ρ, all layers", "p", "corrected", least=["p"])
    by_place = {(c.metric, c.layers): c for c in ablation.correlations}
    for metric, name in NAMED.items():
        pair = [by_place[metric, layers] for layers in ("core", "all")]
        table.add_row(name, *(cell for c in pair for cell in (signed(c.rho), _p(c.p), _p(c.corrected))))
    console.print(table)
    console.print()
    for line in ablation_sentences(ablation):
        print_lines(console, line)


def _p(value: float | None) -> str:
    return "–" if value is None else number(value, 2)


def ablation_json(ablation: Ablation) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes; what is not defined is null."""
    return {
        "layers": [
            {
                "layer": layer.layer,
                "loss_rise": _finite(layer.rise.value),
                "stderr": _finite(layer.rise.stderr),
                **{name: _finite(value) for name, value in layer.measures.items()},
                "core": layer.core,
            }
            for layer in ablation.layers
        ],
        "rho": [
            {"metric": c.metric, "layers": c.layers, "rho": c.rho, "p": c.p, "corrected": c.corrected, "n": c.n}
            for c in ablation.correlations
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
