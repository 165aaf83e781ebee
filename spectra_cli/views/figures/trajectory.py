"""The figure of the two phases: variation over the steps, phases shaded, and loss and learning rate beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError
from spectra_cli.views.figures.axes import cursor, quantity_axis, step_x
from spectra_cli.views.figures.bands import BAND, are_pooled, banded, heights, labels_of, over_seeds
from spectra_cli.views.figures.colours import dashes, ordered, role_channels, run_colour, run_scale
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_part, by_role, log_frame, series_panels, shared_steps, title
from spectra_cli.views.figures.phases import events, phases_sentence, shading, standing

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.stability import RunStability
    from spectra_cli.views.figures.studied import StudiedRun

RATE = "sd_variation_rate"
BESIDE = ("sd_variation_prev", "stability_bound_prev", "cos_spectrum_final", "cos_weights_final")  # for the phases
WIDTH, HEIGHT = 680, 240
PARTS = ("attention", "mlp", "all")  # what is told apart by dashes where colours are runs


@dataclass(frozen=True, eq=False)
class TrajectoryData:
    """The runs: a frame each of RATE by role and step, and the phases, None where none were looked for.

    parts: RATE by run, part (of PARTS) and step, where there are several runs. steps: the axis, of `axes.step_scale`.
    logs: step, run and value of the loss, and of the learning rate; kinds: what loss each run logged.
    """

    runs: tuple[StudiedRun, ...]
    frames: tuple[pd.DataFrame, ...]
    phases: tuple[RunStability | None, ...]
    parts: pd.DataFrame
    steps: dict[str, Any]
    losses: pd.DataFrame
    rates: pd.DataFrame
    kinds: tuple[str, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> TrajectoryData:
    """Return the variation of each run by role, its phases, and what it logged."""
    frames = tuple(by_role(studied.run, [RATE]).dropna(subset=RATE) for studied in runs)
    kinds = tuple(dict.fromkeys(studied.losses.kind for studied in runs if studied.losses))
    parts = over_seeds(by_part(runs, RATE), runs, RATE, ("part",))
    return TrajectoryData(
        tuple(runs), frames, tuple(studied.stability for studied in runs), parts, shared_steps(runs),
        _logged(runs, "loss"), _logged(runs, "lr"), kinds, options.follow,
    )  # fmt: skip


def _logged(runs: Sequence[StudiedRun], column: str) -> pd.DataFrame:
    return over_seeds(log_frame(runs, column), runs, column)


def chart(data: TrajectoryData) -> Chart:
    """Draw the roles of one run, or attention and MLP of several. Raises SpectraError where nothing ever moved."""
    import altair as alt

    for studied, frame in zip(data.runs, data.frames, strict=True):
        _refuse_still(studied, frame)
    panels = [_variation(data), *_lanes(data)]
    drawn = [
        alt.layer(*marks, *([cursor(data.steps, labelled=last)] if data.follow else [])).properties(
            width=WIDTH, height=height
        )
        for marks, height, last in (
            ([*marks(labelled=last)], height, last)
            for (marks, height), last in zip(panels, [False] * (len(panels) - 1) + [True], strict=True)
        )
    ]
    return (
        alt.vconcat(*drawn, spacing=10).resolve_scale(x="shared").properties(title=title(_labels(data), _shows(data)))
    )


def _shows(data: TrajectoryData) -> list[str]:
    """Return what is drawn, in sentences."""
    shows = [f"Mean over the matrices of {'a role' if len(data.runs) == 1 else 'attention and of the MLP'}"]
    if are_pooled(data.runs):
        return [*shows, BAND, "Dashed: where each run bends, or peaks where it has no bend"]
    for studied, phases in zip(data.runs, data.phases, strict=True):
        said = phases_sentence(phases)
        shows.append(f"{studied.label}: {said}" if len(data.runs) > 1 else f"{said[0].upper()}{said[1:]}")
    return shows


def lines(data: TrajectoryData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the variation by role, and of the loss."""
    drawn = zip(data.runs, data.frames, strict=True)
    return tuple(panel for studied, frame in drawn for panel in series_panels(studied, frame, RATE))


def _refuse_still(studied: StudiedRun, frame: pd.DataFrame) -> None:
    if not (frame[RATE] > 0).any():
        raise SpectraError(
            f"{studied.run.label} holds no {RATE} above 0",
            hint="scan two or more checkpoints that differ, and draw those",
        )


def _variation(data: TrajectoryData) -> tuple[Any, int]:
    """Return the marks of the upper panel, given whether its axis of steps is labelled, and its height."""

    def marks(*, labelled: bool) -> list[Chart]:
        x = step_x(data.steps, labelled=labelled)
        if len(data.runs) > 1:
            return [_of_runs(data, x), *standing(data.phases, [run.pool or run.label for run in data.runs], x)]
        (phases,), frame = data.phases, data.frames[0]
        low, high = int(frame["step"].min()), int(frame["step"].max())
        behind = shading(phases, low, high, x) if phases else []
        return [*behind, _of_roles(data, x), *(events(phases, low, high, x) if phases else [])]

    return marks, HEIGHT


def _lanes(data: TrajectoryData) -> list[tuple[Any, int]]:
    """Return the loss and the learning rate, each as `_variation` does, those that were logged."""
    lanes = []
    loss_names = [" and ".join(data.kinds), "loss"]
    for frame, name, names, height in (
        (data.losses, "loss", loss_names, 90),
        (data.rates, "lr", ["learning", "rate"], 44),
    ):
        if len(frame):
            lanes.append((_Lane(data, frame, name, names), height))
    return lanes


@dataclass(frozen=True, eq=False)
class _Lane:
    """The marks of what was logged, a line each run. name: the column of `frame` that is drawn."""

    data: TrajectoryData
    frame: pd.DataFrame
    name: str
    names: list[str]

    def __call__(self, *, labelled: bool) -> list[Chart]:
        import altair as alt

        x = step_x(self.data.steps, labelled=labelled)
        scale, axis = quantity_axis(heights(self.frame, self.name), log=False if self.name == "lr" else None)
        scale = {"zero": True} if self.name == "lr" else scale
        ticks = {"tickCount": 2, "format": "~g"} if self.name == "lr" else {"tickCount": 4}
        y = alt.Y(f"{self.name}:Q", title=self.names, scale=alt.Scale(**scale), axis=alt.Axis(**axis, **ticks))
        shown = ".3~e" if self.name == "lr" else ".4f"
        tips = [*(["run:N"] if len(self.data.runs) > 1 else []), "step:Q", alt.Tooltip(f"{self.name}:Q", format=shown)]
        line = alt.Chart(self.frame).mark_line(clip=True).encode(x=x, y=y, tooltip=tips, color=self._colour())
        return [banded(line, self.data.runs)]

    def _colour(self) -> Any:
        import altair as alt

        labels = _labels(self.data)
        if len(labels) == 1:
            return alt.value(run_scale(labels)["range"][0])
        return run_colour(labels)


def _labels(data: TrajectoryData) -> list[str]:
    return labels_of(data.runs)


def _y(values: Sequence[float]) -> Any:
    import altair as alt

    scale, axis = quantity_axis(values, log=True)
    names = ["variation of the singular", "distribution (per step)"]
    return alt.Y(f"{RATE}:Q", title=names, scale=alt.Scale(**scale), axis=alt.Axis(**axis))


def _of_roles(data: TrajectoryData, x: Any) -> Chart:
    import altair as alt

    frame = data.frames[0][data.frames[0][RATE] > 0]
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True))
        .encode(
            x=x,
            y=_y(frame[RATE].tolist()),
            **role_channels(ordered(frame["role"])),
            tooltip=["role:N", "revision:N", "step:Q", alt.Tooltip(f"{RATE}:Q", format=".3~e", title="per step")],
        )
    )


def _of_runs(data: TrajectoryData, x: Any) -> Chart:
    import altair as alt

    frame, legend = data.parts[data.parts[RATE] > 0], alt.Legend(symbolType="stroke")
    parts = [part for part in PARTS if (frame["part"] == part).any()]
    tips = ["run:N", "part:N", "revision:N", "step:Q", alt.Tooltip(f"{RATE}:Q", format=".3~e", title="per step")]
    lines = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True))
        .encode(
            x=x,
            y=_y(heights(frame, RATE)),
            color=run_colour(_labels(data)),
            strokeDash=alt.StrokeDash("part:N", scale=alt.Scale(**dashes(parts)), title="matrices", legend=legend),
            tooltip=tips,
        )
    )
    return banded(lines, data.runs, ("part",))
