"""Series over a run as figures want them: means of metrics by role and layer, spectra at some ranks. Draws nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.storage.table import read_rows
from spectra_cli.studies.inputs.runs import Run

MOST_RANKS = 96


def has_steps(run: Run) -> bool:
    """Whether every checkpoint says its step and the steps rise, so that a series can be drawn over them."""
    steps = run.checkpoints["step"]
    return bool(steps.notna().all() and (steps.diff().dropna() > 0).all())


def positions(run: Run) -> pd.Series:
    """Return where each checkpoint stands, indexed by `order`: its step, or its number where `has_steps` is false."""
    points = run.checkpoints
    at = points["step"] if has_steps(run) else pd.Series(points.index, index=points.index)
    return at.astype(np.int64).rename("step")


def narrow(run: Run, roles: Sequence[str] = (), match: str | None = None) -> Run:
    """Return the run with only the matrices of some roles, or whose name the expression finds.

    Raises SpectraError, code 2, where none is left or the expression is none.
    """
    chosen = run.numbers
    if roles:
        chosen = chosen[chosen["role"].astype(str).isin(list(roles))]
    if match is not None:
        chosen = chosen[chosen["matrix"].astype(str).str.contains(_expression(match))]
    if chosen.empty:
        known = ", ".join(dict.fromkeys(run.numbers["role"].astype(str)))
        raise SpectraError(
            f"{run.label} has no such matrix", hint=f"its roles are {known}; `--match` looks at the names", code=2
        )
    return replace(run, numbers=chosen)


def _expression(match: str) -> re.Pattern[str]:
    try:
        return re.compile(match)
    except re.error as error:
        raise SpectraError(f"--match is no expression: {error}", hint="as in 'layers.3.'", code=2) from None


def means(run: Run, metrics: Sequence[str], by: Sequence[str] = ("role",)) -> pd.DataFrame:
    """Return the mean of metrics over the matrices that share `by`, at each checkpoint; undefined values are left out.

    Columns: order, step (of `positions`), revision, those of `by`, and one for each metric; lines in the table's order.
    """
    finite = run.numbers.replace({name: [np.inf, -np.inf] for name in metrics}, np.nan)
    frame = finite.groupby(["order", *by], observed=True, sort=False)[list(metrics)].mean().reset_index()
    return _with_steps(frame, run)


def spread(run: Run, metric: str, by: Sequence[str] = ("role",)) -> pd.DataFrame:
    """Return mean, low, high and number (`matrices`) of a metric over the matrices that share `by`, as `means` does."""
    finite = run.numbers[np.isfinite(run.numbers[metric])]
    frame = finite.groupby(["order", *by], observed=True, sort=False)[metric].agg(["mean", "min", "max", "count"])
    return _with_steps(frame.rename(columns={"min": "low", "max": "high", "count": "matrices"}).reset_index(), run)


def _with_steps(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Return a frame with the step and the revision of each line's `order`, and its roles as text."""
    frame["step"] = frame["order"].map(positions(run))
    frame["revision"] = frame["order"].map(run.checkpoints["revision"].astype(str))
    return frame.astype({"role": str}) if "role" in frame else frame


def middle_matrices(run: Run) -> tuple[str, ...]:
    """Return one matrix of each role, that of the middle layer: the least special ones."""
    first = run.numbers.drop_duplicates("matrix")
    return tuple(
        str(lines["matrix"].iloc[(len(lines) - 1) // 2])
        for _, lines in first.groupby("role", sort=False, observed=True)
    )


def ranks_shown(length: int, most: int = MOST_RANKS) -> NDArray[np.int64]:
    """Return the ranks 1 … length, thinned to at most so many that are evenly spaced on a logarithmic axis.

    >>> ranks_shown(10, 4).tolist()
    [1, 2, 5, 10]
    """
    if length <= most:
        return np.arange(1, length + 1)
    return np.unique(np.round(np.geomspace(1, length, most)).astype(np.int64))


def read_spectra(path: str | Path, run: Run, matrices: Sequence[str], most: int = MOST_RANKS) -> pd.DataFrame:
    """Read σᵢ/Σσ of some matrices at the ranks of `ranks_shown`, at every checkpoint of the run.

    Columns: order, step, matrix, role, rank, sd. Raises SpectraError where the table holds no spectra.
    """
    columns = ("revision", "stage", "matrix", "role", "vector")
    frame = read_rows(path, vectors=True, metrics=["sd"], columns=columns).to_pandas()
    frame = frame[frame["matrix"].isin(list(matrices))]
    if frame.empty:
        raise SpectraError(f"{path} holds no spectra of these matrices", hint="scan again with sd among the --metrics")
    keys = {checkpoint_key(point): order for order, point in run.checkpoints.iterrows()}
    where = positions(run)
    parts = []
    for line in frame.to_dict("records"):
        order = keys.get(checkpoint_key(line))
        if order is not None and line["vector"] is not None:
            ranks = ranks_shown(len(line["vector"]), most)
            facts = {"order": order, "step": where[order], "matrix": str(line["matrix"]), "role": str(line["role"])}
            parts.append(pd.DataFrame({**facts, "rank": ranks, "sd": np.asarray(line["vector"], float)[ranks - 1]}))
    return pd.concat(parts, ignore_index=True)


def checkpoint_key(point: Mapping[str, object] | pd.Series) -> tuple[str, str]:
    """Return what tells one checkpoint of a run from another: its revision and its stage."""
    stage = point["stage"]
    return str(point["revision"]), "" if pd.isna(stage) else str(stage)


def pick(run: Run, steps: Sequence[int], most: int, among: Sequence[int] | None = None) -> list[int]:
    """Return the orders of checkpoints to show: those nearest the steps named, or at most so many, spread over the run.

    The spread is even along the run's checkpoints, first and last included. among: only these orders.
    """
    where = positions(run)
    if among is not None:
        where = where[where.index.isin(list(among))]
    if steps:
        return sorted({int((where - step).abs().idxmin()) for step in steps})
    orders = where.index.to_numpy()
    chosen = np.unique(np.round(np.linspace(0, len(orders) - 1, min(most, len(orders)))).astype(int))
    return [int(order) for order in orders[chosen]]
