"""Draws a figure's panels in characters, for people on a server. Knows plotext, and no chart."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from spectra_cli.views.figures.axes import round_ticks
from spectra_cli.views.figures.figure import Grid, Panel
from spectra_cli.views.figures.half_blocks import draw_grid
from spectra_cli.views.formatting import number

SPARE = "x+*#@%&=~^123456789abc"
COLOURS = ("blue", "red", "green", "magenta", "cyan")  # of the terminal's own; what a light or dark one hides is not in
TICKS = 5
HEIGHT = 20
WIDEST = 110


def draw(panels: Sequence[Panel | Grid]) -> str:
    """Draw panels one below the other, as wide as the terminal. Each series has a character of its own.

    In colour only where standard output is a terminal that has some, so that a pipe or a file gets plain text.
    """
    console = Console(file=sys.stdout, highlight=False)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    coloured = console.color_system is not None and not console.no_color
    with console.capture() as capture:
        for index, panel in enumerate(panels):
            drawn = draw_grid(panel, width, coloured=coloured) if isinstance(panel, Grid) else _panel(panel, width)
            console.print("\n" * (index > 0), drawn, sep="", soft_wrap=True)
    return capture.get().rstrip("\n")


def _panel(panel: Panel, width: int) -> Text:
    import plotext

    frame = panel.frame[np.isfinite(panel.frame["y"])]
    shift = 1.0 if panel.log_x and len(frame) and frame["x"].min() <= 0 else 0.0
    marks: dict[str, str] = {}
    figure: Any = plotext.figure
    figure.clear()
    figure.plot_size(width, HEIGHT)
    for series, lines in frame.groupby("series", sort=False):
        marks[str(series)] = _marker(str(series), set(marks.values()))
        points = (_scaled(lines["x"], panel.log_x, shift), _scaled(lines["y"], panel.log_y))
        signal = figure.signal(*(values.tolist() for values in points), marker=marks[str(series)])
        signal.lines()
        figure.draw(signal)
    if len(frame):
        _ruler(figure, "x", _present(frame["x"], panel.log_x, shift), panel.log_x, shift)
        _ruler(figure, "y", round_ticks(frame["y"].tolist(), log=panel.log_y), panel.log_y)
    plain = str(plotext.uncolorize(str(figure.build()))).rstrip("\n")
    scales = " and ".join(axis for axis, log in ((panel.x, panel.log_x), (panel.y, panel.log_y)) if log)
    note = f"\nlogarithmic: {scales}{' (+1)' if shift else ''}" if scales else ""
    return Text.assemble(f"{panel.title}\n", _coloured(plain, marks), "\n", _legend(marks), note)


def _coloured(plain: str, marks: dict[str, str]) -> Text:
    """Colour each series' characters inside the frame."""
    text = Text(plain)
    styles = {mark: _style(index) for index, mark in enumerate(marks.values())}
    start = 0
    for line in plain.split("\n"):
        begin = line.find("┤") if "┤" in line else line.find("│")
        for at in range(begin + 1, max(0, line.rfind("│"))):
            if line[at] in styles:
                text.stylize(styles[line[at]], start + at, start + at + 1)
        start += len(line) + 1
    return text


def _legend(marks: dict[str, str]) -> Text:
    entries = [Text.assemble((mark, _style(index)), f" {series}") for index, (series, mark) in enumerate(marks.items())]
    return Text("   ").join(entries)


def _style(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _marker(series: str, taken: set[str]) -> str:
    first = series[:1] if series in ("q", "k", "v", "o", "gate", "up", "down", "embed", "spectra", "weights") else ""
    free = [mark for mark in (first, *SPARE) if mark and mark not in taken]
    return free[0] if free else "·"


def _scaled(values: Any, log: bool, shift: float = 0.0) -> NDArray[np.float64]:
    plain: NDArray[np.float64] = np.asarray(values, float)
    return np.log10(plain + shift) if log else plain


def _present(values: Any, log: bool, shift: float) -> list[float]:
    """Return a few of the values, as evenly spaced as there are: a tick names nothing that is not there."""
    there = np.unique(np.asarray(values, float))
    scaled = _scaled(there, log, shift)
    wanted = np.linspace(scaled[0], scaled[-1], TICKS)
    chosen: list[float] = there[np.unique(np.abs(scaled[:, None] - wanted).argmin(axis=0))].tolist()
    return chosen


def _ruler(figure: Any, axis: str, values: Sequence[float], log: bool, shift: float = 0.0) -> None:
    """Put ticks that show the quantity itself, not its logarithm."""
    whole = all(value == round(value) for value in values)
    labels = [f"{round(value):,}" if whole else number(value, 2) for value in values]
    figure.ruler(axis).ticks(_scaled(values, log, shift).tolist(), labels)
