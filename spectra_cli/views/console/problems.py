"""What went wrong, in two lines each, and what is waited for: on standard error. Loads nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectra_cli.errors import printable

if TYPE_CHECKING:
    from spectra_cli.records import Problem

MOST_PROBLEMS = 12


def show_error(message: str, hint: str) -> None:
    """Print on standard error what happened and what to do, in two lines."""
    print(f"spectra: {printable(message, 400)}\n  {printable(hint, 400)}", file=sys.stderr)


def show_problems(problems: Sequence[Problem]) -> None:
    """Print what could not be read while the rest was; after MOST_PROBLEMS, how many more."""
    for problem in problems[:MOST_PROBLEMS]:
        show_error(problem.message, problem.hint)
    if len(problems) > MOST_PROBLEMS:
        show_error(f"… and {len(problems) - MOST_PROBLEMS} more", "the table's metadata names all of them")


def show_waiting(words: str) -> None:
    """Print on standard error what is waited for."""
    print(f"spectra: {printable(words, 400)}", file=sys.stderr, flush=True)
