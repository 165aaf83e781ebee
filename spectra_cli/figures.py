"""Figures in Python: `trajectory(tables)` and a function for each other kind of `spectra plot` return Altair charts.

A notebook shows such a chart, and it can be changed like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from spectra_cli.errors import require_report
from spectra_cli.views.figures.colours import theme
from spectra_cli.views.figures.figure import Chart, Kind
from spectra_cli.views.figures.kinds import KINDS
from spectra_cli.views.figures.plot import Choice, read_runs

Tables = str | PathLike[str] | Sequence[str | PathLike[str]]


class Choices(TypedDict, total=False):
    """The fields of Choice, as keyword arguments."""

    metric: str | None
    roles: Sequence[str]
    match: str | None
    steps: Sequence[int]
    losses: Sequence[str]
    loss_columns: Mapping[str, str] | None
    labels: Sequence[str] | None
    seeds: bool


class Draw(Protocol):
    """A function that draws one kind of figure of tables."""

    def __call__(self, tables: Tables, **choices: Unpack[Choices]) -> Chart:
        """Return the figure as a chart."""


def __getattr__(name: str) -> Draw:
    """Return the function that draws a kind (PEP 562)."""
    for kind in KINDS:
        if kind.name == name:
            return _function(kind)
    raise AttributeError(f"there is no kind of figure {name!r}: they are {', '.join(__dir__())}")


def __dir__() -> list[str]:
    """Return the kinds."""
    return [kind.name for kind in KINDS]


def _function(kind: Kind) -> Draw:
    def draw(tables: Tables, **choices: Unpack[Choices]) -> Chart:
        require_report()
        choice = Choice(**choices)
        options = choice.options(kind)
        paths = [Path(table) for table in ([tables] if isinstance(tables, str | PathLike) else tables)]
        return kind.draw(read_runs(paths, kind, choice), options).configure(**theme())

    draw.__name__ = draw.__qualname__ = kind.name
    draw.__doc__ = f"""{kind.shows}

    tables: one table, or several, by path or as `read_table` returns them. choices, as for `spectra plot`: metric,
    roles, match, steps, losses (a file for each table), loss_columns, labels. Returns an Altair chart. Raises
    SpectraError where a table does not hold what the figure needs, a choice fits nothing, or Altair is not installed.
    """
    return draw
