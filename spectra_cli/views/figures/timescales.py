"""The two timescales: how far stable rank and an exponent still have to go, and the exponentials fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x, zero_line
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import FITTED, WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Approach:
    """How one run approaches its ends: the points measured, the curves fitted, and each τ with its interval.

    `left` is 1 at the fitted start, 0 at the fitted end, 1/e at τ; without a fit, from first to last.
    """

    study: Lifecycle
    points: pd.DataFrame
    curves: pd.DataFrame
    taus: pd.DataFrame


@dataclass(frozen=True, eq=False)
class TimescalesData:
    """The approaches, a record a run."""

    runs: tuple[Approach, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> TimescalesData:
    """Return the timescales of each run. Raises SpectraError where a run is too short for a study over depth."""
    return TimescalesData(tuple(_approach(studied.lifecycle(options.metric)) for studied in runs), options.follow)


def _approach(study: Lifecycle) -> Approach:
    import pandas as pd

    points, curves, taus = [], [], []
    steps, times = study.steps.astype(float), study.timescales
    dense = np.expm1(np.linspace(np.log1p(steps[0]), np.log1p(steps[-1]), 4 * FITTED))
    quantities = (
        ("stable rank", times.rank_series, times.rank),
        (printable(study.alpha), times.alpha_series, times.alpha),
    )
    for name, values, fit in quantities:
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        start, end = (fit.start, fit.end) if fit else (finite[0], finite[-1])
        way = start - end or 1.0
        points.append(pd.DataFrame({"quantity": name, "step": steps, "value": values, "left": (values - end) / way}))
        if fit:
            curves.append(pd.DataFrame({"quantity": name, "step": dense, "left": (fit.at(dense) - end) / way}))
            low, high = fit.tau_interval
            edges = {"low": max(low, steps[0]), "high": min(high, steps[-1])}
            if fit.tau <= steps[-1]:
                taus.append(pd.DataFrame({"quantity": [name], "step": fit.tau, **edges}))
    empty = pd.DataFrame({name: [] for name in ("quantity", "step", "left", "value", "low", "high")})
    parts = (pd.concat(frames, ignore_index=True) if frames else empty for frames in (points, curves, taus))
    return Approach(study, *parts)


def chart(data: TimescalesData) -> Chart:
    """Draw one column for each run."""
    return side_by_side([_column(run, follow=data.follow) for run in data.runs])


def _column(run: Approach, *, follow: bool) -> Chart:
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import timescale_verdict

    steps = step_scale(run.study.steps.tolist())
    quantities = ("stable rank", printable(run.study.alpha))
    names = [name for name in quantities if (run.points["quantity"] == name).any()]
    scale = alt.Scale(domain=names, range=list(RUN_COLOURS[: len(names)]))
    colour = alt.Color("quantity:N", title="quantity", scale=scale, legend=alt.Legend(symbolType="stroke"))
    unlisted = alt.Color("quantity:N", scale=scale, legend=None)
    y = alt.Y("left:Q", title=["share of the way", "still to go"], scale=alt.Scale(domain=_domain(run.points)))
    tips = ["quantity:N", "step:Q", alt.Tooltip("value:Q", format=".4~g")]
    rect = alt.Chart(run.taus).mark_rect(opacity=0.12).encode(x="low:Q", x2="high:Q", color=unlisted)
    dashed = alt.Chart(run.taus).mark_rule(strokeDash=[4, 4], strokeWidth=1.6).encode(x="step:Q", color=unlisted)
    marks = [
        *([rect] if len(run.taus) else []),
        zero_line(),
        alt.Chart(run.points).mark_point(filled=True, size=26, clip=True).encode(
            x=step_x(steps), y=y, color=unlisted, tooltip=tips
        ),
        alt.Chart(run.curves).mark_line(clip=True).encode(x=step_x(steps), y=y, color=colour),
        *([dashed] if len(run.taus) else []),
        *([cursor(steps)] if follow else []),
    ]  # fmt: skip
    shows = "Means over layers; lines: the fits; dashed: τ, with 90% intervals"
    return (
        alt.layer(*marks)
        .resolve_scale(color="independent")
        .properties(width=WIDTH, height=260, title=title(run.study.label, shows, timescale_verdict(run.study)))
    )


def _domain(points: pd.DataFrame) -> list[float]:
    return [min(-0.1, float(points["left"].min())), max(1.1, min(2.0, float(points["left"].max())))]


def lines(data: TimescalesData) -> tuple[Panel, ...]:
    """Return the terminal's panels of how far stable rank and exponent still have to go, one for each run."""
    panels = []
    for run in data.runs:
        frame = run.points.rename(columns={"step": "x", "left": "y", "quantity": "series"}).dropna()
        heading = f"{printable(run.study.label)}: share of the way still to go"
        panels.append(Panel(heading, "step", "share", frame, log_x=True))
    return tuple(panels)
