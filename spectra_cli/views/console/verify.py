"""What `spectra verify` shows: a line or two on what was checked. What is wrong is shown as errors are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.jobs.verify import Verified
from spectra_cli.views.console.output import print_lines
from spectra_cli.views.formatting import count, number


def show_verified(console: Console, verified: Verified) -> None:
    """Print what was checked, and what of it was computed again."""
    sizes = (
        count(verified.checkpoints, "checkpoint"),
        count(verified.matrices, "matrix", "matrices"),
        count(verified.rows, "row"),
    )
    sound = "schema, checksums, completeness, ranges and inequalities hold"
    wrong = count(len(verified.findings), "finding")
    verdict = sound if not verified.findings or verified.recomputed else wrong
    print_lines(console, f"{printable(verified.path)} · {' · '.join(sizes)} · {verdict}")
    if verified.recomputed:
        largest = max(again.largest for again in verified.recomputed)
        numbers = sum(again.numbers for again in verified.recomputed)
        same = "all the same to the last bit" if largest == 0 else f"the largest difference is {number(largest)}"
        computed = count(len(verified.recomputed), "matrix", "matrices")
        print_lines(console, f"{computed} computed again · {count(numbers, 'number')}, {same}")


def verified_json(verified: Verified) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    return {**asdict(verified), "path": str(verified.path)}
