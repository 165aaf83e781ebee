"""What figures' data share: frames with names made safe to draw, where checkpoints stand, panels of series, titles."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.axes import is_wide, step_scale, titled
from spectra_cli.views.figures.figure import Panel

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.inputs.training_logs import Losses
    from spectra_cli.views.figures.studied import StudiedRun

MOST_LOSSES = 2000
WRAPPED = 96  # characters of a subtitle's line


def by_role(run: Run, metrics: list[str]) -> pd.DataFrame:
    """Return the means of metrics by role at each checkpoint."""
    from spectra_cli.studies.series import means

    return _safe(means(run, metrics, ("role",)), run)


def by_part(runs: Sequence[StudiedRun], metric: str) -> pd.DataFrame:
    """Return the means of a metric over attention and over the MLP of each run, `all` where a run has neither."""
    from dataclasses import replace

    import pandas as pd

    from spectra_cli.studies.inputs.runs import groups
    from spectra_cli.studies.series import means

    frames = []
    for studied in runs:
        parts = dict(groups(studied.run.numbers))
        named = set(parts) & {"attention", "mlp"} or {"all"}
        for name in sorted(named):
            mean = means(replace(studied.run, numbers=parts[name]), [metric], ())
            mean["step"] = mean["order"].map(positions_of(studied.run))
            frames.append(mean.assign(part=name, run=studied.label, revision=mean["revision"].map(printable)))
    return pd.concat(frames, ignore_index=True).dropna(subset=metric)


def positions_of(run: Run) -> dict[int, int]:
    """Return where each checkpoint of a run stands, by its order."""
    from spectra_cli.studies.series import positions

    return dict(positions(run).items())


def spread_by_role(run: Run, metric: str) -> pd.DataFrame:
    """Return mean, least and largest of a metric by role at each checkpoint."""
    from spectra_cli.studies.series import spread

    return _safe(spread(run, metric), run)


def by_layer(runs: Sequence[StudiedRun], metric: str) -> pd.DataFrame:
    """Return the mean of a metric by run, role and layer at each checkpoint, as `value`.

    What lies in no layer is left out. Raises SpectraError where that is all.
    """
    import pandas as pd

    frame = pd.concat([_by_layer(studied.run, metric) for studied in runs], ignore_index=True)
    if frame.empty:
        raise SpectraError(
            f"no matrix of {', '.join(studied.run.label for studied in runs)} that lies in a layer has {metric}",
            hint="embeddings have no layer: choose other --roles or another --metric",
        )
    return frame


def _by_layer(run: Run, metric: str) -> pd.DataFrame:
    from spectra_cli.studies.series import means

    frame = means(run, [metric], ("role", "layer")).rename(columns={metric: "value"}).dropna(subset=["layer", "value"])
    return _safe(frame.astype({"layer": int}), run)


def _safe(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    return frame.assign(
        revision=frame["revision"].map(printable), role=frame["role"].map(printable), run=printable(run.label)
    )


def steps_of(run: Run) -> tuple[list[int], bool]:
    """Return where the checkpoints stand, and whether these are steps."""
    from spectra_cli.studies.series import has_steps, positions

    return positions(run).tolist(), has_steps(run)


def shared_steps(runs: Sequence[StudiedRun]) -> dict[str, Any]:
    """Return one axis of steps for all runs, as `axes.step_scale` does."""
    stands = [steps_of(studied.run) for studied in runs]
    return step_scale(
        [step for steps, _ in stands for step in steps], are_steps=all(are_steps for _, are_steps in stands)
    )


def step_title(runs: Sequence[StudiedRun]) -> str:
    """Return what the columns of a figure are, where each checkpoint has one."""
    return "step" if all(steps_of(studied.run)[1] for studied in runs) else "checkpoint"


def log_frame(runs: Sequence[StudiedRun], column: str) -> pd.DataFrame:
    """Return step, run and a column of what runs logged, between each one's checkpoints; of the rate, where above 0."""
    import pandas as pd

    frames = [pd.DataFrame({"step": [], column: [], "run": []})]
    for studied in runs:
        steps, are_steps = steps_of(studied.run)
        if studied.losses is not None and are_steps:
            frame = _logged(studied.losses, column, min(steps), max(steps))
            frames.append(frame[frame[column] > 0] if column == "lr" else frame)
            frames[-1] = frames[-1].assign(run=studied.label)
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def loss_frame(losses: Losses, low: int, high: int) -> pd.DataFrame:
    """Return step and loss from one step to another, thinned to at most MOST_LOSSES lines."""
    return _logged(losses, "loss", low, high)


def _logged(losses: Losses, column: str, low: int, high: int) -> pd.DataFrame:
    frame = losses.frame[["step", column]].dropna()
    frame = frame[(frame["step"] >= low) & (frame["step"] <= high)]
    return frame.iloc[:: max(1, -(-len(frame) // MOST_LOSSES))]


def series_panels(studied: StudiedRun, frame: pd.DataFrame, metric: str) -> tuple[Panel, ...]:
    """Return the terminal's panels of a metric by role over the steps, and of the loss where the run has a log.

    frame: with step, role and the metric.
    """
    label, losses, are_steps = studied.label, studied.losses, steps_of(studied.run)[1]
    log = is_wide(frame.loc[frame[metric] > 0, metric])
    frame = frame[frame[metric] > 0] if log else frame
    lines = frame.rename(columns={"step": "x", metric: "y", "role": "series"})
    panels = [Panel(f"{label}: {titled(metric)}", "step", metric, lines, are_steps, log)]
    if losses is not None and len(frame):
        curve = loss_frame(losses, int(frame["step"].min()), int(frame["step"].max()))
        curve = curve.rename(columns={"step": "x", "loss": "y"}).assign(series="loss")
        panels.append(Panel(f"{label}: {losses.kind} loss", "step", "loss", curve, are_steps))
    return tuple(panels)


def title(labels: Sequence[str], shows: str | list[str]) -> Any:
    """Return the title: the runs' labels, and beneath it what is drawn, in sentences."""
    import altair as alt

    return alt.Title(", ".join(labels), subtitle=wrapped([shows] if isinstance(shows, str) else shows))


def wrapped(sentences: Sequence[str], width: int = WRAPPED) -> list[str]:
    """Return sentences as lines of a subtitle, each a whole one with its full stop.

    >>> wrapped(["Dots: layers", "It falls."])
    ['Dots: layers. It falls.']
    """
    whole = [f"{text.rstrip('.')}." for text in sentences if text]
    return textwrap.wrap(" ".join(whole), width)
