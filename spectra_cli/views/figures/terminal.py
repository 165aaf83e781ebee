"""Draws a figure's panels in characters, for people on a server. Knows plotext, and no chart."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.views.figures.figure import Panel
from spectra_cli.views.formatting import number

SPARE = "x+*#@%&=~^123456789abc"
TICKS = 5
HEIGHT = 20
WIDEST = 110


def draw(panels: Sequence[Panel]) -> str:
    """Draw panels one below the other, as wide as the terminal. Each series has a character of its own.

    In colour only where standard output is a terminal, so that a pipe or a file gets plain text.
    """
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, HEIGHT)).columns)
    return "\n\n".join(_panel(panel, width) for panel in panels)


def _panel(panel: Panel, width: int) -> str:
    import plotext

    frame = panel.frame[np.isfinite(panel.frame["y"])]
    xs, ys = frame["x"].to_numpy(float), frame["y"].to_numpy(float)
    shift = 1.0 if panel.log_x and len(xs) and xs.min() <= 0 else 0.0
    marks: dict[str, str] = {}
    figure: Any = plotext.figure
    figure.clear()
    figure.plot_size(width, HEIGHT)
    figure.canvas("default")
    for series, lines in frame.groupby("series", sort=False):
        marks[str(series)] = _marker(str(series), set(marks.values()))
        points = (_scaled(lines["x"], panel.log_x, shift), _scaled(lines["y"], panel.log_y))
        signal = figure.signal(*(values.tolist() for values in points), marker=marks[str(series)])
        signal.lines()
        figure.draw(signal)
    if len(frame):
        _ruler(figure, "x", xs, panel.log_x, shift)
        _ruler(figure, "y", ys, panel.log_y)
    drawn: str = str(figure.build())
    if not sys.stdout.isatty():
        drawn = str(plotext.uncolorize(drawn))
    scales = " and ".join(axis for axis, log in ((panel.x, panel.log_x), (panel.y, panel.log_y)) if log)
    legend = "   ".join(f"{mark} {series}" for series, mark in marks.items())
    note = f"logarithmic: {scales}{' (+1)' if shift else ''}" if scales else ""
    parts: list[str] = [panel.title, drawn.rstrip("\n"), legend, note]
    return "\n".join(part for part in parts if part)


def _marker(series: str, taken: set[str]) -> str:
    first = series[:1] if series in ("q", "k", "v", "o", "gate", "up", "down", "embed", "spectra", "weights") else ""
    free = [mark for mark in (first, *SPARE) if mark and mark not in taken]
    return free[0] if free else "·"


def _scaled(values: Any, log: bool, shift: float = 0.0) -> NDArray[np.float64]:
    plain: NDArray[np.float64] = np.asarray(values, float)
    return np.log10(plain + shift) if log else plain


def _ruler(figure: Any, axis: str, values: NDArray[np.float64], log: bool, shift: float = 0.0) -> None:
    """Put ticks that show the quantity itself, not its logarithm."""
    scaled = _scaled(values, log, shift)
    ticks = np.unique(np.linspace(scaled.min(), scaled.max(), TICKS))
    shown = 10**ticks - shift if log else ticks
    whole = axis == "x" and bool(np.all(values == np.round(values)))
    labels = [f"{round(value):,}" if whole else number(float(value), 2) for value in shown]
    figure.ruler(axis).ticks(ticks.tolist(), labels)
