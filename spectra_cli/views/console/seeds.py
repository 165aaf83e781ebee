"""What a study shows of pools: their sentences, a line a group, contrasts between pools; or all of it as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.studies.pools import Contrast, Pool
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.formatting import number
from spectra_cli.views.sentences.seeds import contrast_sentences, pool_head, pool_sentences


def show_pools(console: Console, pools: Sequence[Pool], contrasts: Sequence[Contrast]) -> None:
    """Print each pool's sentences and its groups of matrices, then the pools against the first."""
    for index, pool in enumerate(pools):
        if index:
            console.print()
        print_lines(console, pool_head(pool))
        for line in pool_sentences(pool):
            print_lines(console, line)
        if any(each.group != "all" for each in pool.numbers):
            print_lines(console, "\nmeans over seeds, with their 95% intervals")
            console.print(_groups(pool))
    if contrasts:
        if pools:
            console.print()
        console.print(f"against {printable(contrasts[0].against)}, with 95% intervals over seeds")
        for line in contrast_sentences(contrasts):
            print_lines(console, line)
        others = [each for each in contrasts if each.group != "all"]
        if others:
            console.print()
            console.print(_contrasts(others))


def _groups(pool: Pool) -> PlainTable:
    numbers = [each for each in pool.numbers if each.group != "all"]
    names = {each.quantity for each in numbers}
    quantities = list(dict.fromkeys(each.quantity for each in pool.numbers if each.quantity in names))
    table = PlainTable("", *map(_header, quantities))
    for group in dict.fromkeys(each.group for each in numbers):
        cells = [_cell(pool, group, quantity) for quantity in quantities]
        table.add_row(printable(group), *cells)
    return table


def _header(quantity: str) -> str:
    return quantity.replace("_", "\n", 1).replace("_", " ")


def _cell(pool: Pool, group: str, quantity: str) -> str:
    each = pool.number(group, quantity)
    if each is None:
        return "–"
    span = f" ({number(each.interval[0], 2)} … {number(each.interval[1], 2)})" if each.interval else ""
    known = sum(value is not None for value in each.values)
    few = "" if known == len(pool.runs) else f", {known} of {len(pool.runs)}"
    return f"{number(each.mean, 2)}{span}{few}"


def _contrasts(contrasts: Sequence[Contrast]) -> PlainTable:
    quantities = list(dict.fromkeys(each.quantity for each in contrasts))
    table = PlainTable("", "", *map(_header, quantities))
    lines: dict[tuple[str, str], dict[str, Contrast]] = {}
    for each in contrasts:
        lines.setdefault((each.label, each.group), {})[each.quantity] = each
    for (label, group), cells in lines.items():
        table.add_row(printable(label), printable(group), *(_contrast(cells.get(name)) for name in quantities))
    return table


def _contrast(each: Contrast | None) -> str:
    if each is None:
        return "–"
    sign = "× " if each.geometric else ""
    span = f" ({number(each.interval[0], 2)} … {number(each.interval[1], 2)})" if each.interval else ""
    return f"{sign}{number(each.value, 2)}{span}"


def pools_json(pools: Sequence[Pool], contrasts: Sequence[Contrast]) -> dict[str, Any]:
    """Return pools and contrasts as json.dumps takes them."""
    return {
        "pools": [
            {
                **asdict(pool),
                "agreements": [{**asdict(each), "counts": each.counts} for each in pool.agreements],
                "findings": pool_sentences(pool),
            }
            for pool in pools
        ],
        "contrasts": [{**asdict(each), "clear": each.clear} for each in contrasts],
    }
