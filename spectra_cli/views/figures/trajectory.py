"""The figure of the two phases: variation by role over the steps, log-log, the loss beneath, the phases shaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.frames import by_role, cursor, loss_frame, step_x, steps_of
from spectra_cli.views.figures.style import ACCENT, is_wide, ordered, quantity_axis, role_scale, step_scale, titled

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.inputs.training_logs import Losses
    from spectra_cli.studies.stability import Onset, RunStability

RATE = "sd_variation_rate"
BESIDE = ("sd_variation_prev", "stability_bound_prev", "cos_spectrum_final", "cos_weights_final")  # for the phases
WIDTH, NARROW = 620, 380


def trajectory(runs: Sequence[Run], options: Options) -> Chart:
    """Draw one column for each run, on the same axis of variation."""
    import altair as alt

    frames = [_moving(run) for run in runs]
    y = quantity_axis([value for frame in frames for value in frame[RATE]], log=True)
    width = WIDTH if len(runs) == 1 else NARROW
    columns = [
        _column(run, frame, y, options.loss_of(index), width, follow=options.follow)
        for index, (run, frame) in enumerate(zip(runs, frames, strict=True))
    ]
    return alt.hconcat(*columns).resolve_scale(color="shared") if len(columns) > 1 else columns[0]


def _moving(run: Run) -> pd.DataFrame:
    frame = by_role(run, [RATE])
    frame = frame[frame[RATE] > 0]
    if frame.empty:
        raise SpectraError(
            f"{run.label} holds no {RATE} above 0", hint="scan two or more checkpoints that differ, and draw those"
        )
    return frame


def _column(
    run: Run, frame: pd.DataFrame, y: tuple[dict[str, Any], ...], losses: Losses | None, width: int, *, follow: bool
) -> Chart:
    import altair as alt

    known = steps_of(run)[1]
    steps = step_scale(frame["step"].tolist(), known)
    found = phases_of(run, losses) if known else None
    parts = [_variation(frame, steps, y, labelled=losses is None).properties(width=width, height=300)]
    if losses is not None:
        parts.append(_loss(losses, frame, steps).properties(width=width, height=120))
    low, high = int(frame["step"].min()), int(frame["step"].max())
    behind = _shading(found, low, high) if found else []
    layers = []
    for part in parts:
        last = part is parts[-1]
        marks = [mark.encode(x=step_x(steps, labelled=last)) for mark in behind]
        layers.append(alt.layer(*marks, part, *([cursor(steps, labelled=last)] if follow else [])))
    title = alt.Title(
        printable(run.label), subtitle=["mean over the matrices of a role", *says_phases(found).split("; ")]
    )
    return alt.vconcat(*layers, spacing=12).resolve_scale(x="shared").properties(title=title)


def phases_of(run: Run, losses: Losses | None) -> RunStability | None:
    """Find the phases, None where the run has no course to find them in."""
    from spectra_cli.studies.stability import stability

    try:
        return stability(run, losses)
    except SpectraError:
        return None


def onset_of(found: RunStability) -> tuple[Onset | None, str]:
    """Give the onset to show: that of the rate, or else that per unit of learning rate, and what it is of."""
    whole = found.group("all")
    if whole is not None and whole.onset.step is not None:
        return whole.onset, ""
    if whole is not None and whole.onset_per_lr is not None and whole.onset_per_lr.step is not None:
        return whole.onset_per_lr, ", per unit of learning rate"
    return None, ""


def says_phases(found: RunStability | None) -> str:
    """Say what is shaded, or why nothing is."""
    whole = found.group("all") if found else None
    if found is None or whole is None:
        return "no phases are marked: there is no course over steps to find them in"
    onset, of = onset_of(found)
    if onset is not None and onset.step is not None:
        interval = f", 90% {onset.interval[0]:,.0f} … {onset.interval[1]:,.0f}" if onset.interval else ""
        end = f"the onset at step {onset.step:,.0f}{interval}{of}"
        return f"shaded: phase I, up to {end}; dashed: the peak, step {whole.peak.step:,}"
    settled = (
        f" and step {whole.settled:,}, from which it stays below √(peak · floor)" if whole.settled is not None else ""
    )
    return f"no bend is supported, so no phase is shaded; dashed: the peak, step {whole.peak.step:,}{settled}"


def _shading(found: RunStability, low: int, high: int) -> list[Chart]:
    """Give what lies behind the lines: phase I, the interval of its end, and the peak."""
    import altair as alt
    import pandas as pd

    whole = found.group("all")
    onset, _ = onset_of(found)
    marks: list[Chart] = []
    if onset is not None and onset.step is not None:
        spans = [(float(low), onset.step, 0.12)]
        if onset.interval:
            spans.append((max(low, onset.interval[0]), min(high, onset.interval[1]), 0.12))
        for start, end, opacity in spans:
            frame = pd.DataFrame({"step": [float(start)], "end": [float(end)]})
            marks.append(alt.Chart(frame).mark_rect(color=ACCENT, opacity=opacity).encode(x2="end:Q"))
    lines = [] if whole is None else [whole.peak.step, *([] if onset or whole.settled is None else [whole.settled])]
    frame = pd.DataFrame({"step": [float(step) for step in lines]})
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


def _loss(losses: Losses, frame: pd.DataFrame, steps: dict[str, Any]) -> Chart:
    import altair as alt

    names = [f"{losses.kind} loss", "(as logged)"]
    lines = loss_frame(losses, int(frame["step"].min()), int(frame["step"].max()))
    scale, axis = quantity_axis(lines["loss"])
    return (
        alt.Chart(lines)
        .mark_line(color=ACCENT)
        .encode(
            x=step_x(steps),
            y=alt.Y("loss:Q", title=names, scale=alt.Scale(**scale), axis=alt.Axis(**axis, tickCount=4)),
            tooltip=["step:Q", alt.Tooltip("loss:Q", format=".4f")],
        )
    )


def course_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of a metric by role, and of the loss."""
    metric = options.metric or RATE
    found = []
    for index, run in enumerate(runs):
        frame, (_, known) = by_role(run, [metric]).dropna(subset=metric), steps_of(run)
        log = is_wide(frame.loc[frame[metric] > 0, metric])
        frame = frame[frame[metric] > 0] if log else frame
        lines = frame.rename(columns={"step": "x", metric: "y", "role": "series"})
        found.append(Lines(f"{printable(run.label)}: {titled(metric)}", "step", metric, lines, known, log))
        losses = options.loss_of(index)
        if losses is not None and len(frame):
            curve = loss_frame(losses, int(frame["step"].min()), int(frame["step"].max()))
            curve = curve.rename(columns={"step": "x", "loss": "y"}).assign(series="loss")
            found.append(Lines(f"{printable(run.label)}: {losses.kind} loss", "step", "loss", curve, known))
    return tuple(found)
