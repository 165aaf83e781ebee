"""The gradients: slopes over depth of compression, an exponent and entropy over the steps, and where they turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x, zero_line
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Gradient, Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Slopes:
    """One quantity of a run: its slope over depth at each step, with a 95% band. unit: as it stands behind a name."""

    quantity: str
    unit: str
    gradient: Gradient
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        """The quantity, safe to draw."""
        return printable(self.quantity)


@dataclass(frozen=True, eq=False)
class GradientsData:
    """The slopes of each run, a record a quantity."""

    studies: tuple[Lifecycle, ...]
    slopes: tuple[tuple[Slopes, ...], ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> GradientsData:
    """Return the slopes of each run. Raises SpectraError where a run is too short for a study over depth."""
    studies = tuple(studied.lifecycle(options.metric) for studied in runs)
    return GradientsData(studies, tuple(map(_slopes, studies)), options.follow)


def _slopes(study: Lifecycle) -> tuple[Slopes, ...]:
    gradients = (
        ("compression", " (%)", study.gradient),
        (study.alpha, "", study.alpha_gradient),
        ("entropy", " (nats)", study.entropy_gradient),
    )
    return tuple(Slopes(name, unit, gradient, _bands(gradient)) for name, unit, gradient in gradients if gradient)


def _bands(gradient: Gradient) -> pd.DataFrame:
    """Return slope and interval at each step, and the band drawn, within 1.5 times the slopes' range around them.

    cut_low, cut_high: where an end of the interval lies outside the picture, at whose edge it is marked.
    """
    import pandas as pd

    fitted = [(step, trend) for step, trend in zip(gradient.steps, gradient.trends, strict=True) if trend]
    rows = [(step, trend.slope, *trend.slope_interval) for step, trend in fitted]
    frame = pd.DataFrame(rows, columns=["step", "slope", "low", "high"])
    low, high = min(0.0, frame["slope"].min()), max(0.0, frame["slope"].max())
    room = 1.5 * (high - low)
    bottom, top = low - room, high + room
    drawn = {"from": frame["low"].clip(lower=bottom), "to": frame["high"].clip(upper=top)}
    cut = {"cut_low": frame["low"] < bottom, "cut_high": frame["high"] > top}
    return frame.assign(**drawn, **cut)


def chart(data: GradientsData) -> Chart:
    """Draw one column for each run, a panel for each quantity."""
    columns = zip(data.studies, data.slopes, strict=True)
    return side_by_side([_column(study, slopes, follow=data.follow) for study, slopes in columns])


def _column(study: Lifecycle, quantities: Sequence[Slopes], *, follow: bool) -> Chart:
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import gradient_verdict

    steps = step_scale(study.steps.tolist())
    panels = []
    for slopes in quantities:
        last = slopes is quantities[-1]
        marks = [*_marks(slopes, labelled=last), *([cursor(steps, labelled=last)] if follow else [])]
        panels.append(alt.layer(*marks).properties(width=WIDTH, height=120))
    sentences = [gradient_verdict(slopes.quantity, slopes.gradient, "").split(". ")[0] for slopes in quantities]
    shows = title(study, _shows(quantities), *sentences)
    return alt.vconcat(*panels, spacing=10).properties(title=shows)


def _shows(quantities: Sequence[Slopes]) -> str:
    cut = any(bool(slopes.frame[["cut_low", "cut_high"]].to_numpy().any()) for slopes in quantities)
    return "95% bands; dashed: a turn" + ("; triangles: a band that goes on outside the picture" if cut else "")


def _marks(slopes: Slopes, *, labelled: bool) -> list[Chart]:
    import altair as alt
    import pandas as pd

    colour, turn_colour = RUN_COLOURS[:2]
    steps = step_scale(slopes.gradient.steps.tolist())
    base = alt.Chart(slopes.frame).encode(x=step_x(steps, labelled=labelled))
    y: dict[str, Any] = {
        "title": [f"slope of {slopes.name}", f"from first to last{slopes.unit}"],
        "axis": alt.Axis(tickCount=5),
    }
    tips = ["step:Q", *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("slope", "low", "high"))]
    turns = pd.DataFrame({"step": [float(at) for at in slopes.gradient.turns]})
    turned = alt.Chart(turns).mark_rule(strokeDash=[4, 4], strokeWidth=1.6, color=turn_colour).encode(x="step:Q")
    return [
        base.mark_area(opacity=0.2, color=colour).encode(y=alt.Y("from:Q", **y), y2="to:Q"),
        *_cut_ends(base, slopes.frame, y),
        zero_line(),
        base.mark_line(color=colour, point=alt.OverlayMarkDef(size=16, filled=True, color=colour)).encode(
            y=alt.Y("slope:Q", **y), tooltip=tips
        ),
        *([turned] if len(turns) else []),
    ]


def _cut_ends(base: Chart, frame: pd.DataFrame, y: dict[str, Any]) -> list[Chart]:
    """Return a triangle at each end of a band that goes on outside the picture."""
    import altair as alt

    ends = (("cut_low", "from", "triangle-down"), ("cut_high", "to", "triangle-up"))
    tips = ["step:Q", *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("low", "high"))]
    return [
        base.transform_filter(f"datum.{cut}")
        .mark_point(shape=shape, size=36, filled=True, color=RUN_COLOURS[0], opacity=0.6)
        .encode(y=alt.Y(f"{edge}:Q", **y), tooltip=tips)
        for cut, edge, shape in ends
        if frame[cut].any()
    ]


def lines(data: GradientsData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the slopes over depth, one for each run and quantity."""
    panels = []
    for study, quantities in zip(data.studies, data.slopes, strict=True):
        for slopes in quantities:
            frame = slopes.frame.rename(columns={"step": "x", "slope": "y"}).assign(series=slopes.name)
            heading = f"{printable(study.label)}: slope of {slopes.name} over depth{slopes.unit}"
            panels.append(Panel(heading, "step", "slope", frame, log_x=True))
    return tuple(panels)
