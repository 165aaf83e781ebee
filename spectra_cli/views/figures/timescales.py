"""The two timescales: how far stable rank and an exponent still have to go, and the exponentials fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x, zero_line
from spectra_cli.views.figures.bands import BAND, are_pooled, banded, members_of, over_seeds
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import FITTED, WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Approach:
    """How one run, or runs that differ by seed alone, approach their ends, and what is said of it.

    points: what was measured; over seeds its median and range. curves: fitted; none over seeds. taus: each τ, of one
    run with its interval. `left` is 1 at the fitted start, 0 at the fitted end, 1/e at τ; without a fit, from first to
    last.
    """

    label: str
    says: tuple[str, ...]
    steps: tuple[int, ...]
    points: pd.DataFrame
    curves: pd.DataFrame
    taus: pd.DataFrame


@dataclass(frozen=True, eq=False)
class TimescalesData:
    """The approaches, a record a run or pool."""

    runs: tuple[StudiedRun, ...]
    columns: tuple[Approach, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> TimescalesData:
    """Return the timescales of each run, or pool. Raises SpectraError where a run is too short for such a study."""
    if are_pooled(runs):
        columns = [_together(label, members, options.metric) for label, members in members_of(runs).items()]
    else:
        columns = [_approach(studied, options.metric) for studied in runs]
    return TimescalesData(tuple(runs), tuple(columns), options.follow)


def _together(label: str, members: Sequence[StudiedRun], metric: str | None) -> Approach:
    """Return the median and range of how far the runs of a pool still have to go, and all of their τ."""
    import pandas as pd

    each = [_approach(studied, metric) for studied in members]
    points = pd.concat([approach.points.assign(run=approach.label) for approach in each], ignore_index=True).dropna()
    taus = pd.concat([approach.taus[["quantity", "step"]] for approach in each], ignore_index=True)
    shared = over_seeds(points, members, "left", ("quantity",))
    says = (f"Means over layers. {BAND}", "Dashed: each run's τ")
    return Approach(label, says, each[0].steps, shared, each[0].curves.iloc[:0], taus)


def _approach(studied: StudiedRun, metric: str | None) -> Approach:
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import timescale_verdict

    study = studied.lifecycle(metric)
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
    says = ("Means over layers; lines: the fits; dashed: τ, with 90% intervals", timescale_verdict(study))
    return Approach(studied.label, says, tuple(study.steps.tolist()), *parts)


def chart(data: TimescalesData) -> Chart:
    """Draw one column for each run or pool."""
    return side_by_side([_column(column, data) for column in data.columns])


def _column(column: Approach, data: TimescalesData) -> Chart:
    import altair as alt

    steps = step_scale(list(column.steps))
    names = list(dict.fromkeys(column.points["quantity"]))
    scale = alt.Scale(domain=names, range=list(RUN_COLOURS[: len(names)]))
    colour = alt.Color("quantity:N", title="quantity", scale=scale, legend=alt.Legend(symbolType="stroke"))
    unlisted = alt.Color("quantity:N", scale=scale, legend=None)
    y = alt.Y("left:Q", title=["share of the way", "still to go"], scale=alt.Scale(domain=_domain(column.points)))
    at = {"x": step_x(steps), "y": y}
    measured = "value" if "value" in column.points else "left"
    tips = ["quantity:N", "step:Q", alt.Tooltip(f"{measured}:Q", format=".4~g")]
    dots = alt.Chart(column.points).mark_point(filled=True, size=26, clip=True)
    curve = alt.Chart(column.points if are_pooled(data.runs) else column.curves).mark_line(clip=True)
    rect = alt.Chart(column.taus).mark_rect(opacity=0.12).encode(x="low:Q", x2="high:Q", color=unlisted)
    dashed = alt.Chart(column.taus).mark_rule(strokeDash=[4, 4], strokeWidth=1.6).encode(x="step:Q", color=unlisted)
    marks = [
        *([rect] if "low" in column.taus and len(column.taus) else []),
        zero_line(),
        dots.encode(**at, color=unlisted, tooltip=tips),
        banded(curve.encode(**at, color=colour), data.runs),
        *([dashed] if len(column.taus) else []),
        *([cursor(steps)] if data.follow else []),
    ]
    return (
        alt.layer(*marks)
        .resolve_scale(color="independent")
        .properties(width=WIDTH, height=260, title=title(column.label, *column.says))
    )


def _domain(points: pd.DataFrame) -> list[float]:
    return [min(-0.1, float(points["left"].min())), max(1.1, min(2.0, float(points["left"].max())))]


def lines(data: TimescalesData) -> tuple[Panel, ...]:
    """Return the terminal's panels of how far stable rank and exponent still have to go, one for each run or pool."""
    panels = []
    for column in data.columns:
        frame = column.points.rename(columns={"step": "x", "left": "y", "quantity": "series"}).dropna()
        panels.append(Panel(f"{column.label}: share of the way still to go", "step", "share", frame, log_x=True))
    return tuple(panels)
