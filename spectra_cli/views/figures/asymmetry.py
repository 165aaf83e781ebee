"""The asymmetry: how q and k, and v and o, spread over depth about their own means, at the last checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.views.figures.axes import titled, zero_line
from spectra_cli.views.figures.bands import BAND, are_pooled, banded, members_of, over_seeds
from spectra_cli.views.figures.colours import ordered, role_scale
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Asymmetry
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Spread:
    """One quantity: each role's values over the layers, less their mean. quantity: named for an axis."""

    quantity: str
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Row:
    """The spreads of one run, or of runs that differ by seed alone, and what is said of them."""

    label: str
    says: tuple[str, ...]
    spreads: tuple[Spread, ...]


@dataclass(frozen=True, eq=False)
class AsymmetryData:
    """The rows; without spreads where not all four roles are there."""

    runs: tuple[StudiedRun, ...]
    rows: tuple[Row, ...]


def prepare(runs: Sequence[StudiedRun], options: Options) -> AsymmetryData:
    """Return the spreads of each run, or pool. Raises SpectraError where a run is too short for a study over depth."""
    pooled = are_pooled(runs)
    rows = (_row_of(label, members, options.metric, pooled) for label, members in members_of(runs).items())
    return AsymmetryData(tuple(runs), tuple(rows))


def _row_of(label: str, members: Sequence[StudiedRun], metric: str | None, pooled: bool) -> Row:
    from spectra_cli.views.sentences.lifecycle import asymmetry_verdicts

    studies = [studied.lifecycle(metric) for studied in members]
    says = (BAND,) if pooled else tuple(asymmetry_verdicts(studies[0]))
    if not all(study.asymmetry for study in studies):
        return Row(label, says, ())
    quantities = zip(*(study.asymmetry for study in studies), strict=True)
    return Row(label, says, tuple(_spread(each, members) for each in quantities))


def _spread(asymmetries: Sequence[Asymmetry], members: Sequence[StudiedRun]) -> Spread:
    import pandas as pd

    parts = [
        pd.DataFrame(
            {"run": run.label, "role": role, "layer": np.arange(len(values)), "value": values - np.nanmean(values)}
        )
        for run, asymmetry in zip(members, asymmetries, strict=True)
        for role, values in asymmetry.profiles.items()
    ]
    quantity = asymmetries[0].quantity
    frame = over_seeds(pd.concat(parts, ignore_index=True).dropna(), members, "value", ("role",), along="layer")
    return Spread("compression (%)" if quantity == "compression" else titled(quantity), frame)


def chart(data: AsymmetryData) -> Chart:
    """Draw a row for each run or pool, a panel for each quantity."""
    import altair as alt

    rows = [_row(row, data.runs) for row in data.rows]
    return rows[0] if len(rows) == 1 else alt.vconcat(*rows)


def _row(row: Row, runs: Sequence[StudiedRun]) -> Chart:
    import altair as alt
    import pandas as pd

    nothing = pd.DataFrame({"layer": [], "value": []})
    panels = [_panel(spread, runs) for spread in row.spreads] or [
        alt.Chart(nothing).mark_point().properties(width=270, height=40)
    ]
    return alt.hconcat(*panels).properties(title=title(row.label, *row.says))


def _panel(spread: Spread, runs: Sequence[StudiedRun]) -> Chart:
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
    return alt.layer(zero_line(), banded(curves, runs, ("role",))).properties(width=270, height=200)


def lines(data: AsymmetryData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the roles over the layers, one for each run, or pool, and quantity."""
    panels = []
    for row in data.rows:
        for spread in row.spreads:
            frame = spread.frame.rename(columns={"layer": "x", "value": "y", "role": "series"})
            heading = f"{row.label}: {spread.quantity}, less the role's mean, over layers"
            panels.append(Panel(heading, "layer", "difference", frame))
    return tuple(panels)
