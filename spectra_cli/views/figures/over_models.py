"""The figure of models: the largest and smallest exponent over the layers, and the wave's velocity, by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.axes import titled
from spectra_cli.views.figures.colours import RUN_COLOURS, run_scale
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun

ENDS = ("largest", "smallest")
VELOCITY = "velocity of the wave (layers per step)"


@dataclass(frozen=True, eq=False)
class ModelsData:
    """By model and number of layers: the exponent's extremes (`end`, `value`), and `velocity` where there is a wave."""

    exponent: str
    extremes: pd.DataFrame
    waves: pd.DataFrame
    labels: tuple[str, ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> ModelsData:
    """Return what each model comes to at its last checkpoint. Raises SpectraError where one has no exponent."""
    import pandas as pd

    from spectra_cli.studies.lifecycle import CHANCE

    studies = [studied.lifecycle(options.metric) for studied in runs]
    extremes = [row for study in studies for row in _extremes(study)]
    waves = [
        {"model": printable(study.label), "layers": study.layers, "velocity": study.wave.velocity}
        for study in studies
        if study.wave.p < CHANCE and study.wave.velocity
    ]
    labels = tuple(printable(study.label) for study in studies)
    columns = ["model", "layers", "velocity"]
    return ModelsData(studies[0].alpha, pd.DataFrame(extremes), pd.DataFrame(waves, columns=columns), labels)


def _extremes(study: Lifecycle) -> list[dict[str, Any]]:
    values = study.alpha_gradient.values[:, -1] if study.alpha_gradient else np.array([np.nan])
    if not np.isfinite(values).any():
        raise SpectraError(f"{study.label} holds no {study.alpha} over depth", hint="scan it again with that metric")
    ends = (np.nanmax(values), np.nanmin(values))
    at = {"model": printable(study.label), "layers": study.layers}
    return [{**at, "end": name, "value": float(value)} for name, value in zip(ENDS, ends, strict=True)]


def chart(data: ModelsData) -> Chart:
    """Draw a point for each model against its number of layers, a panel for each quantity."""
    import altair as alt

    waves = f"{len(data.waves)} of {len(data.labels)} models show a wave"
    shows = title(data.labels, ["Means over the matrices of a layer, at the last checkpoint", waves])
    colour = alt.Color("end:N", title=f"{data.exponent} over the layers", scale=alt.Scale(**run_scale(ENDS)))
    panels = [_panel(data.extremes, "value", titled(data.exponent), colour)]
    if len(data.waves):
        panels.append(_panel(data.waves, "velocity", VELOCITY, alt.value(RUN_COLOURS[2])))
    return alt.hconcat(*panels).properties(title=shows)


def _panel(frame: pd.DataFrame, column: str, name: str, colour: Any) -> Chart:
    import altair as alt

    base = alt.Chart(frame).encode(
        x=alt.X("layers:Q", title="layers", scale=alt.Scale(zero=False, padding=24), axis=alt.Axis(tickMinStep=1)),
        y=alt.Y(f"{column}:Q", title=name, scale=alt.Scale(zero=False, padding=12)),
        tooltip=["model:N", "layers:Q", alt.Tooltip(f"{column}:Q", format=".4~g")],
    )
    dots = base.mark_point(filled=True, size=60).encode(color=colour)
    return alt.layer(dots, base.mark_text(align="left", dx=7).encode(text="model:N")).properties(width=300, height=240)


def lines(data: ModelsData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the extremes and of the velocity over the number of layers."""
    extremes = data.extremes.rename(columns={"layers": "x", "value": "y", "end": "series"})
    panels = [Panel(f"{titled(data.exponent)}, extremes over the layers", "layers", data.exponent, extremes)]
    if len(data.waves):
        waves = data.waves.rename(columns={"layers": "x", "velocity": "y"}).assign(series="velocity")
        panels.append(Panel(VELOCITY, "layers", "velocity", waves))
    return tuple(panels)
