"""The figure of compression: how much of its stable rank each kind of matrix has lost, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import panel_columns, step_scale, step_x
from spectra_cli.views.figures.colours import ordered, role_scale, run_colour
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun

NAME = "compression of the stable rank (%)"


@dataclass(frozen=True, eq=False)
class CompressionData:
    """Compression in % by run, role and step, as `value`, mean over the layers."""

    studies: tuple[Lifecycle, ...]
    frame: pd.DataFrame


def prepare(runs: Sequence[StudiedRun], options: Options) -> CompressionData:
    """Return the compression of each role. Raises SpectraError where a run is too short for a study over depth."""
    import pandas as pd

    del options
    studies = tuple(studied.lifecycle() for studied in runs)
    frames = [
        pd.DataFrame({"run": printable(study.label), "role": printable(role), "step": study.steps, "value": values})
        for study in studies
        for role, values in study.by_role.items()
    ]
    return CompressionData(studies, pd.concat(frames, ignore_index=True).dropna())


def chart(data: CompressionData) -> Chart:
    """Draw a line for each role, and of several runs a panel for each role with a line for each run."""
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import compression_verdict

    labels, names = [printable(study.label) for study in data.studies], ordered(data.frame["role"])
    steps = step_scale([int(step) for study in data.studies for step in study.steps])
    drawn = alt.Chart(data.frame).mark_line(point=alt.OverlayMarkDef(size=14, filled=True))
    y = alt.Y("value:Q", title=NAME, scale=alt.Scale(nice=False))
    tips = ["run:N", "role:N", "step:Q", alt.Tooltip("value:Q", format=".3~g")]
    base = drawn.encode(x=step_x(steps), y=y, tooltip=tips)
    if len(labels) > 1:
        facet = alt.Facet("role:N", title=None, sort=names, columns=panel_columns(len(names)))
        shows = title(labels, "Means over layers, a panel for each kind of matrix")
        return base.encode(color=run_colour(labels), facet=facet).properties(width=190, height=140, title=shows)
    shows = title(labels, ["Means over layers", compression_verdict(data.studies[0])])
    legend = alt.Legend(symbolType="stroke")
    colour = alt.Color("role:N", title="role", scale=alt.Scale(**role_scale(names)), legend=legend)
    dash = alt.StrokeDash("role:N", title="role", scale=alt.Scale(**role_scale(names, 1)), legend=legend)
    return base.encode(color=colour, strokeDash=dash).properties(width=620, height=300, title=shows)


def lines(data: CompressionData) -> tuple[Panel, ...]:
    """Return the terminal's panels of compression over the steps, one for each run."""
    frame = data.frame.rename(columns={"step": "x", "value": "y", "role": "series"})
    return tuple(
        Panel(f"{run}: {NAME}", "step", "compression", part, log_x=True)
        for run, part in frame.groupby("run", sort=False)
    )
