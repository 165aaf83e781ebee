"""The figure of a metric against the loss: a point for each checkpoint, joined in the order of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spectra_cli.errors import SpectraError
from spectra_cli.views.figures.axes import panel_columns, quantity_axis, titled
from spectra_cli.views.figures.colours import ordered, role_channels, run_colour
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_role, steps_of, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class LossData:
    """A metric by run, role and checkpoint, as `value`, with the `loss` there. kinds: `validation`, `training`."""

    metric: str
    labels: tuple[str, ...]
    frame: pd.DataFrame
    kinds: tuple[str, ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> LossData:
    """Return the metric chosen beside the loss. Raises SpectraError where a run has no log, or none at its steps."""
    import pandas as pd

    metric = str(options.metric)
    frames = [_beside_the_loss(studied, metric) for studied in runs]
    kinds = dict.fromkeys(studied.losses.kind for studied in runs if studied.losses)
    return LossData(
        metric, tuple(studied.label for studied in runs), pd.concat(frames, ignore_index=True), tuple(kinds)
    )


def _beside_the_loss(studied: StudiedRun, metric: str) -> pd.DataFrame:
    if studied.losses is None or not steps_of(studied.run)[1]:
        raise SpectraError(
            f"{studied.label} has no loss to set {metric} against",
            hint="give the run's log with --loss FILE, and a table that says the steps of its checkpoints", code=2,
        )  # fmt: skip
    frame = by_role(studied.run, [metric]).rename(columns={metric: "value"}).dropna(subset=["value"])
    logged = studied.losses.frame[["step", "loss"]].dropna()
    loss = np.interp(frame["step"].to_numpy(float), logged["step"], logged["loss"], left=np.nan, right=np.nan)
    frame = frame.assign(loss=loss).dropna(subset=["loss"])
    if frame.empty:
        raise SpectraError(
            f"the log of {studied.label} has no loss between its checkpoints", hint="give the log of the same run"
        )
    return frame


def chart(data: LossData) -> Chart:
    """Draw roles as colours for one run, and for several a panel for each role with a colour for each run."""
    import altair as alt

    frame = data.frame
    scale, axis = quantity_axis(frame["value"])
    across, ticks = quantity_axis(frame["loss"])
    names, several = ordered(frame["role"]), len(data.labels) > 1
    x_title = f"{' and '.join(data.kinds)} loss, falling to the right"
    x = alt.X("loss:Q", title=x_title, scale=alt.Scale(**across, reverse=True), axis=alt.Axis(**ticks))
    numbers: list[Any] = [alt.Tooltip("loss:Q", format=".4f"), alt.Tooltip("value:Q", format=".4~g")]
    drawn = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True))
        .encode(
            x=x, y=alt.Y("value:Q", title=titled(data.metric), scale=alt.Scale(**scale), axis=alt.Axis(**axis)),
            order="step:Q", tooltip=["run:N", "role:N", "revision:N", "step:Q", *numbers],
        )
    )  # fmt: skip
    shows = title(data.labels, "Points are checkpoints; the loss as logged, between two lines of the log on a line")
    if several:
        facet = alt.Facet("role:N", title=None, sort=names, columns=panel_columns(len(names)))
        return drawn.encode(color=run_colour(data.labels), facet=facet).properties(width=190, height=140, title=shows)
    return drawn.encode(**role_channels(names)).properties(width=620, height=300, title=shows)


def lines(data: LossData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the metric against the loss, one for each run."""
    frame = data.frame.rename(columns={"loss": "x", "value": "y", "role": "series"})
    return tuple(
        Panel(f"{run}: {titled(data.metric)} against the loss", "loss", data.metric, part)
        for run, part in frame.groupby("run", sort=False)
    )
