"""What the page says of a metric beside the menu: its group, its meaning, its formula and its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spectra_cli.errors import printable
from spectra_cli.metrics import METRICS, Metric
from spectra_cli.views.figures.axes import titled

AGAINST = {"final": "Against the reference", "prev": "Since the checkpoint before"}
GROUPS = {
    "norms": "Size",
    "ranks": "Rank and entropy",
    "power_law": "Exponents",
    "tails": "Exponents of the tail",
    "random_matrix": "Against randomness",
    "other_tools": "As in other tools",
    "precision": "Precision",
}
OTHERS = "Others"


def metric_facts(names: Sequence[str]) -> list[dict[str, str]]:
    """Return group, meaning and formula of metrics, ordered by group; of one that the catalogue lacks only its name."""
    known = {metric.name: metric for metric in METRICS}
    facts = [_facts(known[name]) if name in known else _unknown(name) for name in names]
    order = [*GROUPS.values(), *AGAINST.values(), OTHERS]
    return sorted(facts, key=lambda fact: order.index(fact["group"]))


def _unknown(name: str) -> dict[str, str]:
    shown = printable(name)
    return {"name": name, "group": OTHERS, "title": shown, "meaning": "", "formula": "", "source": ""}


def _facts(metric: Metric) -> dict[str, str]:
    module = metric.function.__module__.rpartition(".")[2]
    group = AGAINST[metric.against] if metric.against else GROUPS.get(module, OTHERS)
    formula = re.search(r"Formula: (.*?)(?: Returns|\n\n|\Z)", metric.documentation, re.DOTALL)
    return {
        "name": metric.name,
        "group": group,
        "title": titled(metric.name),
        "meaning": metric.summary,
        "formula": " ".join(formula[1].split()).rstrip(".") if formula else "",
        "source": metric.source,
    }
