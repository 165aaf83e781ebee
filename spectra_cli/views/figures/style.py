"""How figures look: one colour and dash for each role, the axes of steps, names of quantities, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# After Okabe and Ito, so that no two are alike to a colour-blind eye; dashes part attention from MLP and embeddings.
ROLES: dict[str, tuple[str, tuple[int, ...]]] = {
    "q": ("#0072b2", ()),
    "k": ("#56b4e9", ()),
    "v": ("#cc79a7", ()),
    "o": ("#d55e00", ()),
    "gate": ("#a6761d", (6, 3)),
    "up": ("#009e73", (6, 3)),
    "down": ("#e69f00", (6, 3)),
    "embed": ("#7f7f7f", (2, 2)),
    "unembed": ("#8a5cc7", (2, 2)),
    "router": ("#b3475b", (8, 3, 2, 3)),
    "other": ("#9aa1a9", (8, 3, 2, 3)),
}
RUNS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a5cc7", "#7f7f7f")
ACCENT = "#0072b2"
SCHEME: Any = "viridis"  # even to the eye, in grey and to the colour-blind

NAMES: dict[str, tuple[str, str]] = {
    "sd_variation_rate": ("variation of the singular distribution", "per step"),
    "sd_variation_prev": ("variation of the singular distribution", "since the last checkpoint"),
    "sd_variation_final": ("distance of the singular distribution", "from the reference"),
    "cos_spectrum_final": ("cosine of spectra to the reference", ""),
    "cos_weights_final": ("cosine of weights to the reference", ""),
    "stable_rank": ("stable rank", "directions"),
    "effective_rank": ("effective rank", "directions"),
    "participation_ratio": ("participation ratio", "directions"),
    "entropy": ("entropy of the singular distribution", "nats"),
    "entropy_energy": ("entropy of the energy", "nats"),
    "alpha": ("α, rank–size exponent", ""),
    "sd": ("share of the spectrum, σᵢ/Σσ", ""),
    "sigma": ("singular value σᵢ", ""),
}
WIDE = 20.0  # from such a ratio of largest to smallest on, a positive quantity is drawn on a logarithmic axis
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def titled(metric: str) -> str:
    """Name a metric with its unit, for an axis.

    >>> titled("entropy"), titled("alpha_hill")
    ('entropy of the singular distribution (nats)', 'alpha_hill')
    """
    name, unit = NAMES.get(metric, (metric, ""))
    return f"{name} ({unit})" if unit else name


def is_wide(values: Iterable[float]) -> bool:
    """Whether values are positive and span more than WIDE, so that a logarithmic axis shows them better.

    >>> is_wide([1e-5, 1e-3]), is_wide([0.0, 1.0]), is_wide([3.0, 4.0])
    (True, False, False)
    """
    found = np.array([value for value in values if math.isfinite(value)])
    return bool(len(found) and found.min() > 0 and found.max() > WIDE * found.min())


def step_scale(steps: Sequence[int], known: bool = True) -> dict[str, Any]:
    """Give title, scale and axis for steps: logarithmic; with step 0, of log(1 + step), where 0 has a place of its own.

    known: whether these are steps; where they are but numbers of checkpoints the axis is linear and says so.
    """
    low, high = min(steps), max(steps)
    if not known:
        return {"title": "checkpoint, by its place in the table", "scale": {"zero": False}, "axis": {"tickMinStep": 1}}
    domain = [low, high if high > low else low + 1]
    if low > 0:
        axis = {"values": _decades(low, high)} if high >= 10 * low else {}
        return {"title": "step", "scale": {"type": "log", "domain": domain, "nice": False}, "axis": axis}
    scale = {"type": "symlog", "constant": 1, "domain": domain, "nice": False}
    return {"title": "step, spaced by log(1 + step)", "scale": scale, "axis": {"values": [0, *_decades(1, high)]}}


def _decades(low: float, high: float) -> list[float]:
    """Give 1, 2, 5 times powers of ten where few of them fit, else powers of ten alone.

    >>> _decades(1, 300), _decades(1e-7, 1e-3)
    ([1, 2, 5, 10, 20, 50, 100, 200], [1e-07, 1e-06, 1e-05, 0.0001, 0.001])
    """
    span = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [float(f"1e{power}") if power < 0 else 10**power for power in span]
    tens = [ten for ten in tens if low * 0.999 <= ten <= high * 1.001]
    if len(tens) > 3:
        return tens
    fine = [float(f"{times}e{power}") if power < 0 else times * 10**power for power in span for times in (1, 2, 5)]
    return [one for one in fine if low <= one <= high]


def quantity_axis(values: Iterable[float], *, log: bool | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give scale and axis for a quantity: logarithmic where `is_wide` or as told, lines at round numbers."""
    found = [value for value in values if math.isfinite(value)]
    if not (is_wide(found) if log is None else log) or not found:
        return {"zero": False}, {}
    low, high = min(found) / 1.15, max(found) * 1.15
    small = {"format": "~e"} if high < 1e-2 or low < 1e-3 else {"format": "~r"}
    return {"type": "log", "domain": [low, high], "nice": False}, {"values": _decades(low, high), **small}


def panel_columns(panels: int, most: int = 4) -> int:
    """Give how many panels stand side by side, so that the last row is full where that is possible.

    >>> [panel_columns(count) for count in (1, 4, 6, 7, 8)]
    [1, 4, 3, 4, 4]
    """
    if panels <= most:
        return max(1, panels)
    return next((columns for columns in (most, most - 1) if panels % columns == 0), most)


def role_scale(roles: Iterable[str], channel: int = 0) -> dict[str, Any]:
    """Give the fixed colours (channel 0) or dashes (channel 1) of the roles there are, as a Vega-Lite scale."""
    present = set(roles)
    domain = [role for role in ROLES if role in present] + sorted(present - set(ROLES))
    ranges: list[Any] = [ROLES.get(role, ROLES["other"])[channel] for role in domain]
    return {"domain": domain, "range": [list(one) if channel else one for one in ranges]}


def ordered(roles: Iterable[str]) -> list[str]:
    """Put roles in the order in which they stand in a block: attention, MLP, embeddings."""
    return list(role_scale(roles)["domain"])


def theme(*, dark: bool = False, background: str | None = "white") -> dict[str, Any]:
    """Give the Vega-Lite configuration. background: None lets the page show through."""
    ink, soft, grid = ("#e7e9ec", "#a8b0ba", "#2d333b") if dark else ("#1b1f24", "#57606a", "#e3e6ea")
    text = {"labelColor": soft, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500}
    return {
        "background": background or "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**text, "gridColor": grid, "domainColor": soft, "tickColor": soft, "labelFlush": False},
        "legend": {**text, "symbolStrokeWidth": 2.5, "symbolSize": 160},
        "header": {**text, "labelColor": ink, "labelFontWeight": 600},
        "title": {
            "color": ink,
            "subtitleColor": soft,
            "fontSize": 14,
            "subtitleFontSize": 11,
            "anchor": "start",
            "offset": 14,
        },
        "line": {"strokeWidth": 1.8},
        "text": {"color": soft},
        "rule": {"color": soft},
    }
