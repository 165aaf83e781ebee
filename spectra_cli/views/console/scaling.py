"""What `spectra scaling` shows: a line a model, and the power laws in sentences."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle.fits import CHANCE
from spectra_cli.studies.scaling import PowerLaw, Scaling
from spectra_cli.views.console.screen import plain_table
from spectra_cli.views.formatting import number


def show_scaling(console: Console, found: Scaling) -> None:
    """Print the models and the fits."""
    table = plain_table("model", "layers", "parameters", f"Δ{found.alpha}", "peak at depth")
    for one in found.models:
        peak = number(one.peak, 2) if one.peak is not None else "–"
        table.add_row(printable(one.label), str(one.layers), f"{one.parameters:,}", number(one.spread, 3), peak)
    console.print(table)
    console.print()
    for line in _sentences(found):
        console.print(line, soft_wrap=not console.is_terminal)


def law_sentence(law: PowerLaw) -> str:
    """Say one power law, whether it is sure, and what it rests on."""
    low, high = law.interval
    of = printable(law.of[:1].upper() + law.of[1:])
    way = "grows" if law.exponent > 0 else "falls"
    verdict = f"{way} with {law.on}" if law.p < CHANCE else f"is not shown to change with {law.on}"
    return (
        f"{of} {verdict}: the power is {number(law.exponent, 2)} (95%: {number(low, 2)} … "
        f"{number(high, 2)}; p = {number(law.p, 2)}; R² {number(law.r2, 2)} over {law.n} models, in the sample; a "
        f"model left out is predicted within {100 * law.left_out:.0f}%)."
    )


def _sentences(found: Scaling) -> list[str]:
    tests = f"{found.tests} tests were made; every p is corrected for the others (Benjamini–Hochberg)."
    return [*(law_sentence(law) for law in found.laws), tests]


def scaling_json(found: Scaling) -> dict[str, Any]:
    """Give everything as one object that json.dumps takes."""
    return {**asdict(found), "findings": _sentences(found)}
