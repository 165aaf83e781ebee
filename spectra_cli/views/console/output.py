"""Consoles and tables that take names as they are: no markup, no colour, no lines."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 160


def make_console(*, error: bool) -> Console:
    """Return a console that takes no markup from names, and is PIPE_WIDTH wide where there is no terminal."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=width)


def plain_table(*headers: str) -> Table:
    """Return a table without lines whose columns shrink to the terminal: cells are folded, so no digit is lost."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
