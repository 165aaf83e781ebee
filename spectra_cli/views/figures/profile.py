"""The profile: any metric over depth, a line for each of a few checkpoints, a panel for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.views.figures.axes import is_wide, panel_columns, quantity_axis, titled
from spectra_cli.views.figures.colours import SCHEME, ordered
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_layer, step_title, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

FEW_STEPS = 6


@dataclass(frozen=True, eq=False)
class ProfileData:
    """A metric by run, role, layer and step, as `value`, at the checkpoints shown. step_title: what these are."""

    metric: str
    labels: tuple[str, ...]
    frame: pd.DataFrame
    step_title: str


def prepare(runs: Sequence[StudiedRun], options: Options) -> ProfileData:
    """Return the metric chosen at the steps chosen, or at a few spread over the run."""
    from spectra_cli.studies.series import pick

    metric = str(options.metric)
    frame = by_layer(runs, metric)
    shown = frame["order"] < 0
    for studied in runs:
        orders = studied.run.checkpoints.index
        picked = pick(studied.run, options.steps, FEW_STEPS, orders[orders.isin(frame["order"])])
        shown |= (frame["run"] == studied.label) & frame["order"].isin(picked)
    return ProfileData(metric, tuple(studied.label for studied in runs), frame[shown], step_title(runs))


def chart(data: ProfileData) -> Chart:
    """Draw a panel for each role."""
    import altair as alt

    frame, metric = data.frame, data.metric
    scale, axis = quantity_axis(frame["value"])
    several = {"strokeDash": alt.StrokeDash("run:N", title="run", sort=None)} if len(data.labels) > 1 else {}
    roles = ordered(frame["role"])
    x = alt.Axis(tickMinStep=1, format="d")
    legend = alt.Legend(symbolType="stroke")
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=14, filled=True))
        .encode(
            x=alt.X("layer:Q", title="layer", axis=x, scale=alt.Scale(zero=False, nice=False, padding=4)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(**scale), axis=alt.Axis(**axis)),
            color=alt.Color("step:O", title=data.step_title, scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=["run:N", "role:N", "layer:Q", "revision:N", alt.Tooltip("value:Q", title=metric, format=".4~g")],
            facet=alt.Facet("role:N", sort=roles, title=titled(metric), columns=panel_columns(len(roles))),
            **several,
        )
        .properties(width=190, height=150, title=title(data.labels, "over depth, at a few checkpoints"))
    )


def lines(data: ProfileData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the metric over depth, one for each run and role."""
    frame = data.frame.rename(columns={"layer": "x", "value": "y"})
    frame["series"] = "step " + frame["step"].astype(str)
    return tuple(
        Panel(
            f"{run}, {role}: {titled(data.metric)} over layers", "layer", data.metric, part, False, is_wide(part["y"])
        )
        for (run, role), part in frame.groupby(["run", "role"], sort=False)
    )
