"""Says in a line or two what a look at a table found. What is wrong is told elsewhere, as errors are."""

from __future__ import annotations

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.jobs.verify import Verified
from spectra_cli.views.formatting import count, number


def show_verified(console: Console, found: Verified) -> None:
    """Print what was checked, and what of it was computed again."""
    sizes = (
        count(found.checkpoints, "checkpoint"),
        count(found.matrices, "matrix", "matrices"),
        count(found.rows, "row"),
    )
    sound = "schema, checksums, completeness, ranges and inequalities hold"
    wrong = count(len(found.findings), "finding")
    verdict = sound if not found.findings or found.recomputed else wrong
    console.print(f"{printable(found.path)} · {' · '.join(sizes)} · {verdict}", soft_wrap=True)
    if found.recomputed:
        largest = max(one.largest for one in found.recomputed)
        numbers = sum(one.numbers for one in found.recomputed)
        same = "all the same to the last bit" if largest == 0 else f"the largest difference is {number(largest)}"
        computed = count(len(found.recomputed), "matrix", "matrices")
        console.print(f"{computed} computed again · {count(numbers, 'number')}, {same}", soft_wrap=True)
