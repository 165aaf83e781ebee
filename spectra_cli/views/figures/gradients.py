"""The gradients: slopes over depth of compression, an exponent and entropy over the steps, and where they turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.axes import cursor, step_scale, step_x, zero_line
from spectra_cli.views.figures.bands import BAND, are_pooled, labels_of, over_seeds
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.lifecycle import WIDTH, side_by_side, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.lifecycle import Gradient, Lifecycle
    from spectra_cli.views.figures.studied import StudiedRun


@dataclass(frozen=True, eq=False)
class Slopes:
    """One quantity's slope over depth at each step, with a band. unit: as it stands behind a name.

    verdict: what is said of it, "" of runs that are drawn as one. turns: the steps at which the slope's sign turns.
    """

    quantity: str
    unit: str
    verdict: str
    turns: tuple[float, ...]
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        """The quantity, safe to draw."""
        return printable(self.quantity)


@dataclass(frozen=True, eq=False)
class Column:
    """The slopes of one run, or of runs that differ by seed alone, a record a quantity. steps: of all checkpoints."""

    label: str
    steps: tuple[int, ...]
    slopes: tuple[Slopes, ...]


@dataclass(frozen=True, eq=False)
class GradientsData:
    """What is drawn. pooled: whether columns are of runs that differ by seed alone."""

    columns: tuple[Column, ...]
    pooled: bool
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> GradientsData:
    """Return the slopes of each run, or pool. Raises SpectraError where a run is too short for a study over depth."""
    columns = []
    for studied in runs:
        study = studied.lifecycle(options.metric)
        columns.append(Column(studied.label, tuple(study.steps.tolist()), _slopes(study)))
    pooled = are_pooled(runs)
    drawn = _pooled(columns, runs) if pooled else columns
    return GradientsData(tuple(drawn), pooled, options.follow)


def _slopes(study: Lifecycle) -> tuple[Slopes, ...]:
    from spectra_cli.views.sentences.lifecycle import gradient_verdict

    gradients = (
        ("compression", " (%)", study.gradient),
        (study.alpha, "", study.alpha_gradient),
        ("entropy", " (nats)", study.entropy_gradient),
    )
    return tuple(
        Slopes(
            name, unit, gradient_verdict(name, gradient, "").split(". ")[0], tuple(map(float, gradient.turns)),
            _bands(gradient),
        )
        for name, unit, gradient in gradients if gradient
    )  # fmt: skip


def _pooled(columns: Sequence[Column], runs: Sequence[StudiedRun]) -> list[Column]:
    """Return a column for each pool, of the quantities that all of its runs have; all of their turns are marked."""
    import pandas as pd

    drawn = []
    for label in labels_of(runs):
        members = [(column, run) for column, run in zip(columns, runs, strict=True) if run.pool == label]
        known = [{slopes.quantity: slopes for slopes in column.slopes} for column, _ in members]
        slopes = []
        for name in [name for name in known[0] if all(name in each for each in known)]:
            frames = [each[name].frame.assign(run=run.label) for each, (_, run) in zip(known, members, strict=True)]
            shared = over_seeds(pd.concat(frames), [run for _, run in members], "slope")
            ends = {"from": shared["low"], "to": shared["high"], "cut_low": False, "cut_high": False}
            turns = tuple(turn for each in known for turn in each[name].turns)
            slopes.append(replace(known[0][name], verdict="", turns=turns, frame=shared.assign(**ends)))
        drawn.append(Column(label, members[0][0].steps, tuple(slopes)))
    return drawn


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
    """Draw one column for each run or pool, a panel for each quantity."""
    return side_by_side([_column(column, data) for column in data.columns])


def _column(column: Column, data: GradientsData) -> Chart:
    import altair as alt

    steps = step_scale(list(column.steps))
    panels = []
    for slopes in column.slopes:
        last = slopes is column.slopes[-1]
        marks = [*_marks(slopes, steps, labelled=last), *([cursor(steps, labelled=last)] if data.follow else [])]
        panels.append(alt.layer(*marks).properties(width=WIDTH, height=120))
    shows = [f"{BAND}; dashed: where one of them turns"] if data.pooled else [_shows(column.slopes)]
    heading = title(column.label, *shows, *(slopes.verdict for slopes in column.slopes))
    return alt.vconcat(*panels, spacing=10).properties(title=heading)


def _shows(quantities: Sequence[Slopes]) -> str:
    cut = any(bool(slopes.frame[["cut_low", "cut_high"]].to_numpy().any()) for slopes in quantities)
    return "95% bands; dashed: a turn" + ("; triangles: a band that goes on outside the picture" if cut else "")


def _marks(slopes: Slopes, steps: dict[str, Any], *, labelled: bool) -> list[Chart]:
    import altair as alt
    import pandas as pd

    colour, turn_colour = RUN_COLOURS[:2]
    base = alt.Chart(slopes.frame).encode(x=step_x(steps, labelled=labelled))
    y: dict[str, Any] = {
        "title": [f"slope of {slopes.name}", f"from first to last{slopes.unit}"],
        "axis": alt.Axis(tickCount=5),
    }
    tips = ["step:Q", *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("slope", "low", "high"))]
    turns = pd.DataFrame({"step": list(slopes.turns)})
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
    for column in data.columns:
        for slopes in column.slopes:
            frame = slopes.frame.rename(columns={"step": "x", "slope": "y"}).assign(series=slopes.name)
            heading = f"{column.label}: slope of {slopes.name} over depth{slopes.unit}"
            panels.append(Panel(heading, "step", "slope", frame, log_x=True))
    return tuple(panels)
