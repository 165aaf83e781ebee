"""The colours: one, with a dash, for each role; those of runs; the theme of a light and of a dark page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# After Okabe and Ito, so that no two are alike to a colour-blind eye; dashes part attention from MLP, embeddings and
# the mixers of state spaces.
ROLE_COLOURS: dict[str, tuple[str, tuple[int, ...]]] = {
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
    "in_proj": ("#004c75", (4, 2, 1, 2)),
    "x_proj": ("#2a9d8f", (4, 2, 1, 2)),
    "dt_proj": ("#c9a227", (4, 2, 1, 2)),
    "out_proj": ("#8f3b00", (4, 2, 1, 2)),
    "other": ("#9aa1a9", (8, 3, 2, 3)),
}
RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a5cc7", "#7f7f7f")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (4, 2, 1, 2))
ACCENT = "#0072b2"
SCHEME: Any = "viridis"  # even to the eye, in grey and to the colour-blind
ANCHORS = (0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xADDC30, 0xFDE725)  # SCHEME's
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def role_scale(roles: Iterable[str], channel: int = 0) -> dict[str, Any]:
    """Return the fixed colours (channel 0) or dashes (channel 1) of the roles there are, as a Vega-Lite scale."""
    present = set(roles)
    domain = [role for role in ROLE_COLOURS if role in present] + sorted(present - set(ROLE_COLOURS))
    ranges: list[Any] = [ROLE_COLOURS.get(role, ROLE_COLOURS["other"])[channel] for role in domain]
    return {"domain": domain, "range": [list(dash) if channel else dash for dash in ranges]}


def ordered(roles: Iterable[str]) -> list[str]:
    """Return roles in the order in which they stand in a block: attention, MLP, embeddings."""
    return list(role_scale(roles)["domain"])


def role_channels(roles: Iterable[str]) -> dict[str, Any]:
    """Return the channels that tell roles apart, colour and dash, with their one legend."""
    import altair as alt

    present, legend = list(roles), alt.Legend(symbolType="stroke")
    return {
        "color": alt.Color("role:N", title="role", scale=alt.Scale(**role_scale(present)), legend=legend),
        "strokeDash": alt.StrokeDash("role:N", title="role", scale=alt.Scale(**role_scale(present, 1)), legend=legend),
    }


def run_scale(labels: Iterable[str]) -> dict[str, Any]:
    """Return the fixed colours of runs, in their order, as a Vega-Lite scale."""
    domain = list(labels)
    return {"domain": domain, "range": [RUN_COLOURS[index % len(RUN_COLOURS)] for index in range(len(domain))]}


def run_colour(labels: Iterable[str]) -> Any:
    """Return the channel that tells runs apart, with their legend."""
    import altair as alt

    legend = alt.Legend(symbolType="stroke")
    return alt.Color("run:N", scale=alt.Scale(**run_scale(labels)), title="run", legend=legend)


def dashes(names: Iterable[str]) -> dict[str, Any]:
    """Return dashes for what is told apart beside colours, the first drawn through, as a Vega-Lite scale."""
    domain = list(names)
    return {"domain": domain, "range": [list(DASHES[index % len(DASHES)]) for index in range(len(domain))]}


def theme(*, dark: bool = False, background: str | None = "white") -> dict[str, Any]:
    """Return the Vega-Lite configuration. background: None lets the page show through."""
    ink, soft, grid = ("#e7e9ec", "#a8b0ba", "#2d333b") if dark else ("#1b1f24", "#57606a", "#e3e6ea")
    text = {"labelColor": soft, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
    return {
        "background": background or "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**text, "gridColor": grid, "domainColor": soft, "tickColor": soft, "labelFlush": False},
        "legend": {**text, "symbolStrokeWidth": 2.5, "symbolSize": 160, "orient": "top", "titleLimit": 400},
        "header": {**text, "labelColor": ink, "labelFontWeight": 600, "titleAnchor": "start"},
        "title": {
            "color": ink,
            "subtitleColor": soft,
            "fontSize": 14,
            "subtitleFontSize": 12,
            "anchor": "start",
            "offset": 14,
        },
        "line": {"strokeWidth": 1.8},
        "text": {"color": soft, "fontSize": 12},
        "rule": {"color": soft},
    }
