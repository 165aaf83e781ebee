"""The figure of depth: an exponent over normalised depth at the last checkpoint, of q and of all roles together.

Families of models stand beneath each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import titled
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import FITTED
from spectra_cli.views.formatting import number

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Gradient, Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


FIRST, MEAN = "q", "mean of all roles"  # the panels; the inverted U that the paper draws is q's


@dataclass(frozen=True, eq=False)
class Profile:
    """One panel: the exponent of each run over depth, points and the parabolas fitted to them. shapes: a line a run."""

    of: str
    points: pd.DataFrame
    curves: pd.DataFrame
    shapes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DepthData:
    """The exponent of several runs over depth, for each family a panel for q and one for the mean of all roles."""

    exponent: str
    labels: tuple[str, ...]
    rows: tuple[tuple[Profile, ...], ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> DepthData:
    """Return the exponents of several runs at their last checkpoints."""
    families: dict[str, list[Lifecycle]] = {}
    for studied in runs:
        families.setdefault(studied.run.family, []).append(studied.lifecycle(options.metric))
    rows = []
    for family, studies in families.items():
        within = f", {printable(family) or 'of no known family'}" if len(families) > 1 else ""
        profiles = (
            _profile(FIRST + within, studies, [study.alpha_by_role.get(FIRST) for study in studies]),
            _profile(MEAN + within, studies, [study.alpha_gradient for study in studies]),
        )
        rows.append(tuple(profile for profile in profiles if len(profile.points)))
    labels = tuple(printable(studied.label) for studied in runs)
    return DepthData(runs[0].lifecycle(options.metric).alpha, labels, tuple(rows))


def _profile(of: str, studies: Sequence[Lifecycle], gradients: Sequence[Gradient | None]) -> Profile:
    import pandas as pd

    points, curves = [pd.DataFrame()], [pd.DataFrame()]
    for study, gradient in zip(studies, gradients, strict=True):
        if gradient is None or gradient.last is None:
            continue
        values, label = gradient.values[:, -1], {"run": printable(study.label)}
        layers = np.arange(len(values))
        depths = layers / max(1, len(values) - 1)
        points.append(pd.DataFrame({**label, "layer": layers, "depth": depths, "value": values}))
        dense = np.linspace(0, 1, FITTED)
        powers = np.power.outer(dense, np.arange(len(gradient.last.terms)))
        curves.append(pd.DataFrame({**label, "depth": dense, "value": powers @ np.array(gradient.last.terms)}))
    shapes = tuple(map(_shape, studies, gradients))
    return Profile(of, pd.concat(points, ignore_index=True).dropna(), pd.concat(curves, ignore_index=True), shapes)


def _shape(study: Lifecycle, gradient: Gradient | None) -> str:
    label, last = printable(study.label), gradient.last if gradient else None
    if gradient is None or last is None:
        return f"{label}: no {study.alpha}"
    if gradient.inverted_u is None:
        return f"{label}: the layers are too few for a shape"
    if gradient.inverted_u:
        return f"{label}: an inverted U, its peak at depth {number(last.peak, 2)}"
    return f"{label}: no inverted U"


def chart(data: DepthData) -> Chart:
    """Draw points and parabolas, a colour for each run, for each family a panel for q and one for the mean."""
    import altair as alt

    rows = [alt.hconcat(*(_panel(data, profile) for profile in profiles)) for profiles in data.rows]
    shows = "Dots: layers; lines: parabolas."
    drawn = rows[0] if len(rows) == 1 else alt.vconcat(*rows)
    return drawn.properties(title=alt.Title(f"{data.exponent} over depth", subtitle=shows))


def _panel(data: DepthData, profile: Profile) -> Chart:
    import altair as alt

    scale = alt.Scale(domain=list(data.labels), range=list(RUN_COLOURS))
    colour = alt.Color("run:N", title="run", scale=scale, legend=alt.Legend(symbolType="circle"))
    x = alt.X("depth:Q", title="depth, from the first layer to the last", scale=alt.Scale(domain=[0, 1], padding=8))
    y = alt.Y("value:Q", title=titled(data.exponent), scale=alt.Scale(zero=False))
    tips = ["run:N", "layer:Q", alt.Tooltip("value:Q", format=".4~g")]
    return alt.layer(
        alt.Chart(profile.points).mark_point(filled=True, size=40).encode(x=x, y=y, color=colour, tooltip=tips),
        alt.Chart(profile.curves).mark_line().encode(x=x, y=y, color=colour),
    ).properties(width=320, height=260, title=alt.Title(profile.of, subtitle=list(profile.shapes)))


def lines(data: DepthData) -> tuple[Panel, ...]:
    """Return the terminal's panels of an exponent over depth, a line for each run."""
    panels = []
    for profile in (profile for profiles in data.rows for profile in profiles):
        frame = profile.points.rename(columns={"depth": "x", "value": "y", "run": "series"})
        panels.append(Panel(f"{titled(data.exponent)} over depth, {profile.of}", "depth", data.exponent, frame))
    return tuple(panels)
