"""The few numbers of a step that belong beside the loss, and the trackers that are in use. Depends on none of them.

A tracker is used only where the program has imported it and begun a run; each is asked in the thread that trains.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from spectra_cli.records import MatrixRows

SHOWN = ("stable_rank", "alpha", "spectral_norm", "sd_variation_rate")
PREFIX = "spectra"
Tracker = Callable[[Mapping[str, float], int], object]


class SummaryWriter(Protocol):
    """What takes one number at a time, as TensorBoard's SummaryWriter does."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """Take one number of a step."""


Writer = SummaryWriter | Tracker


def scalars_of(rows: Sequence[MatrixRows]) -> dict[str, float]:
    """Return the means over the matrices of a role, by `spectra/METRIC/ROLE`; those that are no number are left out.

    >>> from spectra_cli.records import Checkpoint, Matrix
    >>> from pathlib import Path
    >>> start = Checkpoint("run", "step0", Path("step0"), 0)
    >>> matrices = [Matrix(f"layers.{layer}.attn.q", "q", "w", 4, 4, layer) for layer in (0, 1)]
    >>> scalars_of([MatrixRows(start, matrix, {"alpha": alpha}) for matrix, alpha in zip(matrices, (0.2, 0.4))])
    {'spectra/alpha/q': 0.30000000000000004}
    """
    values: dict[str, list[float]] = defaultdict(list)
    for of_matrix in rows:
        for metric in SHOWN:
            if metric in of_matrix.numbers:
                values[f"{PREFIX}/{metric}/{of_matrix.matrix.role}"].append(float(of_matrix.numbers[metric]))
    means = {name: sum(numbers) / len(numbers) for name, numbers in values.items()}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}


def active_trackers() -> list[Tracker]:
    """Return what passes scalars on to each tracker that has a run in this process."""
    trackers = (active(sys.modules[name]) for name, active in TRACKERS.items() if name in sys.modules)
    return [tracker for tracker in trackers if tracker is not None]


def as_tracker(writer: Writer) -> Tracker:
    """Return what passes the scalars of a step on to a writer: a function as it is, or one that calls a method.

    >>> as_tracker(print)({"spectra/alpha/q": 0.3}, 25)
    {'spectra/alpha/q': 0.3} 25
    """
    add_scalar = getattr(writer, "add_scalar", None)
    if add_scalar is None:
        return cast(Tracker, writer)

    def pass_on(scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            add_scalar(name, value, step)

    return pass_on


def _wandb(module: Any) -> Tracker | None:
    """Weights & Biases drops what comes for an earlier step than its own: the numbers have an axis of their own."""
    run = getattr(module, "run", None)
    if run is None:
        return None
    axis = f"{PREFIX}/step"
    run.define_metric(axis, hidden=True)
    run.define_metric(f"{PREFIX}/*", step_metric=axis)
    return lambda scalars, step: run.log({**scalars, axis: step})


def _mlflow(module: Any) -> Tracker | None:
    if getattr(module, "active_run", lambda: None)() is None:
        return None
    return lambda scalars, step: module.log_metrics(dict(scalars), step=step)


def _trackio(module: Any) -> Tracker | None:
    current = getattr(getattr(module, "context_vars", None), "current_run", None)
    if current is None or current.get() is None:
        return None
    return lambda scalars, step: module.log(dict(scalars), step=step)


TRACKERS: Mapping[str, Callable[[Any], Tracker | None]] = {"wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}
