"""Consoles, lines and tables that take names as they are: no markup, no lines drawn, and no word broken."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 160
GAP = 2  # columns between those of a table


def make_console(*, error: bool) -> Console:
    """Return a console that takes no markup from names, and is PIPE_WIDTH wide where there is no terminal."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=width)


def print_lines(console: Console, text: str) -> None:
    """Print lines of prose, on a terminal broken between words. What is to be copied is printed by the console."""
    for line in text.split("\n"):
        pieces = [line]
        if console.is_terminal:
            pieces = textwrap.wrap(
                line, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
        console.print("\n".join(pieces), soft_wrap=True)


class PlainTable:
    """A table of texts without lines. Where the terminal is too narrow, whole columns are left out and named.

    headers: their lines are parted by line ends. least: headers in the order in which they are left out, the least
    important first; the others go after them, the last first. The first column stays. caption: below all.
    """

    def __init__(self, *headers: str, least: Sequence[str] = ()) -> None:
        """Prepare; rows are added one by one."""
        self.headers, self.caption = headers, ""
        self.rows: list[tuple[str, ...]] = []
        columns = range(len(headers) - 1, 0, -1)
        named = [index for header in least for index in columns if headers[index] == header]
        self.dropping = [*named, *(index for index in columns if index not in named)]

    def add_row(self, *cells: str) -> None:
        """Add a line; cells that are not given are empty."""
        self.rows.append(cells + ("",) * (len(self.headers) - len(cells)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the columns that fit."""
        shown, dropped = self._shown(options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for index in shown:
            table.add_column(self.headers[index], overflow="fold", no_wrap=len(shown) > 1)
        for row in self.rows:
            table.add_row(*(row[index] for index in shown))
        yield table
        if dropped:
            names = dict.fromkeys(" ".join(header.split()) for header in dropped)
            yield Text(f"left out at this width: {', '.join(filter(None, names))}", style="italic")
        if self.caption:
            yield self.caption

    def _shown(self, width: int) -> tuple[list[int], list[str]]:
        """Return the columns that fit, and the headers of the others."""
        shown, dropping = list(range(len(self.headers))), list(self.dropping)
        while dropping and sum(self._width(index) + GAP for index in shown) - GAP > width:
            shown.remove(dropping.pop(0))
        return shown, [header for index, header in enumerate(self.headers) if index not in shown]

    def _width(self, index: int) -> int:
        cells = (self.headers[index], *(row[index] for row in self.rows))
        return max(cell_len(line) for cell in cells for line in cell.split("\n"))
