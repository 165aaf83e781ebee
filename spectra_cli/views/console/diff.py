"""What `spectra diff` shows: a line a matrix, biggest movers first; or all of it as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import count, number

if TYPE_CHECKING:
    from spectra_cli.jobs.diff import Diff

FEW = 12
PAIRS = (
    ("sd_variation_final", "SD variation", 3),
    ("cos_spectrum_final", "cos spectra", 4),
    ("cos_weights_final", "cos weights", 4),
)
SINGLES = (
    ("frobenius_norm", "‖W‖_F", 3),
    ("stable_rank", "stable rank", 3),
    ("entropy", "entropy", 3),
    ("alpha", "α", 2),
)


def movers(diff: Diff) -> list[tuple[str, dict[str, float], dict[str, float]]]:
    """Return each matrix of both with its numbers in A and in B, biggest variation first."""
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    plain = diff.table.select(["revision", "matrix", "metric", "value"])
    half = plain.slice(0, diff.rows_of_a), plain.slice(diff.rows_of_a)
    for side, part in zip("ab", half, strict=True):
        for row in part.to_pylist():
            numbers.setdefault(row["matrix"], {"a": {}, "b": {}})[side][row["metric"]] = row["value"]
    both = [(name, sides["a"], sides["b"]) for name, sides in numbers.items() if sides["a"] and sides["b"]]

    def moved(entry: tuple[str, dict[str, float], dict[str, float]]) -> float:
        value = entry[1].get("sd_variation_final")
        return -value if value is not None and math.isfinite(value) else 0.0

    return sorted(both, key=moved)


def show_diff(console: Console, diff: Diff, *, everything: bool) -> None:
    """Print the headline, the table, and how many lines are left out."""
    lines = movers(diff)
    shown = lines if everything else lines[:FEW]
    same = "same shapes" if not diff.problems else "differences are named below"
    both = f"{count(len(lines), 'matrix', 'matrices')} in both, {same}"
    print_lines(console, f"{printable(diff.a.revision)} → {printable(diff.b.revision)} · {both}\n")
    console.print(_table(shown))
    if len(lines) > len(shown):
        print_lines(console, f"\n… {len(lines) - len(shown)} more; --all for every matrix, -o FILE for the table")


def _table(lines: list[tuple[str, dict[str, float], dict[str, float]]]) -> PlainTable:
    pairs = [entry for entry in PAIRS if any(entry[0] in a for _, a, _ in lines)]
    singles = [entry for entry in SINGLES if any(entry[0] in a for _, a, _ in lines)]
    table = PlainTable("matrix", *(title for _, title, _ in (*pairs, *singles)), least=["entropy", "‖W‖_F"])
    for name, a, b in lines:
        cells = [number(a.get(metric), digits) for metric, _, digits in pairs]
        for metric, _, digits in singles:
            cells.append(f"{number(a.get(metric), digits)} → {number(b.get(metric), digits)}")
        table.add_row(printable(name), *cells)
    return table


def diff_json(diff: Diff) -> dict[str, Any]:
    """Return the whole comparison as one object that json.dumps takes."""
    return {
        "matrices": [{"matrix": name, "a": a, "b": b} for name, a, b in movers(diff)],
        "problems": [asdict(problem) for problem in diff.problems],
    }
