"""The charts whose data the page's script fills in: a metric over the steps, a heat map, a profile, a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectra_cli.views.figures.axes import POWERS, step_scale
from spectra_cli.views.figures.colours import ACCENT, SCHEME, ordered, role_scale, run_scale

Spec = dict[str, Any]


def interactive_charts(
    roles: Sequence[str], steps: Sequence[int], labels: Sequence[str], *, are_steps: bool
) -> dict[str, Spec]:
    """Return the charts by name. The script fills `lines` and `cursor`, and sets title and scale of the field `value`.

    labels: of the runs; of several, colours are the runs and panels the roles. are_steps: whether `steps` are steps,
    and not numbers of checkpoints.
    """
    axis = step_scale(steps, are_steps)
    x = {"field": "step", "type": "quantitative", "title": axis["title"], "scale": axis["scale"], "axis": axis["axis"]}
    return {
        "course": over_steps(roles, labels, x),
        "heatmap": heatmap("step" if are_steps else "checkpoint", labels),
        "profile": profile(roles, labels),
        "spectrum": spectrum(labels),
    }


def cursor(x: Spec) -> Spec:
    """Return the line at the step chosen."""
    return {
        "data": {"name": "cursor", "values": []},
        "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2, "aria": False},
        "encoding": {"x": x},
    }


def over_steps(roles: Sequence[str], labels: Sequence[str], x: Spec) -> Spec:
    """Return a metric by role over the steps."""
    tips = tooltip(("run", "role", "revision", "step") if len(labels) > 1 else ("role", "revision", "step"))
    line = {
        "mark": {"type": "line", "point": {"size": 18}},
        "encoding": {"x": x, "y": quantity(), **colours(roles, labels), "tooltip": tips},
    }
    return panels({"layer": [line, cursor(x)]}, roles, labels, height=260)


def profile(roles: Sequence[str], labels: Sequence[str]) -> Spec:
    """Return a metric over depth at the step chosen; of a single run also, faint, at the first checkpoint."""
    layer = {
        "field": "layer", "type": "quantitative", "title": "layer",
        "axis": {"tickMinStep": 1, "format": "d"}, "scale": {"zero": False, "nice": False, "padding": 6},
    }  # fmt: skip
    faint = {
        "field": "when", "type": "ordinal", "legend": None,
        "scale": {"domain": ["first", "chosen"], "range": [0.25, 1]},
    }  # fmt: skip
    facts = ("run", "role", "layer", "revision") if len(labels) > 1 else ("role", "layer", "revision")
    line = {
        "mark": {"type": "line", "point": {"size": 18}},
        "encoding": {
            "x": layer, "y": quantity(), **colours(roles, labels), "opacity": faint, "tooltip": tooltip(facts),
        },
    }  # fmt: skip
    return panels({"layer": [line]}, roles, labels, height=260)


def heatmap(title: str, labels: Sequence[str]) -> Spec:
    """Return a metric of one role by layer and checkpoint, a panel a run; the checkpoint chosen is marked."""
    x = {
        "field": "step", "type": "ordinal", "title": title,
        "axis": {"labelOverlap": "greedy", "labelSeparation": 6, "labelAngle": 0, "ticks": False, "grid": False},
    }  # fmt: skip
    layer = {"field": "layer", "type": "ordinal", "sort": "descending", "title": "layer"}
    cells = {
        "mark": "rect",
        "encoding": {
            "x": x,
            "y": {**layer, "axis": {"labelOverlap": "greedy", "ticks": False, "grid": False}},
            "color": {**quantity(), "scale": {"scheme": SCHEME}, "legend": {"orient": "bottom", "titleLimit": 400}},
            "tooltip": tooltip(("run", "layer", "revision")),
        },
    }
    body: Spec = {"layer": [cells, cursor({"field": "step", "type": "ordinal"})], "height": 220}
    data = {"data": {"name": "lines", "values": []}}
    if len(labels) == 1:
        return {**data, **body}
    facet = {"field": "run", "type": "nominal", "title": None, "sort": list(labels)}
    return {**data, "facet": facet, "columns": min(3, len(labels)), "spec": body}


def spectrum(labels: Sequence[str]) -> Spec:
    """Return the spectrum of one matrix, log-log, at the step chosen; of a single run a few others behind it."""
    x = {"field": "rank", "type": "quantitative", "title": "rank i", "scale": {"type": "log", "nice": False}}
    y = {
        "field": "value", "type": "quantitative", "title": "share, σᵢ/Σσ",
        "scale": {"type": "log"}, "axis": {"labelExpr": POWERS, "tickCount": 6},
    }  # fmt: skip
    other = {
        "field": "step", "type": "ordinal", "scale": {"scheme": SCHEME}, "title": "other steps",
        "legend": {"symbolType": "stroke"},
    }  # fmt: skip
    ghosts = {
        "data": {"name": "ghosts", "values": []},
        "mark": {"type": "line", "strokeWidth": 1.2},
        "encoding": {"x": x, "y": y, "color": other},
    }
    of_run = {"field": "run", "type": "nominal", "scale": run_scale(labels), "legend": {"symbolType": "stroke"}}
    chosen = {
        "data": {"name": "lines", "values": []},
        "mark": {"type": "line", "strokeWidth": 3},
        "encoding": {
            "x": x, "y": y, "color": {"value": ACCENT} if len(labels) == 1 else of_run,
            "tooltip": tooltip(("run", "rank", "step")),
        },
    }  # fmt: skip
    if len(labels) > 1:
        return {"height": 320, "layer": [chosen]}
    return {"height": 320, "layer": [ghosts, chosen], "resolve": {"scale": {"color": "independent"}}}


def panels(body: Spec, roles: Sequence[str], labels: Sequence[str], height: int) -> Spec:
    """Return one chart of all roles for a single run, and for several a panel for each role."""
    data = {"data": {"name": "lines", "values": []}}
    if len(labels) == 1:
        return {**data, **body, "height": height}
    facet: Spec = {"field": "role", "type": "nominal", "title": None, "sort": ordered(roles)}
    return {**data, "facet": facet, "columns": min(4, len(facet["sort"])), "spec": {**body, "height": 150}}


def colours(roles: Sequence[str], labels: Sequence[str]) -> Spec:
    """Return the channels that tell lines apart: roles by colour and dash, or several runs by colour."""
    legend = {"symbolType": "stroke"}
    if len(labels) > 1:
        return {
            "color": {"field": "run", "type": "nominal", "title": "run", "scale": run_scale(labels), "legend": legend}
        }
    of_role = {"field": "role", "type": "nominal", "title": "role", "legend": legend}
    channels = enumerate(("color", "strokeDash"))
    return {name: {**of_role, "scale": role_scale(ordered(roles), channel)} for channel, name in channels}


def quantity() -> Spec:
    """Return the channel of the number shown; the script sets its title and scale."""
    return {"field": "value", "type": "quantitative", "title": "value", "axis": {}}


def tooltip(facts: Sequence[str]) -> list[Spec]:
    """Return what a tooltip says: facts, and the number shown."""
    number = {"field": "value", "type": "quantitative", "format": ".4~g"}
    return [*({"field": name, "type": "nominal"} for name in facts), number]
