"""The catalogue of metrics, from their docstrings."""

from __future__ import annotations

from spectra_cli.metrics import METRICS, Metric, select

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
    """Return all that is known of one metric. Raises SpectraError where there is none of that name."""
    chosen = select([name])[0]
    metric = next(metric for metric in METRICS if metric.name == chosen)
    return f"{metric.name}\n\n{metric.documentation}\n\n{facts(metric)}"


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
