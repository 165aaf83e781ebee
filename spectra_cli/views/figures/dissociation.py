"""Rank and shape apart: an exponent against compression layer by layer, and the slopes of both over depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x, titled, zero_line
from spectra_cli.views.figures.colours import RUN_COLOURS, SCHEME
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Gradient, Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun

RANK = "compression"


@dataclass(frozen=True, eq=False)
class Apart:
    """One run. paths: `compression` (%) and `value`, the exponent, by layer and step. slopes: `share` of the largest.

    turns: `step` and `quantity`.
    """

    study: Lifecycle
    paths: pd.DataFrame
    slopes: pd.DataFrame
    turns: pd.DataFrame


@dataclass(frozen=True, eq=False)
class DissociationData:
    """The runs, a record each."""

    runs: tuple[Apart, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> DissociationData:
    """Return rank and shape of each run. Raises SpectraError where one is too short, or has no exponent."""
    return DissociationData(tuple(_apart(studied.lifecycle(options.metric)) for studied in runs), options.follow)


def _apart(study: Lifecycle) -> Apart:
    import pandas as pd

    exponent = study.alpha_gradient
    if exponent is None:
        raise SpectraError(f"{study.label} holds no {study.alpha} over depth", hint="scan it again with that metric")
    layers, places = np.indices(study.compressed.shape)
    paths = {
        "layer": layers.ravel(), "step": study.steps[places.ravel()],
        "compression": study.compressed.ravel(), "value": exponent.values.ravel(),
    }  # fmt: skip
    gradients = ((RANK, study.gradient), (printable(study.alpha), exponent))
    turns = [(step, name) for name, gradient in gradients for step in gradient.turns]
    slopes = pd.concat([_shares(name, gradient) for name, gradient in gradients], ignore_index=True)
    return Apart(study, pd.DataFrame(paths).dropna(), slopes, pd.DataFrame(turns, columns=["step", "quantity"]))


def _shares(name: str, gradient: Gradient) -> pd.DataFrame:
    """Return the slopes of a quantity over depth, in units of the largest, with their sign."""
    import pandas as pd

    slopes = np.array([fit.slope if fit else np.nan for fit in gradient.trends])
    largest = np.nanmax(np.abs(slopes), initial=0.0) or 1.0
    return pd.DataFrame({"quantity": name, "step": gradient.steps, "slope": slopes, "share": slopes / largest}).dropna()


def chart(data: DissociationData) -> Chart:
    """Draw one column for each run: the layers' paths above, the slopes beneath."""
    return side_by_side([_column(run, follow=data.follow) for run in data.runs])


def _column(run: Apart, *, follow: bool) -> Chart:
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import dissociation_verdict

    panels = alt.vconcat(_paths(run), _slopes(run, follow=follow), spacing=12).resolve_scale(color="independent")
    shows = "Above: a line a layer, a point a checkpoint, means over its matrices; beneath, dashed: a turn"
    return panels.properties(title=title(run.study.label, shows, dissociation_verdict(run.study)))


def _paths(run: Apart) -> Chart:
    import altair as alt

    colour = alt.Color(
        "layer:Q", title="layer", scale=alt.Scale(scheme=SCHEME), legend=alt.Legend(tickMinStep=1, format="d")
    )
    numbers = [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("compression", "value")]
    return (
        alt.Chart(run.paths)
        .mark_line(point=alt.OverlayMarkDef(size=14, filled=True), strokeJoin="round")
        .encode(
            x=alt.X("compression:Q", title="compression of the stable rank (%)", scale=alt.Scale(nice=False)),
            y=alt.Y("value:Q", title=titled(run.study.alpha), scale=alt.Scale(zero=False)),
            color=colour, detail="layer:N", order="step:Q",
            tooltip=["layer:Q", "step:Q", *numbers],
        )
        .properties(width=WIDTH, height=260)
    )  # fmt: skip


def _slopes(run: Apart, *, follow: bool) -> Chart:
    import altair as alt

    steps, names = step_scale(run.study.steps.tolist()), list(run.slopes["quantity"].unique())
    scale = alt.Scale(domain=names, range=list(RUN_COLOURS[: len(names)]))
    colour = alt.Color("quantity:N", title="slope over depth of", scale=scale, legend=alt.Legend(symbolType="stroke"))
    tips = ["quantity:N", "step:Q", alt.Tooltip("slope:Q", format=".3~g")]
    y = alt.Y("share:Q", title=["slope over depth,", "share of its largest"], scale=alt.Scale(nice=False))
    line = alt.Chart(run.slopes).mark_line(point=alt.OverlayMarkDef(size=14, filled=True))
    turned = alt.Chart(run.turns).mark_rule(strokeDash=[4, 4], strokeWidth=1.6).encode(x="step:Q", color=colour)
    marks = [
        zero_line(),
        line.encode(x=step_x(steps), y=y, color=colour, tooltip=tips),
        *([turned] if len(run.turns) else []),
        *([cursor(steps)] if follow else []),
    ]
    return alt.layer(*marks).properties(width=WIDTH, height=140)


def lines(data: DissociationData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the paths of layers and of both slopes, for each run."""
    panels = []
    for run in data.runs:
        label, name = printable(run.study.label), titled(run.study.alpha)
        paths = run.paths.rename(columns={"compression": "x", "value": "y"})
        paths["series"] = "layer " + paths["layer"].astype(str)
        panels.append(Panel(f"{label}: {name} against compression (%)", RANK, name, paths))
        slopes = run.slopes.rename(columns={"step": "x", "share": "y", "quantity": "series"})
        panels.append(Panel(f"{label}: slopes over depth", "step", "share of the largest", slopes, log_x=True))
    return tuple(panels)
