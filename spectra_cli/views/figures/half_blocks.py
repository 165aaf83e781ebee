"""Draws a heat map in half blocks, two cells to a character; in shades where there are no colours. Knows no figure."""

from __future__ import annotations

import math
import textwrap
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from spectra_cli.views.figures.colours import ANCHORS
from spectra_cli.views.figures.figure import Grid
from spectra_cli.views.formatting import number

HEIGHT = 12  # lines, where the rows are no more
SHADES = "░▒▓█"
MISSING = "·"
MARK = "●"
LIGHT = 0.6  # the share from which on black is seen better than white
SCALE = 24  # characters of the scale beneath, where there is room
EVERY = (1, 2, 5, 10, 20, 50, 100)


def draw_grid(grid: Grid, width: int, *, coloured: bool) -> Text:
    """Return a heat map with its title, axes and scale, no wider than `width`.

    Of more columns than fit, evenly spaced ones are drawn, and the text says so.
    """
    margin = max(len(name) for name in (*grid.rows, grid.y)) + 1
    shown = np.unique(np.linspace(0, len(grid.columns) - 1, width - margin).round().astype(int))
    wide = max(1, (width - margin) // len(shown))
    times = max(1, 2 * HEIGHT // len(grid.rows)) if coloured else 2 * max(1, HEIGHT // len(grid.rows))
    image = np.repeat(_shares(grid)[::-1, shown], times, axis=0)
    lines = [(grid.rows[row], _line_of(grid, row, times)) for row in range(len(grid.rows))]
    every = next(step for step in EVERY if step * times >= 2)
    names = {line: name for name, line in lines[::every]}
    marks = _marks(grid, shown, wide, times)
    drawn = Text(f"{grid.title}\n")
    for line, (upper, lower) in enumerate(zip_longest(image[::2], image[1::2], fillvalue=np.full(len(shown), np.nan))):
        drawn.append(f"{names.get(line, ''):>{margin - 1}} ")
        for column in range(len(shown) * wide):
            pair = upper[column // wide], lower[column // wide]
            drawn.append(*(_mark if (line, column) in marks else _cells)(*pair, coloured=coloured))
        drawn.append("\n")
    drawn.append(_axis(grid, shown, wide, margin))
    drawn.append_text(_scale(grid, width, margin, coloured=coloured))
    notes = f"{grid.x}: {_notes(grid, left_out=len(grid.columns) - len(shown))}"
    return drawn.append(textwrap.indent(textwrap.fill(notes, width - margin), " " * margin))


def _shares(grid: Grid) -> NDArray[np.float64]:
    """Return where each value lies between the least, 0, and the largest, 1."""
    values = np.where(np.isfinite(grid.values), grid.values, np.nan)
    low, high = _ends(grid)
    if grid.log:
        values, low, high = np.log(values), math.log(low), math.log(high)
    shares: NDArray[np.float64] = (values - low) / (high - low) if high > low else values - low
    return shares


def _ends(grid: Grid) -> tuple[float, float]:
    """Return the least and the largest value that is finite; zeros where there is none."""
    finite = grid.values[np.isfinite(grid.values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _line_of(grid: Grid, row: int, times: int) -> int:
    """Return the line of text in which the middle of a row lies; the first row is the lowest."""
    return ((len(grid.rows) - 1 - row) * times + (times - 1) // 2) // 2


def _marks(grid: Grid, shown: NDArray[np.int64], wide: int, times: int) -> set[tuple[int, int]]:
    """Return line and column of text of each mark."""
    if grid.marks is None:
        return set()
    places = (np.interp(grid.marks, shown, np.arange(len(shown))) + 0.5) * wide
    return {(_line_of(grid, row, times), int(at)) for row, at in enumerate(places) if math.isfinite(at)}


def _cells(upper: float, lower: float, *, coloured: bool) -> tuple[str, str]:
    """Return the character and the style of two cells, one above the other."""
    if not coloured:
        value = upper if math.isfinite(upper) else lower
        return (SHADES[min(len(SHADES) - 1, int(value * len(SHADES)))] if math.isfinite(value) else MISSING), ""
    if not math.isfinite(upper):
        return ("▄", _colour(lower)) if math.isfinite(lower) else (MISSING, "")
    return "▀", f"{_colour(upper)} on {_colour(lower) if math.isfinite(lower) else 'default'}"


def _mark(upper: float, lower: float, *, coloured: bool) -> tuple[str, str]:
    """Return a mark in place of two cells, on the colour of one of them."""
    value = upper if math.isfinite(upper) else lower
    if not coloured or not math.isfinite(value):
        return MARK, ""
    return MARK, f"bold {'#000000' if value > LIGHT else '#ffffff'} on {_colour(value)}"


def _colour(share: float) -> str:
    """Return the colour of a share.

    >>> _colour(0.0), _colour(1.0)
    ('#440154', '#fde725')
    """
    at = share * (len(ANCHORS) - 1)
    low = min(int(at), len(ANCHORS) - 2)
    ends = ([ANCHORS[index] >> shift & 255 for shift in (16, 8, 0)] for index in (low, low + 1))
    mixed = (round(first + (at - low) * (second - first)) for first, second in zip(*ends, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _axis(grid: Grid, shown: NDArray[np.int64], wide: int, margin: int) -> str:
    """Return a line with the names of the columns for which there is room, each where its column begins."""
    line = f"{grid.y:>{margin - 1}} "
    for column, index in enumerate(shown):
        name, at = grid.columns[index], margin + column * wide
        if at >= len(line) + (column > 0) and at + len(name) <= margin + len(shown) * wide:
            line = line.ljust(at) + name
    return f"{line}\n"


def _scale(grid: Grid, width: int, margin: int, *, coloured: bool) -> Text:
    """Return a line that says which values the colours stand for."""
    low, high = _ends(grid)
    bar = Text(f"{'':>{margin}}{number(low)} ")
    for share in np.linspace(0, 1, min(SCALE, max(2, (width - margin) // 3))):
        bar.append(*_cells(share, share, coloured=coloured))
    return bar.append(f" {number(high)}{', logarithmic' if grid.log else ''}\n")


def _notes(grid: Grid, *, left_out: int) -> str:
    """Return what else is to be value."""
    notes = [f"each column is a {'checkpoint' if grid.x == 'step' else grid.x}, not to scale"]
    notes += [f"{left_out} checkpoints are not drawn"] * (left_out > 0)
    notes += [f"{MARK} {grid.legend}"] * (grid.marks is not None)
    return "; ".join(notes)
