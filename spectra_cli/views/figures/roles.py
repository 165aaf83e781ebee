"""The figure of roles: any metric over the steps, a panel for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.axes import panel_columns, quantity_axis, step_x, titled
from spectra_cli.views.figures.bands import BAND, are_pooled, labels_of, over_seeds
from spectra_cli.views.figures.colours import ordered, role_scale, run_colour
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import series_panels, shared_steps, spread_by_role, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

OF_MATRICES = "mean over the matrices of a role; the band spans the least and the largest"


@dataclass(frozen=True, eq=False)
class RolesData:
    """A metric's mean, low and high over the matrices of a role at each checkpoint, a frame a run.

    drawn: all of them, or of runs that differ by seed alone the median of their means, with the least and the greatest.
    steps: the axis, of `axes.step_scale`.
    """

    metric: str
    runs: tuple[StudiedRun, ...]
    frames: tuple[pd.DataFrame, ...]
    drawn: pd.DataFrame
    steps: dict[str, Any]


def prepare(runs: Sequence[StudiedRun], options: Options) -> RolesData:
    """Return the metric chosen by role."""
    import pandas as pd

    metric = str(options.metric)
    frames = tuple(spread_by_role(studied.run, metric) for studied in runs)
    drawn = over_seeds(pd.concat(frames, ignore_index=True), runs, "mean", ("role",))
    return RolesData(metric, tuple(runs), frames, drawn, shared_steps(runs))


def chart(data: RolesData) -> Chart:
    """Draw a panel for each role: the mean, and as a band the range over its matrices, or over seeds."""
    import altair as alt

    frame, labels = data.drawn, labels_of(data.runs)
    scale, axis = quantity_axis([*frame["low"], *frame["high"]])
    y = {"scale": alt.Scale(**scale), "axis": alt.Axis(**axis), "title": None}
    shown = [name for name in ("mean", "low", "high", "matrices") if name in frame]
    numbers: list[Any] = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in shown]
    base = alt.Chart().encode(
        x=step_x(data.steps), color=_colour(labels, frame["role"]),
        tooltip=["run:N", "role:N", "revision:N", "step:Q", *numbers],
    )  # fmt: skip
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=12, filled=True)).encode(y=alt.Y("mean:Q", **y))
    roles = ordered(frame["role"])
    return (
        alt.layer(band, line, data=frame)
        .properties(width=190, height=140)
        .facet(facet=alt.Facet("role:N", sort=roles, title=titled(data.metric)), columns=panel_columns(len(roles)))
        .properties(title=title(labels, BAND if are_pooled(data.runs) else OF_MATRICES))
    )


def _colour(labels: Sequence[str], roles: Sequence[str]) -> Any:
    """Return the channel that tells runs apart where there are several, else the roles."""
    import altair as alt

    if len(labels) == 1:
        return alt.Color("role:N", scale=alt.Scale(**role_scale(roles)), legend=None)
    return run_colour(labels)


def lines(data: RolesData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the metric by role, and of the loss."""
    frames = [frame.rename(columns={"mean": data.metric}) for frame in data.frames]
    drawn = zip(data.runs, frames, strict=True)
    return tuple(panel for studied, frame in drawn for panel in series_panels(studied, frame, data.metric))
