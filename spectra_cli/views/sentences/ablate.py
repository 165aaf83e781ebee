"""What removing layers showed, in words: for the terminal, the figure and JSON's readers alike."""

from __future__ import annotations

from spectra_cli.jobs.ablate import Ablation
from spectra_cli.studies.ablate import LEAST_LAYERS, Correlation
from spectra_cli.studies.lifecycle.significance import CHANCE
from spectra_cli.views.formatting import count, number

NAMED = {
    "alpha": "α",
    "alpha_ols": "α, equal weights",
    "alpha_hill": "α, Hill",
    "alpha_clauset": "α, Clauset",
    "alpha_tail": "α, floored tail",
    "alpha_weighted": "α · log λ₁",
    "stable_rank": "stable rank",
    "block_influence": "Block Influence",
}


def signed(value: float | None) -> str:
    """Return a correlation with its sign.

    >>> signed(-0.714), signed(None)
    ('−0.71', '–')
    """
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def correlation_words(correlation: Correlation) -> str:
    """Return a correlation in a few words, for a figure."""
    if correlation.rho is None:
        return "ρ is not defined"
    chance = "too few layers" if correlation.p is None else f"p = {number(correlation.p, 2)}"
    return f"ρ {signed(correlation.rho)}, {chance}, {correlation.n} {correlation.layers} layers"


def ablation_sentences(ablation: Ablation) -> list[str]:
    """Return which metrics rank the core layers as their removal does, or why that cannot be said."""
    core = [correlation for correlation in ablation.correlations if correlation.layers == "core"]
    costliest = max(ablation.layers, key=lambda layer: layer.rise.value)
    cheapest = min(ablation.layers, key=lambda layer: layer.rise.value)
    lines = [
        f"Layer {costliest.layer} is missed most ({signed(costliest.rise.value)} nats per token), "
        f"layer {cheapest.layer} least ({signed(cheapest.rise.value)})."
    ]
    if len(ablation.core) < LEAST_LAYERS:
        lines.append(
            f"{count(len(ablation.core), 'core layer')} cannot show a correlation: it takes {LEAST_LAYERS} or more."
        )
        return lines
    clear = [c for c in core if c.corrected is not None and c.corrected < CHANCE]
    if clear:
        named = ", ".join(f"{NAMED[c.metric]} (ρ {signed(c.rho)}, p {number(c.corrected, 2)})" for c in clear)
        lines.append(f"Over {len(ablation.core)} core layers the rise in loss goes with {named}.")
    else:
        lines.append(f"Over {len(ablation.core)} core layers no metric ranks the layers as their removal does.")
    judged = [c for c in core if c.p is not None]
    lines.append(
        f"p-values are of {len(judged)} metrics tried side by side, corrected for that (Benjamini and Hochberg)."
    )
    return lines
