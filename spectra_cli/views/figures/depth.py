"""Figures of a metric over depth: heatmap (layer × step) and profile (over layers, at chosen steps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.frames import by_layer, step_title, title_of
from spectra_cli.views.figures.style import SCHEME, is_wide, ordered, panel_columns, quantity_axis, titled

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run

FEW_STEPS = 6


def heatmap(runs: Sequence[Run], options: Options) -> Chart:
    """Draw a metric by layer and checkpoint, a panel for each role, a row of panels for each run."""
    import altair as alt

    metric = str(options.metric)
    frame = _by_layer(runs, metric)
    layers, steps = int(frame["layer"].max()) + 1, frame["step"].nunique()
    kind: Any = {"type": "log"} if is_wide(frame["value"]) else {}
    x = alt.Axis(labelOverlap="greedy", labelSeparation=6, labelAngle=0, ticks=False, labelFlush=True)
    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    return (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("step:O", title=step_title(runs), axis=x),
            y=alt.Y("layer:O", title="layer", sort="descending", axis=alt.Axis(labelOverlap="greedy", ticks=False)),
            color=alt.Color("value:Q", title=titled(metric), scale=alt.Scale(scheme=SCHEME, **kind), legend=legend),
            tooltip=["run:N", "role:N", "layer:O", "revision:N", alt.Tooltip("value:Q", title=metric, format=".4~g")],
            **_panels(runs, frame),
        )
        .properties(
            width=max(150, min(260, 6 * steps)),
            height=max(90, min(220, 14 * layers)),
            title=title_of(runs, f"{titled(metric)}; each column is a checkpoint, not to scale"),
        )
    )


def _panels(runs: Sequence[Run], frame: pd.DataFrame) -> dict[str, Any]:
    """Give a panel for each role, and where there are several runs a row for each."""
    import altair as alt

    roles = ordered(frame["role"])
    if len(runs) == 1:
        return {"facet": alt.Facet("role:N", sort=roles, title=None, columns=panel_columns(len(roles)))}
    return {"row": alt.Row("run:N", title=None, sort=None), "column": alt.Column("role:N", sort=roles, title=None)}


def profile(runs: Sequence[Run], options: Options) -> Chart:
    """Draw a metric over depth, a line for each of a few checkpoints, a panel for each role."""
    import altair as alt

    metric = str(options.metric)
    frame = _at_steps(runs, options, metric)
    scale, axis = quantity_axis(frame["value"])
    several = {"strokeDash": alt.StrokeDash("run:N", title="run", sort=None)} if len(runs) > 1 else {}
    roles = ordered(frame["role"])
    x = alt.Axis(tickMinStep=1, format="d")
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=14, filled=True))
        .encode(
            x=alt.X("layer:Q", title="layer", axis=x, scale=alt.Scale(zero=False, nice=False, padding=4)),
            y=alt.Y("value:Q", title=titled(metric), scale=alt.Scale(**scale), axis=alt.Axis(**axis)),
            color=alt.Color(
                "step:O", title=step_title(runs), scale=alt.Scale(scheme=SCHEME), legend=alt.Legend(symbolType="stroke")
            ),
            tooltip=["run:N", "role:N", "layer:Q", "revision:N", alt.Tooltip("value:Q", title=metric, format=".4~g")],
            facet=alt.Facet("role:N", sort=roles, title=None, columns=panel_columns(len(roles))),
            **several,
        )
        .properties(width=190, height=150, title=title_of(runs, "over depth, at a few checkpoints"))
    )


def profile_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of a metric over depth, one for each run and role."""
    metric = str(options.metric)
    frame = _at_steps(runs, options, metric).rename(columns={"layer": "x", "value": "y"})
    frame["series"] = "step " + frame["step"].astype(str)
    return tuple(
        Lines(f"{run}, {role}: {titled(metric)} over layers", "layer", metric, lines, False, is_wide(lines["y"]))
        for (run, role), lines in frame.groupby(["run", "role"], sort=False)
    )


def heatmap_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of a metric over the steps, one for each run and role, a line for each layer."""
    metric = str(options.metric)
    frame = _by_layer(runs, metric).rename(columns={"step": "x", "value": "y"})
    frame["series"] = "layer " + frame["layer"].astype(str)
    return tuple(
        Lines(f"{run}, {role}: {titled(metric)} by layer", "step", metric, lines, True, is_wide(lines["y"]))
        for (run, role), lines in frame.groupby(["run", "role"], sort=False)
    )


def _by_layer(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    import pandas as pd

    found = pd.concat([by_layer(run, metric) for run in runs], ignore_index=True)
    if found.empty:
        raise SpectraError(
            f"no matrix of {', '.join(run.label for run in runs)} that lies in a layer has {metric}",
            hint="embeddings have no layer: choose other --roles or another --metric",
        )
    return found


def _at_steps(runs: Sequence[Run], options: Options, metric: str) -> pd.DataFrame:
    from spectra_cli.studies.series import pick

    frame = _by_layer(runs, metric)
    keep = frame["order"] < 0
    for run in runs:
        known = run.checkpoints.index[run.checkpoints.index.isin(frame["order"])]
        chosen = pick(run, options.steps, FEW_STEPS, known)
        keep |= (frame["run"] == printable(run.label)) & frame["order"].isin(chosen)
    return frame[keep]
