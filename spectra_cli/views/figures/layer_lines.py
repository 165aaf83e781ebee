"""The figure of layers: any metric over the steps, a line for each layer, a panel for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.axes import is_wide, panel_columns, quantity_axis, step_x, titled
from spectra_cli.views.figures.colours import SCHEME, ordered
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_layer, positions_of, shared_steps, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class LayersData:
    """A metric by run, role, layer and step, as `value`. steps: the axis, of `axes.step_scale`."""

    metric: str
    labels: tuple[str, ...]
    frame: pd.DataFrame
    steps: dict[str, Any]


def prepare(runs: Sequence[StudiedRun], options: Options) -> LayersData:
    """Return the metric chosen by layer."""
    import pandas as pd

    metric = str(options.metric)
    frames = []
    for studied in runs:
        frame = by_layer([studied], metric)
        frames.append(frame.assign(step=frame["order"].map(positions_of(studied.run))))
    return LayersData(
        metric, tuple(studied.label for studied in runs), pd.concat(frames, ignore_index=True), shared_steps(runs)
    )


def chart(data: LayersData) -> Chart:
    """Draw a panel for each role, and where there are several runs a row of them for each."""
    import altair as alt

    frame = data.frame
    scale, axis = quantity_axis(frame["value"])
    colour = alt.Scale(scheme=SCHEME)
    return (
        alt.Chart(frame[frame["value"] > 0] if scale.get("type") == "log" else frame)
        .mark_line(point=alt.OverlayMarkDef(size=8, filled=True))
        .encode(
            x=step_x(data.steps),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(**scale), axis=alt.Axis(**axis)),
            color=alt.Color("layer:Q", title="layer", scale=colour, legend=alt.Legend(tickMinStep=1, format="d")),
            detail="layer:N",
            tooltip=["run:N", "role:N", "layer:Q", "revision:N", "step:Q", alt.Tooltip("value:Q", format=".4~g")],
            **_panels(data.labels, frame["role"], titled(data.metric)),
        )
        .properties(width=190, height=140, title=title(data.labels, "A line is a layer, mean over its matrices"))
    )


def _panels(labels: Sequence[str], roles: Sequence[str], head: str) -> dict[str, Any]:
    """Return a panel for each role, and where there are several runs a row for each. head: what stands above them."""
    import altair as alt

    names = ordered(roles)
    if len(labels) == 1:
        return {"facet": alt.Facet("role:N", sort=names, title=head, columns=panel_columns(len(names)))}
    return {
        "row": alt.Row("run:N", title=None, sort=list(labels)),
        "column": alt.Column("role:N", sort=names, title=head),
    }


def lines(data: LayersData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the metric over the steps, one for each run and role."""
    frame = data.frame.rename(columns={"step": "x", "value": "y"})
    frame["series"] = "layer " + frame["layer"].astype(str)
    return tuple(
        Panel(f"{run}, {role}: {titled(data.metric)}", "step", data.metric, part, True, is_wide(part["y"]))
        for (run, role), part in frame.groupby(["run", "role"], sort=False)
    )
