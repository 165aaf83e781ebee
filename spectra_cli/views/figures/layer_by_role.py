"""The snapshot: any metric by layer and role at one checkpoint, or at each of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.axes import is_wide, titled
from spectra_cli.views.figures.colours import SCHEME, ordered
from spectra_cli.views.figures.figure import Chart, Grid, Options
from spectra_cli.views.figures.frames import by_layer, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class SnapshotData:
    """A metric by run, role and layer, as `value`, at the checkpoints shown; panel: the run and its checkpoint."""

    metric: str
    labels: tuple[str, ...]
    frame: pd.DataFrame


def prepare(runs: Sequence[StudiedRun], options: Options) -> SnapshotData:
    """Return the metric chosen at the steps chosen, else at the last checkpoint that has it."""
    import pandas as pd

    from spectra_cli.studies.series import pick

    metric, parts = str(options.metric), []
    for studied in runs:
        frame = by_layer([studied], metric)
        orders = sorted(frame["order"].unique())
        picked = pick(studied.run, options.steps, 1, orders) if options.steps else orders[-1:]
        parts.append(frame[frame["order"].isin(picked)])
    shown = pd.concat(parts, ignore_index=True)
    shown["panel"] = shown["run"] + ", " + shown["revision"]
    return SnapshotData(metric, tuple(studied.label for studied in runs), shown)


def chart(data: SnapshotData) -> Chart:
    """Draw a panel for each checkpoint: layers across, roles down, the value as colour and in digits."""
    import altair as alt

    frame, metric = data.frame, data.metric
    scale: Any = {"type": "log"} if is_wide(frame["value"]) else {}
    roles, names = ordered(frame["role"]), frame["panel"].unique().tolist()
    return (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", ticks=False)),
            y=alt.Y("role:N", title=None, sort=roles, axis=alt.Axis(ticks=False)),
            color=alt.Color(
                "value:Q", title=titled(metric), scale=alt.Scale(scheme=SCHEME, **scale),
                legend=alt.Legend(orient="bottom", gradientLength=260),
            ),
            tooltip=["run:N", "role:N", "layer:O", "revision:N", alt.Tooltip("value:Q", title=metric, format=".4~g")],
            facet=alt.Facet("panel:N", title=None, sort=names, columns=min(2, len(names))),
        )
        .properties(
            width=max(150, min(400, 24 * frame["layer"].nunique())), height=22 * len(roles),
            title=title(data.labels, "Mean over the matrices of a role in a layer"),
        )
    )  # fmt: skip


def lines(data: SnapshotData) -> tuple[Grid, ...]:
    """Return the terminal's heat maps, one for each checkpoint."""
    grids = []
    for name, part in data.frame.groupby("panel", sort=False):
        cells = part.pivot_table("value", "role", "layer", observed=True).reindex(ordered(part["role"])[::-1])
        axes = tuple(map(str, cells.index)), tuple(map(str, cells.columns))
        heading = f"{name}: {titled(data.metric)}"
        grids.append(Grid(heading, "layer", "role", cells.to_numpy(float), *axes, is_wide(part["value"])))
    return tuple(grids)
