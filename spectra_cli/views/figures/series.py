"""Figures of courses over a run, a panel for each role: alignment (spectra and weights) and roles (any metric)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.frames import by_role, cursor, shared_steps, spread_by_role, step_x, steps_of, title_of
from spectra_cli.views.figures.style import RUNS, ordered, panel_columns, quantity_axis, role_scale, titled

if TYPE_CHECKING:
    from spectra_cli.studies.inputs.runs import Run

SPECTRA, WEIGHTS = "cos_spectrum_final", "cos_weights_final"
COURSES = {SPECTRA: "spectra", WEIGHTS: "weights"}
COLOURS = {"domain": ["spectra", "weights"], "range": ["#d55e00", "#0072b2"]}


def alignment(runs: Sequence[Run], options: Options) -> Chart:
    """Draw the cosine to the reference of spectra and of weights over the steps, a panel for each role."""
    import altair as alt
    import pandas as pd

    frame = pd.concat([by_role(run, [SPECTRA, WEIGHTS]) for run in runs], ignore_index=True)
    long = frame.melt(["run", "role", "step", "revision"], list(COURSES), "quantity", "cosine").dropna(subset="cosine")
    long["quantity"] = long["quantity"].map(COURSES)
    several = {"strokeDash": alt.StrokeDash("run:N", title="run", sort=None)} if len(runs) > 1 else {}
    present, steps = ordered(long["role"]), shared_steps(runs)
    legend = alt.Legend(symbolType="stroke")
    lines = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=12, filled=True))
        .encode(
            x=step_x(steps),
            y=alt.Y("cosine:Q", title="cosine to the reference", scale=alt.Scale(zero=False)),
            color=alt.Color("quantity:N", title="cosine of", scale=alt.Scale(**COLOURS), legend=legend),
            tooltip=["run:N", "role:N", "quantity:N", "revision:N", "step:Q", alt.Tooltip("cosine:Q", format=".5f")],
            **several,
        )
    )
    return (
        alt.layer(lines, *([cursor(steps)] if options.follow else []), data=long)
        .properties(width=190, height=140)
        .facet(facet=alt.Facet("role:N", sort=present, title=None), columns=panel_columns(len(present)))
        .properties(title=title_of(runs, "how near spectra and weights are to the reference"))
    )


def alignment_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of both cosines, means over all roles."""
    from spectra_cli.studies.series import means

    del options
    found = []
    for run in runs:
        frame = means(run, list(COURSES), ()).melt("step", list(COURSES), "series", "y").rename(columns={"step": "x"})
        frame["series"] = frame["series"].map(COURSES)
        known = steps_of(run)[1]
        found.append(Lines(f"{printable(run.label)}: cosine to the reference", "step", "cosine", frame, known))
    return tuple(found)


def roles(runs: Sequence[Run], options: Options) -> Chart:
    """Draw any metric over the steps, a panel for each role: the mean, and the range over its matrices as a band."""
    import altair as alt
    import pandas as pd

    metric = str(options.metric)
    frame = pd.concat([spread_by_role(run, metric) for run in runs], ignore_index=True)
    scale, axis = quantity_axis([*frame["low"], *frame["high"]])
    y = {"scale": alt.Scale(**scale), "axis": alt.Axis(**axis), "title": titled(metric)}
    numbers: list[Any] = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("mean", "low", "high", "matrices")]
    base = alt.Chart().encode(
        x=step_x(shared_steps(runs)), color=_colour(runs, frame["role"]),
        tooltip=["run:N", "role:N", "revision:N", "step:Q", *numbers],
    )  # fmt: skip
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=12, filled=True)).encode(y=alt.Y("mean:Q", **y))
    present = ordered(frame["role"])
    return (
        alt.layer(band, line, data=frame)
        .properties(width=190, height=140)
        .facet(facet=alt.Facet("role:N", sort=present, title=None), columns=panel_columns(len(present)))
        .properties(title=title_of(runs, "mean over the matrices of a role; the band spans the least and the largest"))
    )


def _colour(runs: Sequence[Run], present: Sequence[str]) -> Any:
    """Tell runs apart by colour where there are several, else the roles."""
    import altair as alt

    if len(runs) == 1:
        return alt.Color("role:N", scale=alt.Scale(**role_scale(present)), legend=None)
    names = [printable(run.label) for run in runs]
    return alt.Color("run:N", title="run", scale=alt.Scale(domain=names, range=list(RUNS)))
