"""Shows a result: as text for a person, or as one JSON object for a machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import typer

from spectra_cli.cli.options import Answer


def show_result(
    answer: Answer, *, text: Callable[[], None], facts: Callable[[], Mapping[str, Any]], allow_nan: bool = True
) -> None:
    """Print the facts as JSON on standard output where --json asks for it, the text otherwise.

    allow_nan: whether the facts may hold numbers that are not finite, which only some readers of JSON take.
    """
    if answer.as_json:
        typer.echo(json.dumps(facts(), allow_nan=allow_nan))
    else:
        text()
