"""The heat map: any metric by layer and checkpoint, a panel for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.axes import is_wide, panel_columns, titled
from spectra_cli.views.figures.colours import SCHEME, ordered
from spectra_cli.views.figures.figure import Chart, Grid, Options
from spectra_cli.views.figures.frames import by_layer, step_title, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class HeatmapData:
    """A metric by run, role, layer and step, as `value`. step_title: what the columns are."""

    metric: str
    labels: tuple[str, ...]
    frame: pd.DataFrame
    step_title: str


def prepare(runs: Sequence[StudiedRun], options: Options) -> HeatmapData:
    """Return the metric chosen by layer and checkpoint."""
    metric = str(options.metric)
    labels = tuple(studied.label for studied in runs)
    return HeatmapData(metric, labels, by_layer(runs, metric), step_title(runs))


def chart(data: HeatmapData) -> Chart:
    """Draw a panel for each role, a row of panels for each run."""
    import altair as alt

    frame, metric = data.frame, data.metric
    layers, steps = int(frame["layer"].max()) + 1, frame["step"].nunique()
    scale: Any = {"type": "log"} if is_wide(frame["value"]) else {}
    x = alt.Axis(labelOverlap="greedy", labelSeparation=6, labelAngle=0, ticks=False, labelFlush=True)
    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    return (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("step:O", title=data.step_title, axis=x),
            y=alt.Y("layer:O", title="layer", sort="descending", axis=alt.Axis(labelOverlap="greedy", ticks=False)),
            color=alt.Color("value:Q", title=titled(metric), scale=alt.Scale(scheme=SCHEME, **scale), legend=legend),
            tooltip=["run:N", "role:N", "layer:O", "revision:N", alt.Tooltip("value:Q", title=metric, format=".4~g")],
            **_panels(data),
        )
        .properties(
            width=max(150, min(260, 6 * steps)),
            height=max(90, min(220, 14 * layers)),
            title=title(data.labels, f"{titled(metric)}; each column is a checkpoint, not to scale"),
        )
    )


def _panels(data: HeatmapData) -> dict[str, Any]:
    """Return a panel for each role, and where there are several runs a row for each."""
    import altair as alt

    roles = ordered(data.frame["role"])
    if len(data.labels) == 1:
        return {"facet": alt.Facet("role:N", sort=roles, title=None, columns=panel_columns(len(roles)))}
    return {"row": alt.Row("run:N", title=None, sort=None), "column": alt.Column("role:N", sort=roles, title=None)}


def lines(data: HeatmapData) -> tuple[Grid, ...]:
    """Return the terminal's heat maps, one for each run and role."""
    grids = []
    for (run, role), part in data.frame.groupby(["run", "role"], sort=False):
        cells = part.pivot_table("value", "layer", "step", observed=True)
        axes = tuple(map(str, cells.index)), tuple(f"{step:,}" for step in cells.columns)
        heading = f"{run}, {role}: {titled(data.metric)}"
        grids.append(Grid(heading, data.step_title, "layer", cells.to_numpy(float), *axes, is_wide(part["value"])))
    return tuple(grids)
