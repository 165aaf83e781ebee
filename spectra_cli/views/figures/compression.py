"""The figure of compression: how much of its stable rank each kind of matrix has lost, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import panel_columns, step_x
from spectra_cli.views.figures.bands import BAND, are_pooled, banded, labels_of, over_seeds
from spectra_cli.views.figures.colours import ordered, role_channels, run_colour
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import shared_steps, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

NAME = "compression of the stable rank (%)"


@dataclass(frozen=True, eq=False)
class CompressionData:
    """Compression in % by run, role and step, as `value`, mean over the layers; over seeds their median, with a band.

    verdict: of the one run there is, else "". steps: the axis, of `axes.step_scale`.
    """

    runs: tuple[StudiedRun, ...]
    frame: pd.DataFrame
    verdict: str
    steps: dict[str, Any]


def prepare(runs: Sequence[StudiedRun], options: Options) -> CompressionData:
    """Return the compression of each role. Raises SpectraError where a run is too short for a study over depth."""
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import compression_verdict

    del options
    studies = [studied.lifecycle() for studied in runs]
    frames = [
        pd.DataFrame({"run": printable(study.label), "role": printable(role), "step": study.steps, "value": values})
        for study in studies
        for role, values in study.by_role.items()
    ]
    frame = over_seeds(pd.concat(frames, ignore_index=True).dropna(), runs, "value", ("role",))
    return CompressionData(
        tuple(runs), frame, compression_verdict(studies[0]) if len(runs) == 1 else "", shared_steps(runs)
    )


def chart(data: CompressionData) -> Chart:
    """Draw a line for each role, and of several runs a panel for each role with a line for each run."""
    import altair as alt

    labels, names = labels_of(data.runs), ordered(data.frame["role"])
    several = len(labels) > 1
    line = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=14, filled=True))
        .encode(
            x=step_x(data.steps),
            y=alt.Y("value:Q", title=None if several else NAME, scale=alt.Scale(nice=False)),
            tooltip=["run:N", "role:N", "step:Q", alt.Tooltip("value:Q", format=".3~g")],
            **({"color": run_colour(labels)} if several else role_channels(names)),
        )
    )
    layers = alt.layer(banded(line, data.runs), data=data.frame)
    shows = title(labels, ["Means over layers", data.verdict, BAND if are_pooled(data.runs) else ""])
    if not several:
        return layers.properties(width=620, height=300, title=shows)
    facet = alt.Facet("role:N", title=NAME, sort=names)
    panels = layers.properties(width=190, height=140).facet(facet=facet, columns=panel_columns(len(names)))
    return panels.properties(title=shows)


def lines(data: CompressionData) -> tuple[Panel, ...]:
    """Return the terminal's panels of compression over the steps, one for each run."""
    frame = data.frame.rename(columns={"step": "x", "value": "y", "role": "series"})
    return tuple(
        Panel(f"{run}: {NAME}", "step", "compression", part, log_x=True)
        for run, part in frame.groupby("run", sort=False)
    )
