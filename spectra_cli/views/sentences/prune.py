"""What pruning did and how ways of choosing layers compare, in words: for the terminal and the figure."""

from __future__ import annotations

from spectra_cli.errors import printable
from spectra_cli.jobs.prune import Pruning
from spectra_cli.jobs.prune_choices import Compared
from spectra_cli.views.formatting import count, size
from spectra_cli.views.sentences.ablate import NAMED

CHOICES = NAMED | {
    "bi": "Block Influence",
    "ablation": "least missed by itself",
    "last": "last layers",
    "worst": "most missed by itself",
    "random": "random",
    "best": "best set",
}
CLEAR = 2.0  # standard errors of both together, below which no difference is claimed


def pruning_sentences(pruning: Pruning) -> list[str]:
    """Return which layers went and where the rest is."""
    removed = ", ".join(map(str, pruning.removed))
    gone, stay = count(len(pruning.removed), "layer"), len(pruning.kept)
    lines = [f"Without {gone}, by {CHOICES[pruning.by]}: {removed}; {stay} of {stay + len(pruning.removed)} stay."]
    if pruning.written is not None:
        written = pruning.written
        lines.append(
            f"{printable(written.folder)} · {count(len(written.files), 'file')}, {size(written.nbytes)} · its logits "
            "are those of the model without these layers, with and without a cache; generate runs."
        )
    return lines


def comparison_sentences(pruning: Pruning) -> list[str]:
    """Return how the choice that was asked for fared against chance and the others; none without a comparison."""
    if not pruning.compared:
        return []
    last = {c.choice: c for c in pruning.compared if c.k == len(pruning.removed)}
    lines = [_versus(last[pruning.by], last[rival]) for rival in ("random", "last", "bi") if rival != pruning.by]
    return [*lines, "All choices are among the core layers. None but Block Influence saw the half of the text that is "
            "reported on."]  # fmt: skip


def _versus(chosen: Compared, rival: Compared) -> str:
    """Compare the choice asked for with a rival: paired by block, or over seeds for random ones."""
    who = f"{CHOICES[chosen.choice]} against {CHOICES[rival.choice]}"
    if rival.removed == chosen.removed:
        return f"{who}: the same layers."
    behind = rival.behind
    verdict = "no clear difference" if not behind.beyond(CLEAR) else "better" if behind.value > 0 else "worse"
    return f"{who}: {-behind.value:+.3f} ± {behind.stderr:.3f} nats per token, {verdict}.".replace("-", "−")
