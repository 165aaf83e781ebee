"""The figure of the two phases: variation by role over the steps, log-log, the loss beneath, the phases shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError
from spectra_cli.views.figures.axes import cursor, quantity_axis, step_scale, step_x
from spectra_cli.views.figures.colours import ACCENT, ordered, role_scale
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import by_role, loss_frame, series_panels, steps_of

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.stability import Onset, RunStability
    from spectra_cli.views.figures.studied import StudiedRun

RATE = "sd_variation_rate"
BESIDE = ("sd_variation_prev", "stability_bound_prev", "cos_spectrum_final", "cos_weights_final")  # for the phases
WIDTH, NARROW = 620, 380


@dataclass(frozen=True, eq=False)
class TrajectoryData:
    """The runs with, for each, a frame of RATE by role and step, and the phases, None where none were looked for."""

    runs: tuple[StudiedRun, ...]
    frames: tuple[pd.DataFrame, ...]
    phases: tuple[RunStability | None, ...]
    follow: bool


def prepare(runs: Sequence[StudiedRun], options: Options) -> TrajectoryData:
    """Return the variation of each run by role, and its phases."""
    frames = tuple(by_role(studied.run, [RATE]).dropna(subset=RATE) for studied in runs)
    return TrajectoryData(tuple(runs), frames, tuple(studied.stability for studied in runs), options.follow)


def chart(data: TrajectoryData) -> Chart:
    """Draw one column for each run, on the same axis of variation. Raises SpectraError where nothing ever moved."""
    import altair as alt

    frames = [_moving(studied, frame) for studied, frame in zip(data.runs, data.frames, strict=True)]
    y = quantity_axis([value for frame in frames for value in frame[RATE]], log=True)
    width = WIDTH if len(frames) == 1 else NARROW
    columns = [
        _column(studied, frame, phases, y, width, follow=data.follow)
        for studied, frame, phases in zip(data.runs, frames, data.phases, strict=True)
    ]
    return alt.hconcat(*columns).resolve_scale(color="shared") if len(columns) > 1 else columns[0]


def lines(data: TrajectoryData) -> tuple[Panel, ...]:
    """Return the terminal's panels of the variation by role, and of the loss."""
    drawn = zip(data.runs, data.frames, strict=True)
    return tuple(panel for studied, frame in drawn for panel in series_panels(studied, frame, RATE))


def _moving(studied: StudiedRun, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame[frame[RATE] > 0]
    if frame.empty:
        raise SpectraError(
            f"{studied.run.label} holds no {RATE} above 0",
            hint="scan two or more checkpoints that differ, and draw those",
        )
    return frame


def _column(
    studied: StudiedRun,
    frame: pd.DataFrame,
    phases: RunStability | None,
    y: tuple[dict[str, Any], ...],
    width: int,
    *,
    follow: bool,
) -> Chart:
    import altair as alt

    low, high = int(frame["step"].min()), int(frame["step"].max())
    steps = step_scale(frame["step"].tolist(), steps_of(studied.run)[1])
    losses = studied.losses
    parts = [_variation(frame, steps, y, labelled=losses is None).properties(width=width, height=300)]
    if losses is not None:
        loss = _loss(loss_frame(losses, low, high), losses.kind, steps)
        parts.append(loss.properties(width=width, height=120))
    behind = _shading(phases, low, high) if phases else []
    layers = []
    for part in parts:
        last = part is parts[-1]
        marks = [mark.encode(x=step_x(steps, labelled=last)) for mark in behind]
        layers.append(alt.layer(*marks, part, *([cursor(steps, labelled=last)] if follow else [])))
    shows = ["mean over the matrices of a role", *phases_sentence(phases).split("; ")]
    return (
        alt.vconcat(*layers, spacing=12)
        .resolve_scale(x="shared")
        .properties(title=alt.Title(studied.label, subtitle=shows))
    )


def onset_shown(phases: RunStability) -> tuple[Onset | None, str]:
    """Return the onset to show: that of the rate, or else that per unit of learning rate, and what it is of."""
    whole = phases.group("all")
    if whole is not None and whole.onset.step is not None:
        return whole.onset, ""
    if whole is not None and whole.onset_per_lr is not None and whole.onset_per_lr.step is not None:
        return whole.onset_per_lr, ", per unit of learning rate"
    return None, ""


def phases_sentence(phases: RunStability | None) -> str:
    """Return what is shaded, or why nothing is."""
    whole = phases.group("all") if phases else None
    if phases is None or whole is None:
        return "no phases are marked: there is no course over steps to find them in"
    onset, of = onset_shown(phases)
    if onset is not None and onset.step is not None:
        interval = f", 90% {onset.interval[0]:,.0f} … {onset.interval[1]:,.0f}" if onset.interval else ""
        end = f"the onset at step {onset.step:,.0f}{interval}{of}"
        return f"shaded: phase I, up to {end}; dashed: the peak, step {whole.peak.step:,}"
    settled = (
        f" and step {whole.settled:,}, from which it stays below √(peak · floor)" if whole.settled is not None else ""
    )
    return f"no bend is supported, so no phase is shaded; dashed: the peak, step {whole.peak.step:,}{settled}"


def _shading(phases: RunStability, low: int, high: int) -> list[Chart]:
    """Return what lies behind the lines: phase I, the interval of its end, and the peak."""
    import altair as alt
    import pandas as pd

    whole = phases.group("all")
    onset, _ = onset_shown(phases)
    marks: list[Chart] = []
    if onset is not None and onset.step is not None:
        shaded = [(float(low), onset.step)]
        if onset.interval:
            shaded.append((max(low, onset.interval[0]), min(high, onset.interval[1])))
        for start, end in shaded:
            frame = pd.DataFrame({"step": [float(start)], "end": [float(end)]})
            marks.append(alt.Chart(frame).mark_rect(color=ACCENT, opacity=0.12).encode(x2="end:Q"))
    dashed = [] if whole is None else [whole.peak.step, *([] if onset or whole.settled is None else [whole.settled])]
    frame = pd.DataFrame({"step": [float(step) for step in dashed]})
    return [*marks, alt.Chart(frame).mark_rule(strokeDash=[4, 4], strokeWidth=1.2)]


def _variation(frame: pd.DataFrame, steps: dict[str, Any], y: tuple[dict[str, Any], ...], *, labelled: bool) -> Chart:
    import altair as alt

    scale, axis = y
    names = ["variation of the singular", "distribution (per step)"]
    roles = ordered(frame["role"])
    legend = alt.Legend(symbolType="stroke")
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=16, filled=True))
        .encode(
            x=step_x(steps, labelled=labelled),
            y=alt.Y(f"{RATE}:Q", title=names, scale=alt.Scale(**scale), axis=alt.Axis(**axis)),
            color=alt.Color("role:N", scale=alt.Scale(**role_scale(roles)), title="role", legend=legend),
            strokeDash=alt.StrokeDash("role:N", scale=alt.Scale(**role_scale(roles, 1)), title="role", legend=legend),
            tooltip=["role:N", "revision:N", "step:Q", alt.Tooltip(f"{RATE}:Q", format=".3~e", title="per step")],
        )
    )


def _loss(curve: pd.DataFrame, kind: str, steps: dict[str, Any]) -> Chart:
    import altair as alt

    names = [f"{kind} loss", "(as logged)"]
    scale, axis = quantity_axis(curve["loss"])
    return (
        alt.Chart(curve)
        .mark_line(color=ACCENT)
        .encode(
            x=step_x(steps),
            y=alt.Y("loss:Q", title=names, scale=alt.Scale(**scale), axis=alt.Axis(**axis, tickCount=4)),
            tooltip=["step:Q", alt.Tooltip("loss:Q", format=".4f")],
        )
    )
