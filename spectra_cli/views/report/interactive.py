"""The charts whose data the page's script fills in: a metric over the steps, a heat map, a profile, a spectrum."""

from __future__ import annotations

from typing import Any

from spectra_cli.views.figures.axes import step_scale
from spectra_cli.views.figures.colours import ACCENT, SCHEME, ordered, role_scale

Spec = dict[str, Any]
VIEW_WIDTH = 560


def interactive_charts(roles: list[str], steps: list[int], *, are_steps: bool) -> dict[str, Spec]:
    """Return the charts by name. The script fills `lines` and `cursor`, and sets title and scale of `quantity`.

    are_steps: whether `steps` are steps, and not numbers of checkpoints.
    """
    axis = step_scale(steps, are_steps)
    x = {"field": "step", "type": "quantitative", "title": axis["title"], "scale": axis["scale"], "axis": axis["axis"]}
    return {
        "course": over_steps(roles, x),
        "heatmap": heatmap("step" if are_steps else "checkpoint"),
        "profile": profile(roles),
        "spectrum": spectrum(),
    }


def cursor(x: Spec) -> Spec:
    """Return the line at the step chosen."""
    return {
        "data": {"name": "cursor", "values": []},
        "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2},
        "encoding": {"x": x},
    }


def over_steps(roles: list[str], x: Spec) -> Spec:
    """Return a metric by role over the steps."""
    tips = [{"field": name, "type": "nominal"} for name in ("role", "revision", "step")]
    line = {
        "data": {"name": "lines", "values": []},
        "params": [{"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}],
        "mark": {"type": "line", "point": {"size": 16, "filled": True}},
        "encoding": {"x": x, "y": quantity(), **role_channels(roles), "tooltip": [*tips, value_tip()]},
    }
    return {"width": VIEW_WIDTH, "height": 240, "layer": [line, cursor(x)]}


def heatmap(title: str) -> Spec:
    """Return a metric of one role by layer and checkpoint, the one chosen framed."""
    x = {
        "field": "step", "type": "ordinal", "title": title,
        "axis": {"labelOverlap": "greedy", "labelSeparation": 6, "labelAngle": 0, "ticks": False},
    }  # fmt: skip
    layer = {"field": "layer", "type": "ordinal", "sort": "descending", "title": "layer"}
    cells = {
        "data": {"name": "lines", "values": []},
        "mark": "rect",
        "encoding": {
            "x": x,
            "y": {**layer, "axis": {"labelOverlap": "greedy", "ticks": False}},
            "color": {**quantity(), "scale": {"scheme": SCHEME}, "legend": {"titleLimit": 220}},
            "tooltip": [{"field": "layer", "type": "ordinal"}, {"field": "revision", "type": "nominal"}, value_tip()],
        },
    }
    return {"width": VIEW_WIDTH, "height": 240, "layer": [cells, cursor(x)]}


def profile(roles: list[str]) -> Spec:
    """Return a metric over depth at the step chosen, and faint at the first checkpoint."""
    layer = {
        "field": "layer", "type": "quantitative", "title": "layer",
        "axis": {"tickMinStep": 1, "format": "d"}, "scale": {"zero": False, "nice": False, "padding": 6},
    }  # fmt: skip
    faint = {
        "field": "when", "type": "ordinal", "title": "at", "sort": ["first", "chosen"],
        "scale": {"domain": ["first", "chosen"], "range": [0.25, 1]}, "legend": None,
    }  # fmt: skip
    tips = [{"field": name, "type": "nominal"} for name in ("role", "layer", "revision")]
    return {
        "width": VIEW_WIDTH,
        "height": 240,
        "data": {"name": "lines", "values": []},
        "mark": {"type": "line", "point": {"size": 16, "filled": True}},
        "encoding": {
            "x": layer,
            "y": quantity(),
            **role_channels(roles),
            "opacity": faint,
            "tooltip": [*tips, value_tip()],
        },
    }


def spectrum() -> Spec:
    """Return the spectrum of one matrix, log-log, at the step chosen; a few others faint behind it."""
    x = {"field": "rank", "type": "quantitative", "title": "rank i", "scale": {"type": "log", "nice": False}}
    y = {
        "field": "value", "type": "quantitative", "title": "share of the spectrum, σᵢ/Σσ",
        "scale": {"type": "log"}, "axis": {"format": "~e", "tickCount": 6},
    }  # fmt: skip
    ghosts = {
        "data": {"name": "ghosts", "values": []},
        "mark": {"type": "line", "strokeWidth": 1.2},
        "encoding": {
            "x": x, "y": y,
            "color": {"field": "step", "type": "ordinal", "scale": {"scheme": SCHEME}, "title": "other steps",
                      "legend": {"symbolType": "stroke"}},
        },
    }  # fmt: skip
    chosen = {
        "data": {"name": "lines", "values": []},
        "mark": {"type": "line", "color": ACCENT, "strokeWidth": 3},
        "encoding": {"x": x, "y": y, "tooltip": [{"field": "rank", "type": "quantitative"}, value_tip()]},
    }
    return {"width": VIEW_WIDTH, "height": 240, "layer": [ghosts, chosen]}


def quantity() -> Spec:
    """Return the channel of the number shown; the script sets its title and scale."""
    return {"field": "value", "type": "quantitative", "title": "value", "axis": {}}


def value_tip() -> Spec:
    """Return the number shown, for a tooltip."""
    return {"field": "value", "type": "quantitative", "format": ".4~g"}


def role_channels(roles: list[str]) -> Spec:
    """Return the fixed colours and dashes of the roles."""
    present = ordered(roles)
    legend = {"symbolType": "stroke"}
    return {
        name: {
            "field": "role",
            "type": "nominal",
            "scale": role_scale(present, channel),
            "legend": legend,
            "title": "role",
        }
        for channel, name in enumerate(("color", "strokeDash"))
    }
