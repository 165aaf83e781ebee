"""The wave: compression by layer and step, when each layer has half of its own, and the front through these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x
from spectra_cli.views.figures.colours import SCHEME
from spectra_cli.views.figures.figure import Chart, Grid, Options
from spectra_cli.views.figures.lifecycle import FITTED, WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun

MOST_COLUMNS = 240  # checkpoints of a heat map; of more, some are left out
LOST = "compression (% of the first stable rank)"


@dataclass(frozen=True, eq=False)
class RunWave:
    """One run: a rectangle a layer and checkpoint, the steps of half compression, the front where there is one."""

    study: Lifecycle
    cells: pd.DataFrame
    halves: pd.DataFrame
    front: pd.DataFrame


@dataclass(frozen=True, eq=False)
class WaveData:
    """The waves, a record a run."""

    runs: tuple[RunWave, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> WaveData:
    """Return the wave of each run. Raises SpectraError where a run is too short for a study over depth."""
    return WaveData(tuple(_prepare(studied.lifecycle(options.metric)) for studied in runs), options.follow)


def _prepare(study: Lifecycle) -> RunWave:
    import pandas as pd

    halves = pd.DataFrame({"layer": np.arange(len(study.compressed)), "step": study.wave.half_steps}).dropna()
    return RunWave(study, _cells(study), halves, _front(study))


def _cells(study: Lifecycle) -> pd.DataFrame:
    """Return a rectangle around each layer and checkpoint; halfway between checkpoints by log(1 + step)."""
    import pandas as pd

    many = min(MOST_COLUMNS, len(study.steps))
    shown = np.unique(np.round(np.linspace(0, len(study.steps) - 1, many))).astype(int)
    at = np.log1p(study.steps[shown].astype(float))
    edges = np.expm1(np.concatenate((at[:1], (at[1:] + at[:-1]) / 2, at[-1:])))
    layer, column = (index.ravel() for index in np.indices((len(study.compressed), len(shown))))
    frame = pd.DataFrame(
        {
            "layer": layer, "low": layer - 0.5, "high": layer + 0.5, "at": study.steps[shown][column],
            "step": edges[column], "end": edges[column + 1], "value": study.compressed[:, shown].ravel(),
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
    """Draw one column for each run."""
    return side_by_side([_column(run, follow=data.follow) for run in data.runs])


def _column(run: RunWave, *, follow: bool) -> Chart:
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import wave_verdict

    steps, layers = step_scale(run.study.steps.tolist()), len(run.study.compressed)
    marks = [_heatmap(run)]
    at = {"x": alt.X("step:Q"), "y": alt.Y("layer:Q")}
    if len(run.front):
        line = alt.Chart(run.front).mark_line(color="white", strokeWidth=2.5, strokeDash=[7, 4], clip=True)
        marks.append(line.encode(**at, order="layer:Q"))
    points = alt.Chart(run.halves).mark_point(shape="circle", filled=True, size=44, color="white", stroke="black")
    marks.append(points.encode(**at, tooltip=["layer:Q", alt.Tooltip("step:Q", format=".3~g", title="half at")]))
    if follow:
        marks.append(cursor(steps))
    shows = "Dots: half of a layer's largest compression" + ("; dashed: the front" if len(run.front) else "")
    return (
        alt.layer(*marks)
        .properties(
            width=WIDTH,
            height=max(110, min(320, 18 * layers)),
            title=title(run.study.label, shows, wave_verdict(run.study)),
        )
        .resolve_scale(color="independent")
    )


def _heatmap(run: RunWave) -> Chart:
    import altair as alt

    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    axis = alt.Axis(tickMinStep=1, format="d", grid=False)
    scale = alt.Scale(domain=[-0.5, len(run.study.compressed) - 0.5], nice=False)
    return (
        alt.Chart(run.cells)
        .mark_rect()
        .encode(
            x=step_x(step_scale(run.study.steps.tolist()), grid=False), x2="end:Q",
            y=alt.Y("low:Q", title="layer", axis=axis, scale=scale), y2="high:Q",
            color=alt.Color("value:Q", title=LOST, scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=[
                "layer:Q", alt.Tooltip("at:Q", title="step"),
                alt.Tooltip("value:Q", title="compression in %", format=".1f"),
            ],
        )
    )  # fmt: skip


def lines(data: WaveData) -> tuple[Grid, ...]:
    """Return the terminal's heat maps of compression, one for each run, with each layer's half marked."""
    grids = []
    for run in data.runs:
        study = run.study
        axes = tuple(map(str, range(len(study.compressed)))), tuple(f"{step:,}" for step in study.steps)
        halves = np.interp(study.wave.half_steps, study.steps, np.arange(len(study.steps)))
        heading = f"{printable(study.label)}: {LOST}"
        halfway = "half of a layer's largest compression"
        grids.append(Grid(heading, "step", "layer", study.compressed, *axes, marks=halves, legend=halfway))
    return tuple(grids)
