"""Figures in characters: heat maps in half blocks, ticks that name what there is, colours that a background spares."""

import re

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from spectra_cli.views.figures.figure import Grid, Panel
from spectra_cli.views.figures.half_blocks import draw_grid
from spectra_cli.views.figures.terminal import COLOURS, draw

LOW, MIDDLE, HIGH = "#440154", "#21918c", "#fde725"


def grid(values, **more):
    rows, columns = np.shape(values)
    names = tuple(f"{row}" for row in range(rows)), tuple(f"{10 * column}" for column in range(columns))
    return Grid("a title", "step", "layer", np.asarray(values, float), *names, **more)


def looks(text):
    """The character and the style at each place of the map's lines."""
    lines = []
    for line in text.split("\n")[1:]:
        styles = {place: str(span.style) for span in line.spans for place in range(span.start, span.end)}
        lines.append([(character, styles.get(place, "")) for place, character in enumerate(line.plain)])
    return lines


def test_a_character_holds_two_cells_the_first_row_lowest():
    values = np.zeros((30, 2))
    values[1], values[0] = 1.0, 0.5  # the two lowest rows, in the last line of 15
    drawn = looks(draw_grid(grid(values), 40, coloured=True))
    assert drawn[14][20] == ("▀", f"{HIGH} on {MIDDLE}")
    assert drawn[13][20] == ("▀", f"{LOW} on {LOW}")


def test_few_rows_are_stretched_and_named_in_their_middle():
    drawn = draw_grid(grid([[0, 1], [1, 0], [0, 1]]), 40, coloured=True).plain.split("\n")
    assert [line.split()[0] for line in drawn[1:14] if line[:6].strip()] == ["2", "1", "0", "layer"]


def test_without_colours_shades_tell_low_from_high_and_what_is_missing_is_a_dot():
    drawn = draw_grid(grid([[0, 0.5, 1, np.nan]]), 10, coloured=False).plain.split("\n")
    assert drawn[1].split()[-1] == "░▓█·"


@pytest.mark.parametrize("values", [[[1, np.inf, 2]], [[np.nan, np.nan, np.inf]]])
def test_what_is_not_finite_is_missing_and_scales_nothing(values):
    drawn = draw_grid(grid(values), 9, coloured=False).plain.split("\n")
    assert drawn[1].split()[-1] == "".join("░█"[int(value - 1)] if np.isfinite(value) else "·" for value in values[0])


def test_a_wide_quantity_is_coloured_by_its_logarithm_and_says_so():
    text = draw_grid(grid([[1, 100, 10_000]], log=True), 40, coloured=True)
    assert looks(text)[0][20] == ("▀", f"{MIDDLE} on {MIDDLE}")
    assert "logarithmic" in text.plain


def test_marks_lie_in_their_row_between_the_columns():
    text = draw_grid(grid(np.zeros((2, 3)), marks=np.array([0.5, np.nan]), legend="half"), 36, coloured=False)
    lines = text.plain.split("\n")
    marked = [number for number, line in enumerate(lines[1:13]) if "●" in line]
    assert marked == [8]  # the middle of the lower row
    assert lines[9].index("●") == 6 + 10
    assert lines[-1].split() == ["half"]


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("shape", [(1, 1), (6, 14), (48, 154), (3, 400)])
def test_no_line_is_wider_than_the_terminal_and_every_name_is_one_of_the_grid(width, shape):
    given = grid(np.arange(np.prod(shape)).reshape(shape))
    drawn = draw_grid(given, width, coloured=True).plain.split("\n")
    assert max(map(cell_len, drawn)) <= width
    axis = next(line for line in drawn if line.startswith("layer"))
    assert set(axis.split()[1:]) <= set(given.columns)
    assert {line[:6].strip() for line in drawn[1 : drawn.index(axis)]} - {""} <= set(given.rows)
    assert (shape[1] > width - 6) == ("are not drawn" in " ".join(" ".join(drawn).split()))


def test_ticks_name_layers_and_steps_that_exist(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    layers = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    drawn = draw([Panel("t", "layer", "y", pd.DataFrame({"x": layers, "y": np.linspace(3, 4, 10), "series": "q"}))])
    ticks = next(line for line in reversed(drawn.split("\n")) if re.fullmatch(r"[\d ]+", line))
    assert set(map(int, ticks.split())) <= set(layers)
    assert len(ticks.split()) == 5


def test_a_quantity_has_ticks_at_round_numbers(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [0.031, 0.2, 0.38], "series": "q"})
    drawn = draw([Panel("t", "layer", "y", frame)])
    assert re.findall(r"^ *([\d.]+)┤", drawn, re.MULTILINE) == ["0.30", "0.20", "0.10"]


def test_no_colour_is_one_that_a_light_or_a_dark_terminal_hides():
    assert not {"black", "white", "yellow", "bright_black", "bright_white", "bright_yellow"} & set(COLOURS)
