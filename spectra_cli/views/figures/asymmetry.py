"""The asymmetry: how q and k, and v and o, spread over depth about their own means, at the last checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import titled, zero_line
from spectra_cli.views.figures.colours import ordered, role_scale
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Asymmetry, Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Spread:
    """One quantity of a run: each role's values over the layers, less their mean. quantity: named for an axis."""

    quantity: str
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class AsymmetryData:
    """The spreads of each run; none where it has not all four roles."""

    studies: tuple[Lifecycle, ...]
    spreads: tuple[tuple[Spread, ...], ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> AsymmetryData:
    """Return the spreads of each run. Raises SpectraError where a run is too short for a study over depth."""
    studies = tuple(studied.lifecycle(options.metric) for studied in runs)
    return AsymmetryData(studies, tuple(tuple(map(_spread, study.asymmetry)) for study in studies))


def _spread(asymmetry: Asymmetry) -> Spread:
    import pandas as pd

    parts = [
        pd.DataFrame({"role": role, "layer": np.arange(len(values)), "value": values - np.nanmean(values)})
        for role, values in asymmetry.profiles.items()
    ]
    compression = asymmetry.quantity == "compression"
    name = "compression (%)" if compression else titled(asymmetry.quantity)
    return Spread(name, pd.concat(parts, ignore_index=True).dropna())


def chart(data: AsymmetryData) -> Chart:
    """Draw a row for each run, a panel for each quantity."""
    import altair as alt

    rows = [_row(study, spreads) for study, spreads in zip(data.studies, data.spreads, strict=True)]
    return rows[0] if len(rows) == 1 else alt.vconcat(*rows)


def _row(study: Lifecycle, spreads: Sequence[Spread]) -> Chart:
    import altair as alt
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import asymmetry_verdicts

    nothing = pd.DataFrame({"layer": [], "value": []})
    panels = [_panel(spread) for spread in spreads] or [
        alt.Chart(nothing).mark_point().properties(width=270, height=40)
    ]
    return alt.hconcat(*panels).properties(title=title(study.label, *asymmetry_verdicts(study)))


def _panel(spread: Spread) -> Chart:
    import altair as alt

    legend = alt.Legend(symbolType="stroke")
    y = alt.Y("value:Q", title=[spread.quantity, "less the role's mean"])
    axis, scale = alt.Axis(tickMinStep=1, format="d"), alt.Scale(nice=False, padding=4)
    colours = alt.Scale(**role_scale(ordered(spread.frame["role"])))
    curves = (
        alt.Chart(spread.frame)
        .mark_line(point=alt.OverlayMarkDef(size=22, filled=True))
        .encode(
            x=alt.X("layer:Q", title="layer", axis=axis, scale=scale),
            y=y,
            color=alt.Color("role:N", title="role", scale=colours, legend=legend),
            tooltip=["role:N", "layer:Q", alt.Tooltip("value:Q", format=".4~g")],
        )
    )
    return alt.layer(zero_line(), curves).properties(width=270, height=200)


def lines(data: AsymmetryData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the roles over the layers, one for each run and quantity."""
    panels = []
    for study, spreads in zip(data.studies, data.spreads, strict=True):
        for spread in spreads:
            frame = spread.frame.rename(columns={"layer": "x", "value": "y", "role": "series"})
            heading = f"{printable(study.label)}: {spread.quantity}, less the role's mean, over layers"
            panels.append(Panel(heading, "layer", "difference", frame))
    return tuple(panels)
