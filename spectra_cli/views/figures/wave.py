"""The wave: compression by layer and step, when each layer has half of its own, and the front through these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.views.figures.axes import cursor, step_scale, step_x
from spectra_cli.views.figures.bands import are_pooled, members_of, over_seeds
from spectra_cli.views.figures.colours import SCHEME
from spectra_cli.views.figures.figure import Chart, Grid, Options
from spectra_cli.views.figures.lifecycle import FITTED, WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun

MOST_COLUMNS = 240  # checkpoints of a heat map; of more, some are left out
LOST = "compression (% of the first stable rank)"


@dataclass(frozen=True, eq=False)
class Column:
    """One run, or runs that differ by seed alone. compressed: (layers, steps), over seeds the median. says: of it.

    halves: at which step each layer has half of its largest compression; over seeds the median, with `low` and `high`.
    front: the line through these where there is one, of each run.
    """

    label: str
    says: tuple[str, ...]
    steps: NDArray[np.int64]
    compressed: NDArray[np.float64]
    halves: pd.DataFrame
    front: pd.DataFrame


@dataclass(frozen=True, eq=False)
class WaveData:
    """The waves, a record a run or pool."""

    columns: tuple[Column, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> WaveData:
    """Return the wave of each run, or pool. Raises SpectraError where a run is too short for a study over depth."""
    if are_pooled(runs):
        columns = [_together(label, members, options.metric) for label, members in members_of(runs).items()]
    else:
        columns = [_column_of(studied, options.metric) for studied in runs]
    return WaveData(tuple(columns), options.follow)


def _column_of(studied: StudiedRun, metric: str | None) -> Column:
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import wave_verdict

    study = studied.lifecycle(metric)
    front = _front(study)
    shows = "Dots: half of a layer's largest compression" + ("; dashed: the front" if len(front) else "")
    halves = pd.DataFrame({"layer": np.arange(len(study.compressed)), "step": study.wave.half_steps}).dropna()
    return Column(studied.label, (shows, wave_verdict(study)), study.steps, study.compressed, halves, front)


def _together(label: str, members: Sequence[StudiedRun], metric: str | None) -> Column:
    """Return the medians over the runs of a pool, with the range of each layer's half and all of their fronts."""
    import pandas as pd

    columns = [_column_of(studied, metric) for studied in members]
    lines = [
        pd.DataFrame(each.compressed, columns=each.steps)
        .melt(var_name="step", ignore_index=False)
        .assign(run=each.label)
        for each in columns
    ]
    named = pd.concat(lines).rename_axis("layer").reset_index().dropna()
    table = over_seeds(named, members, "value", ("layer",)).pivot(index="layer", columns="step", values="value")
    known = pd.concat([each.halves for each in columns]).groupby("layer")["step"]
    halves = known.agg(step="median", low="min", high="max", runs="count").reset_index()
    front = pd.concat([each.front.assign(run=each.label) for each in columns], ignore_index=True)
    shows = (
        "Colours: the median over runs that differ by seed alone; dots and bars: half of a layer's largest compression"
    )
    dashed = ("Dashed: the front of each run that has one",) if len(front) else ()
    says = (f"{shows}, the median and from the least to the greatest", *dashed)
    return Column(
        label, says, table.columns.to_numpy(np.int64), table.to_numpy(), halves[halves["runs"] == len(members)], front
    )


def _cells(column: Column) -> pd.DataFrame:
    """Return a rectangle around each layer and checkpoint; halfway between checkpoints by log(1 + step)."""
    import pandas as pd

    steps, compressed = column.steps, column.compressed
    many = min(MOST_COLUMNS, len(steps))
    shown = np.unique(np.round(np.linspace(0, len(steps) - 1, many))).astype(int)
    at = np.log1p(steps[shown].astype(float))
    edges = np.expm1(np.concatenate((at[:1], (at[1:] + at[:-1]) / 2, at[-1:])))
    layer, index = (indices.ravel() for indices in np.indices((len(compressed), len(shown))))
    frame = pd.DataFrame(
        {
            "layer": layer, "low": layer - 0.5, "high": layer + 0.5, "at": steps[shown][index],
            "step": edges[index], "end": edges[index + 1], "value": compressed[:, shown].ravel(),
        }
    )  # fmt: skip
    return frame.dropna(subset="value")


def _front(study: Lifecycle) -> pd.DataFrame:
    """Return the line through the arrivals within the picture; nothing where the wave is not significant."""
    import pandas as pd

    from spectra_cli.studies.lifecycle import CHANCE

    wave = study.wave
    layers = np.linspace(-0.5, len(study.compressed) - 0.5, FITTED)
    if not wave.p < CHANCE or not wave.velocity:
        layers = layers[:0]
    steps = (layers - wave.start) / wave.velocity
    inside = (steps >= study.steps[0]) & (steps <= study.steps[-1])
    return pd.DataFrame({"layer": layers[inside], "step": steps[inside]})


def chart(data: WaveData) -> Chart:
    """Draw one column for each run or pool."""
    return side_by_side([_drawn(column, follow=data.follow) for column in data.columns])


def _drawn(column: Column, *, follow: bool) -> Chart:
    import altair as alt

    steps, layers = step_scale(column.steps.tolist()), len(column.compressed)
    marks = [_heatmap(column)]
    at = {"x": alt.X("step:Q"), "y": alt.Y("layer:Q")}
    if len(column.front):
        line = alt.Chart(column.front).mark_line(color="white", strokeWidth=2.5, strokeDash=[7, 4], clip=True)
        apart = {"detail": "run:N"} if "run" in column.front else {}
        marks.append(line.encode(**at, order="layer:Q", **apart))
    if "low" in column.halves:
        bars = alt.Chart(column.halves).mark_rule(color="white", strokeWidth=2)
        marks.append(bars.encode(x="low:Q", x2="high:Q", y=at["y"]))
    points = alt.Chart(column.halves).mark_point(shape="circle", filled=True, size=44, color="white", stroke="black")
    marks.append(points.encode(**at, tooltip=["layer:Q", alt.Tooltip("step:Q", format=".3~g", title="half at")]))
    if follow:
        marks.append(cursor(steps))
    return (
        alt.layer(*marks)
        .properties(
            width=WIDTH, height=max(110, min(320, 18 * layers)), title=title(column.label, *column.says)
        )
        .resolve_scale(color="independent")
    )  # fmt: skip


def _heatmap(column: Column) -> Chart:
    import altair as alt

    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    axis = alt.Axis(tickMinStep=1, format="d", grid=False)
    scale = alt.Scale(domain=[-0.5, len(column.compressed) - 0.5], nice=False)
    return (
        alt.Chart(_cells(column))
        .mark_rect()
        .encode(
            x=step_x(step_scale(column.steps.tolist()), grid=False), x2="end:Q",
            y=alt.Y("low:Q", title="layer", axis=axis, scale=scale), y2="high:Q",
            color=alt.Color("value:Q", title=LOST, scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=[
                "layer:Q", alt.Tooltip("at:Q", title="step"),
                alt.Tooltip("value:Q", title="compression in %", format=".1f"),
            ],
        )
    )  # fmt: skip


def lines(data: WaveData) -> tuple[Grid, ...]:
    """Return the terminal's heat maps of compression, one for each run or pool, with each layer's half marked."""
    grids = []
    for column in data.columns:
        axes = tuple(map(str, range(len(column.compressed)))), tuple(f"{step:,}" for step in column.steps)
        marks = np.full(len(column.compressed), np.nan)
        marks[column.halves["layer"]] = np.interp(column.halves["step"], column.steps, np.arange(len(column.steps)))
        legend = "half of a layer's largest compression"
        grids.append(
            Grid(f"{column.label}: {LOST}", "step", "layer", column.compressed, *axes, marks=marks, legend=legend)
        )
    return tuple(grids)
