"""The figure of depth: an exponent over normalised depth at the last checkpoint, for one model or several."""

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

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class DepthData:
    """The exponent of each run over depth: points, and the parabolas fitted to them. shapes: a sentence a run."""

    exponent: str
    labels: tuple[str, ...]
    points: pd.DataFrame
    curves: pd.DataFrame
    shapes: tuple[str, ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> DepthData:
    """Return the exponents of several runs at their last checkpoints."""
    import pandas as pd

    studies = [studied.lifecycle(options.metric) for studied in runs]
    parts = [part for study in studies if (part := _points_and_curve(study)) is not None]
    points, curves = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    labels = tuple(studied.label for studied in runs)
    return DepthData(studies[0].alpha, labels, points.dropna(), curves, tuple(map(_shape, studies)))


def _points_and_curve(study: Lifecycle) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    import pandas as pd

    gradient = study.alpha_gradient
    if gradient is None or gradient.last is None:
        return None
    values = gradient.values[:, -1]
    layers = np.arange(len(values))
    label = {"run": printable(study.label)}
    depths = layers / max(1, len(values) - 1)
    dense = np.linspace(0, 1, FITTED)
    powers = np.power.outer(dense, np.arange(len(gradient.last.terms)))
    return (
        pd.DataFrame({**label, "layer": layers, "depth": depths, "value": values}),
        pd.DataFrame({**label, "depth": dense, "value": powers @ np.array(gradient.last.terms)}),
    )


def _shape(study: Lifecycle) -> str:
    label, gradient = printable(study.label), study.alpha_gradient
    last = gradient.last if gradient else None
    if gradient is None or last is None:
        return f"{label}: no {study.alpha}"
    if gradient.inverted_u is None:
        return f"{label}: the layers are too few for a shape"
    if gradient.inverted_u:
        return f"{label}: an inverted U, its peak at depth {number(last.peak, 2)}"
    return f"{label}: no inverted U"


def chart(data: DepthData) -> Chart:
    """Draw points and parabolas, a colour for each run."""
    import altair as alt

    scale = alt.Scale(domain=list(data.labels), range=list(RUN_COLOURS))
    colour = alt.Color("run:N", title="run", scale=scale, legend=alt.Legend(symbolType="circle"))
    x = alt.X("depth:Q", title="depth, from the first layer to the last", scale=alt.Scale(domain=[0, 1], padding=8))
    y = alt.Y("value:Q", title=titled(data.exponent), scale=alt.Scale(zero=False))
    tips = ["run:N", "layer:Q", alt.Tooltip("value:Q", format=".4~g")]
    shows = ["dots: mean over a layer's matrices; lines: parabolas", *data.shapes]
    return alt.layer(
        alt.Chart(data.points).mark_point(filled=True, size=40).encode(x=x, y=y, color=colour, tooltip=tips),
        alt.Chart(data.curves).mark_line().encode(x=x, y=y, color=colour),
    ).properties(width=420, height=300, title=alt.Title(f"{data.exponent} over depth", subtitle=shows))


def lines(data: DepthData) -> tuple[Panel, ...]:
    """Return the terminal's panel of an exponent over depth, a line for each run."""
    frame = data.points.rename(columns={"depth": "x", "value": "y", "run": "series"})
    return (Panel(f"{titled(data.exponent)} over depth", "depth", data.exponent, frame),)
