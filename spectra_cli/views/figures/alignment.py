"""The figure of alignment: cosines of spectra and of weights to the reference over the steps, a panel for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.views.figures.axes import cursor, panel_columns, step_x
from spectra_cli.views.figures.bands import BAND, are_pooled, banded, labels_of, over_seeds
from spectra_cli.views.figures.colours import dashes, ordered, run_colour
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_role, shared_steps, steps_of, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

SPECTRA, WEIGHTS = "cos_spectrum_final", "cos_weights_final"
QUANTITIES = {SPECTRA: "spectra", WEIGHTS: "weights"}
DIRECTION = "1 is the direction of the reference itself"
COLOURS = {"domain": ["spectra", "weights"], "range": ["#d55e00", "#0072b2"]}


@dataclass(frozen=True, eq=False)
class AlignmentData:
    """The cosines by role (run, role, step, revision, quantity, cosine), and means over all roles, a frame a run.

    steps: the axis, of `axes.step_scale`. are_steps: for each run, whether its checkpoints stand at steps.
    """

    runs: tuple[StudiedRun, ...]
    frame: pd.DataFrame
    overall: tuple[pd.DataFrame, ...]
    steps: dict[str, Any]
    are_steps: tuple[bool, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> AlignmentData:
    """Return both cosines to the reference, by role and over all roles."""
    import pandas as pd

    from spectra_cli.studies.series import means

    frame = pd.concat([by_role(studied.run, [SPECTRA, WEIGHTS]) for studied in runs], ignore_index=True)
    long = frame.melt(["run", "role", "step", "revision"], list(QUANTITIES), "quantity", "cosine")
    long = long.dropna(subset="cosine")
    long["quantity"] = long["quantity"].map(QUANTITIES)
    return AlignmentData(
        runs=tuple(runs),
        frame=over_seeds(long, runs, "cosine", ("role", "quantity")),
        overall=tuple(means(studied.run, list(QUANTITIES), ()) for studied in runs),
        steps=shared_steps(runs),
        are_steps=tuple(steps_of(studied.run)[1] for studied in runs),
        follow=options.follow,
    )


def chart(data: AlignmentData) -> Chart:
    """Draw a panel for each role."""
    import altair as alt

    roles, labels = ordered(data.frame["role"]), labels_of(data.runs)
    curves = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=12, filled=True))
        .encode(
            x=step_x(data.steps),
            y=alt.Y("cosine:Q", title="cosine to the reference", scale=alt.Scale(zero=False)),
            tooltip=["run:N", "role:N", "quantity:N", "revision:N", "step:Q", alt.Tooltip("cosine:Q", format=".5f")],
            **_channels(labels),
        )
    )
    return (
        alt.layer(
            banded(curves, data.runs, ("quantity",)), *([cursor(data.steps)] if data.follow else []), data=data.frame
        )
        .properties(width=190, height=140)
        .facet(facet=alt.Facet("role:N", sort=roles, title=None), columns=panel_columns(len(roles)))
        .properties(title=title(labels, [DIRECTION, *([BAND] if are_pooled(data.runs) else [])]))
    )


def _channels(labels: Sequence[str]) -> dict[str, Any]:
    """Return what tells spectra from weights: colours; dashes where there are several runs, whose colours they have."""
    import altair as alt

    of, legend = "quantity:N", alt.Legend(symbolType="stroke")
    if len(labels) == 1:
        return {"color": alt.Color(of, title="cosine of", scale=alt.Scale(**COLOURS), legend=legend)}
    dash = alt.StrokeDash(of, title="cosine of", scale=alt.Scale(**dashes(COLOURS["domain"])), legend=legend)
    return {"color": run_colour(labels), "strokeDash": dash}


def lines(data: AlignmentData) -> tuple[Panel, ...]:
    """Return the terminal's panels of both cosines, means over all roles."""
    panels = []
    for studied, frame, are_steps in zip(data.runs, data.overall, data.are_steps, strict=True):
        long = frame.melt("step", list(QUANTITIES), "series", "y").rename(columns={"step": "x"})
        long["series"] = long["series"].map(QUANTITIES)
        panels.append(Panel(f"{studied.label}: cosine to the reference", "step", "cosine", long, are_steps))
    return tuple(panels)
