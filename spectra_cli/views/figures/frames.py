"""What the figures' functions share: frames with names made safe to draw, the axis of steps, a title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.style import ACCENT, step_scale

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.inputs.training_logs import Losses

MOST_LOSSES = 2000


def by_role(run: Run, metrics: list[str]) -> pd.DataFrame:
    """Give the means of metrics by role at each checkpoint."""
    from spectra_cli.studies.series import means

    return _safe(means(run, metrics, ("role",)), run)


def spread_by_role(run: Run, metric: str) -> pd.DataFrame:
    """Give mean, least and largest of a metric by role at each checkpoint."""
    from spectra_cli.studies.series import spread

    return _safe(spread(run, metric), run)


def by_layer(run: Run, metric: str) -> pd.DataFrame:
    """Give the mean of a metric by role and layer at each checkpoint, as `value`; what lies in no layer is left out."""
    from spectra_cli.studies.series import means

    frame = means(run, [metric], ("role", "layer")).rename(columns={metric: "value"}).dropna(subset=["layer", "value"])
    return _safe(frame.astype({"layer": int}), run)


def _safe(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    return frame.assign(
        revision=frame["revision"].map(printable), role=frame["role"].map(printable), run=printable(run.label)
    )


def steps_of(run: Run) -> tuple[list[int], bool]:
    """Give where the checkpoints stand, and whether these are steps."""
    from spectra_cli.studies.series import has_steps, positions

    return positions(run).tolist(), has_steps(run)


def shared_steps(runs: Sequence[Run]) -> dict[str, Any]:
    """Give one axis of steps for all runs, as `figures_style.step_scale` does."""
    found = [steps_of(run) for run in runs]
    return step_scale([step for steps, _ in found for step in steps], known=all(known for _, known in found))


def step_title(runs: Sequence[Run]) -> str:
    """Say what the columns of a figure are, where each checkpoint has one."""
    return "step" if all(steps_of(run)[1] for run in runs) else "checkpoint"


def step_x(steps: dict[str, Any], *, labelled: bool = True) -> Any:
    """Give the encoding of steps along x, out of `shared_steps`."""
    import altair as alt

    hidden = {} if labelled else {"labels": False, "ticks": False}
    axis = alt.Axis(**{"labelOverlap": "parity", **steps["axis"], **hidden})
    return alt.X("step:Q", title=steps["title"] if labelled else None, scale=alt.Scale(**steps["scale"]), axis=axis)


def cursor(steps: dict[str, Any], *, labelled: bool = True) -> Any:
    """Give the line at the step that a page's slider chooses; nothing is drawn before the page fills `cursor`."""
    import altair as alt

    line = alt.Chart(alt.NamedData("cursor")).mark_rule(color=ACCENT, strokeWidth=2)
    return line.encode(x=step_x(steps, labelled=labelled))


def loss_frame(losses: Losses, low: int, high: int) -> pd.DataFrame:
    """Give step and loss from one step to another, thinned to at most MOST_LOSSES lines."""
    frame = losses.frame[["step", "loss"]].dropna()
    frame = frame[(frame["step"] >= low) & (frame["step"] <= high)]
    return frame.iloc[:: max(1, -(-len(frame) // MOST_LOSSES))]


def title_of(runs: Sequence[Run], says: str | list[str]) -> Any:
    """Give the title: the runs' labels, and beneath it what is drawn."""
    import altair as alt

    return alt.Title(", ".join(printable(run.label) for run in runs), subtitle=says)
