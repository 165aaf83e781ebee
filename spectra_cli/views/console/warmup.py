"""What `spectra warmup` shows: what was written, and how near its spectra are to those that were wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.views.console.output import print_lines
from spectra_cli.views.formatting import count, number, size

if TYPE_CHECKING:
    from spectra_cli.jobs.warmup import Warmup


def show_warmup(console: Console, warmup: Warmup) -> None:
    """Print the folder and the largest error."""
    written, options = warmup.written, warmup.options
    worst = max(warmup.errors, key=lambda name: warmup.errors[name])
    files = f"{count(len(written.files), 'file')}, {size(written.nbytes)}"
    heads = ", by head" if options.per_head else ""
    matrices = count(len(warmup.errors), "matrix", "matrices")
    lines = (
        f"{printable(written.folder)} · {matrices}, spectrum {options.spectrum}{heads}, scale {options.scale:g}, seed "
        f"{options.seed} · {files} · provenance.json, README.md",
        f"written spectra are within {number(warmup.errors[worst])} σ₁ of those wanted in {warmup.dtype}, "
        f"the worst in {printable(worst)}",
    )
    for line in lines:
        print_lines(console, line)


def warmup_json(warmup: Warmup) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    return {
        "matrices": [{"matrix": name, "largest_error": error} for name, error in warmup.errors.items()],
        "spectrum": warmup.options.spectrum,
        "scale": warmup.options.scale,
        "seed": warmup.options.seed,
    }
