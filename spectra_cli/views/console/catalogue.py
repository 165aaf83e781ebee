"""The catalogue of metrics, from their docstrings."""

from __future__ import annotations

import re

from spectra_cli.metrics import METRICS, Metric, select

BROKEN = re.compile(r"(?<!\.)\n")  # a line end within a sentence
AGAINST = {None: "one matrix", "final": "against the reference checkpoint", "prev": "against the previous checkpoint"}


def overview() -> str:
    """Return every metric with its first sentence."""
    width = max(len(metric.name) for metric in METRICS)
    lines = [f"{metric.name:<{width}}  {metric.summary}" for metric in METRICS]
    asked = [metric.name for metric in METRICS if not metric.default]
    if asked:
        lines.append(f"\nonly when named in --metrics: {', '.join(asked)}")
    return "\n".join(lines) + "\n\nspectra metrics NAME shows the formula, the range and the source of one."


def one_metric(name: str) -> str:
    """Return all that is known of one metric, a paragraph a line. Raises SpectraError where there is none such."""
    chosen = select([name])[0]
    metric = next(metric for metric in METRICS if metric.name == chosen)
    return f"{metric.name}\n\n{_flowed(metric.documentation)}\n\n{facts(metric)}"


def _flowed(text: str) -> str:
    """Return a text whose sentences are on one line each, for the terminal to break; examples stay as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if part.startswith(">>>") else BROKEN.sub(" ", part) for part in paragraphs)


def facts(metric: Metric) -> str:
    """Return in one line what the entry adds to the docstring.

    >>> facts(next(metric for metric in METRICS if metric.name == "entropy"))
    'Of one matrix; degree 0; range 0 … ln r; cost O(r); computed by default.'
    """
    degree = "no degree" if metric.degree is None else f"degree {metric.degree}"
    default = "computed by default" if metric.default else "computed only when named"
    span = f"range {_limit(metric.low)} … {_limit(metric.high)}"
    return f"Of {AGAINST[metric.against]}; {degree}; {span}; cost {metric.cost}; {default}."


def _limit(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
