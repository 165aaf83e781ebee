"""What `spectra prune` shows: the layers that went, where the rest is, and other choices of as many layers."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from spectra_cli.errors import printable
from spectra_cli.jobs.prune import Pruning
from spectra_cli.views.console.evaluate import with_error
from spectra_cli.views.console.output import PlainTable, print_lines
from spectra_cli.views.sentences.prune import CHOICES, comparison_sentences, pruning_sentences


def show_pruning(console: Console, pruning: Pruning) -> None:
    """Print the comparison, if there is one, and what was done."""
    if pruning.compared:
        most = max(compared.k for compared in pruning.compared)
        table = PlainTable("rise in loss without", *(f"{k} layers" if k > 1 else "1 layer" for k in range(1, most + 1)))
        for choice in dict.fromkeys(compared.choice for compared in pruning.compared):
            by_k = {c.k: with_error(c.rise, signed=True) for c in pruning.compared if c.choice == choice}
            table.add_row(CHOICES[choice], *(by_k.get(k, "–") for k in range(1, most + 1)))
        console.print(f"{printable(pruning.model)} · core layers {pruning.core.start}–{pruning.core.stop - 1}")
        console.print(table)
        console.print()
    for line in (*pruning_sentences(pruning), *comparison_sentences(pruning)):
        print_lines(console, line)


def pruning_json(pruning: Pruning) -> dict[str, Any]:
    """Return everything as one object that json.dumps takes."""
    return {
        "removed": list(pruning.removed),
        "kept": list(pruning.kept),
        "by": pruning.by,
        "compare": [
            {
                "choice": compared.choice,
                "k": compared.k,
                "loss": compared.loss.value,
                "stderr": compared.loss.stderr,
                "rise": compared.rise.value,
                "rise_stderr": compared.rise.stderr,
                "behind": compared.behind.value,
                "behind_stderr": compared.behind.stderr,
                "removed": list(compared.removed),
            }
            for compared in pruning.compared
        ],
    }
