"""Computes some of a table's numbers once more, from the checkpoints, and sets the two side by side."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectra_cli import svd
from spectra_cli.errors import SpectraError, printable
from spectra_cli.measure.executors import LocalExecutor, measure_checkpoint
from spectra_cli.measure.plan import Plan, make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.trajectory import Trajectory
from spectra_cli.records import MatrixRows, Problem
from spectra_cli.sources import is_remote
from spectra_cli.storage.table import row_group

SAME = 1e-6  # what a number may differ by, as a share of itself: on one machine it is the same to the last bit
OTHER = "another checkpoint lies there now, or another machine computed it"
Identity = tuple[str, str | None]  # revision and stage
MOST_VECTORS = 10_000


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _count_or_none(value: Any) -> bool:
    return value is None or (type(value) is int and 0 < value < 2**63)


def _flag(value: Any) -> bool:
    return type(value) is bool


# The options of a scan that change numbers, with their forms. Who wrote the table does not say where else to read, by
# which links, with how many threads or on whose cluster.
_FROM_TABLE: Mapping[str, Callable[[Any], bool]] = {
    "revisions": _texts,
    "steps": _text_or_none,
    "metrics": _texts,
    "vectors": lambda value: _count_or_none(value) and (value or 0) <= MOST_VECTORS,
    "alpha_range": _text_or_none,
    "fused": _flag,
    "arch": _text_or_none,
    "tokens_per_step": _count_or_none,
    "ema": _flag,
}


@dataclass(frozen=True)
class Recomputed:
    """One matrix of one checkpoint, computed again. largest: of all its numbers, the largest relative difference."""

    revision: str
    matrix: str
    numbers: int
    largest: float


def compute_again(
    path: Path,
    metadata: Mapping[str, Any],
    identities: Sequence[Identity],
    drawn: Sequence[tuple[int, str]],
    *,
    source: str | None = None,
    map: str | None = None,
) -> tuple[list[Recomputed], list[Problem]]:
    """Measure matrices once more, checkpoint by checkpoint; return how they compare, and those that differ.

    path, metadata: a table and what it says. identities: of its row groups. drawn: row group and matrix. source: where
    the checkpoints lie now, unless it is where the table says. map: the scan's --map. Raises SpectraError where
    they cannot be read.
    """
    again, differing = [], []
    for group in sorted({group for group, _ in drawn}):
        names = [name for other, name in drawn if other == group]
        previous = identities[group - 1] if group else None
        fresh = _measure(make_plan(_request(metadata, names, source, map)), identities[group], previous)
        stored = _stored(path, group, names)
        for name in names:
            recomputed, problems = _compare(identities[group][0], name, stored[stored["matrix"] == name], fresh)
            again.append(recomputed)
            differing += problems
    return again, differing


def _request(metadata: Mapping[str, Any], names: Sequence[str], source: str | None, map: str | None) -> Request:
    if source is None and not isinstance(metadata.get("source"), str):
        raise SpectraError(
            "the table compares two sources", hint="run the same `spectra diff` again in place of --sample"
        )
    if source is None and is_remote(metadata["source"]):
        said = printable(metadata["source"])
        raise SpectraError(
            f"the table says that it came from {said}, and nothing is fetched on a table's word alone",
            hint=f"give --source {shlex.quote(said)} to fetch it from there",
        )
    options = {name: value for name, value in metadata.get("options", {}).items() if name in _FROM_TABLE}
    wrong = [name for name, value in options.items() if not _FROM_TABLE[name](value)]
    if wrong:
        raise SpectraError(f"the table's option {wrong[0]} is not one of a scan", hint="scan again")
    exactly = "|".join(f"^{re.escape(name)}$" for name in names)
    return Request.of(
        source or metadata["source"], match=exactly, reference=metadata.get("reference"), map=map, **options
    )


def _measure(plan: Plan, wanted: Identity, previous: Identity | None) -> tuple[MatrixRows, ...]:
    checkpoints = {(checkpoint.revision, checkpoint.stage): checkpoint for checkpoint in plan.checkpoints}
    missing = [name for name in (wanted, previous) if name is not None and name not in checkpoints]
    if missing:
        raise SpectraError(
            f"{missing[0][0]} is not in {plan.request.source}", hint="give --source, where the checkpoints lie now"
        )
    executor = LocalExecutor(svd.choose_device(plan.request.device))
    with Trajectory(plan, executor.device) as trajectory:
        if previous is not None:
            trajectory.pass_over(checkpoints[previous])
        return measure_checkpoint(executor, trajectory, checkpoints[wanted]).rows


def _stored(path: Path, group: int, names: Sequence[str]) -> pd.DataFrame:
    frame = row_group(path, group).to_pandas()
    return frame[frame["matrix"].isin(names)]


def _compare(
    revision: str, name: str, stored: pd.DataFrame, fresh: Sequence[MatrixRows]
) -> tuple[Recomputed, list[Problem]]:
    """Set what the table says of a matrix beside what was computed again."""
    now = next((rows.numbers for rows in fresh if rows.matrix.name == name), {})
    before = {row.metric: row.value if row.vector is None else row.vector for row in stored.itertuples()}
    where = f"{revision}: {name}"
    if now.keys() != before.keys():
        lacking = sorted(now.keys() ^ before.keys())[0]
        return Recomputed(revision, name, 0, float("inf")), [Problem(f"{where} has {lacking} only once", OTHER)]
    apart = {metric: _difference(now[metric], before[metric]) for metric in now}
    wrong = [metric for metric, difference in apart.items() if not difference <= SAME]
    problems = [
        Problem(f"{where}: {metric} comes out otherwise, by {apart[metric]:.2g} of itself", OTHER)
        for metric in wrong[:1]
    ]
    return Recomputed(revision, name, len(now), max(apart.values(), default=0.0)), problems


def _difference(a: Any, b: Any) -> float:
    """Return the largest difference of two numbers or vectors, as a share of the larger; 0 for NaN beside NaN."""
    left, right = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (a, b))
    if left.shape != right.shape or (np.isnan(left) != np.isnan(right)).any():
        return float("inf")
    left, right = left[~np.isnan(left)], right[~np.isnan(right)]
    largest = max(np.abs(left).max(initial=0.0), np.abs(right).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        apart = np.where(left == right, 0.0, np.abs(left - right))
    # Cosines of a matrix with itself and the like may be 1e-16 beside 0.
    return float(apart.max(initial=0.0) / max(largest, 1e-9))
