"""Computes some of a table's numbers once more, from the checkpoints, and sets the two side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from spectra_cli import svd
from spectra_cli.errors import SpectraError
from spectra_cli.measure.plan import Plan, Request, make_plan
from spectra_cli.measure.trajectory import Walk
from spectra_cli.records import Problem, Row

SAME = 1e-6  # what a number may differ by, as a share of itself: on one machine it is the same to the last bit
OTHER = "another checkpoint lies there now, or another machine computed it"
Place = tuple[str, str | None]  # revision and stage


@dataclass(frozen=True)
class Recomputed:
    """One matrix of one checkpoint, computed again. largest: of all its numbers, the largest relative difference."""

    revision: str
    matrix: str
    numbers: int
    largest: float


def compute_again(
    path: Path,
    facts: Mapping[str, Any],
    places: Sequence[Place],
    drawn: Sequence[tuple[int, str]],
    *,
    source: str | None = None,
    map: str | None = None,
) -> tuple[list[Recomputed], list[Problem]]:
    """Measure matrices once more, checkpoint by checkpoint; give how they compare, and those that differ.

    path, facts: a table and its metadata. places: what its row groups hold. drawn: row group and matrix. source: where
    the checkpoints lie now, unless it is where the table says. map: the scan's --map. Raises SpectraError where
    they cannot be read.
    """
    again, apart = [], []
    for place in sorted({place for place, _ in drawn}):
        names = [name for other, name in drawn if other == place]
        before = places[place - 1] if place else None
        fresh = _measure(make_plan(_request(facts, names, source, map)), places[place], before)
        stored = _stored(path, place, names)
        for name in names:
            one, wrong = _compare(places[place][0], name, stored[stored["matrix"] == name], fresh)
            again.append(one)
            apart += wrong
    return again, apart


def _request(facts: Mapping[str, Any], names: Sequence[str], source: str | None, map: str | None) -> Request:
    if source is None and not isinstance(facts["source"], str):
        raise SpectraError(
            "the table compares two sources", hint="run the same `spectra diff` again in place of --sample"
        )
    known = {field.name for field in fields(Request)} - {"source", "roles", "layers", "match", "reference", "map"}
    options = {name: value for name, value in facts["options"].items() if name in known}
    exactly = "|".join(f"^{re.escape(name)}$" for name in names)
    return Request(source or facts["source"], match=exactly, reference=facts["reference"], map=map, **options)


def _measure(plan: Plan, wanted: Place, before: Place | None) -> tuple[Row, ...]:
    there = {(one.revision, one.stage): one for one in plan.checkpoints}
    lacking = [name for name in (wanted, before) if name is not None and name not in there]
    if lacking:
        raise SpectraError(
            f"{lacking[0][0]} is not in {plan.request.source}", hint="give --source, where the checkpoints lie now"
        )
    with Walk(plan, svd.choose_device(plan.request.device)) as walk:
        if before is not None:
            walk.skip(there[before])
        return walk.measure(there[wanted]).rows


def _stored(path: Path, place: int, names: Sequence[str]) -> pd.DataFrame:
    with pq.ParquetFile(path) as file:
        frame = file.read_row_group(place).to_pandas()
    return frame[frame["matrix"].isin(names)]


def _compare(revision: str, name: str, stored: pd.DataFrame, fresh: Sequence[Row]) -> tuple[Recomputed, list[Problem]]:
    """Set what the table says of a matrix beside what was computed again."""
    mine = {row.metric: row.value if row.vector is None else row.vector for row in fresh if row.matrix.name == name}
    theirs = {row.metric: row.value if row.vector is None else row.vector for row in stored.itertuples()}
    where = f"{revision}: {name}"
    if mine.keys() != theirs.keys():
        lacking = sorted(mine.keys() ^ theirs.keys())[0]
        return Recomputed(revision, name, 0, float("inf")), [Problem(f"{where} has {lacking} only once", OTHER)]
    apart = {metric: _difference(mine[metric], theirs[metric]) for metric in mine}
    wrong = [metric for metric, difference in apart.items() if not difference <= SAME]
    found = [Problem(f"{where}: {one} comes out otherwise, by {apart[one]:.2g} of itself", OTHER) for one in wrong[:1]]
    return Recomputed(revision, name, len(mine), max(apart.values(), default=0.0)), found


def _difference(a: Any, b: Any) -> float:
    """Give the largest difference of two numbers or vectors, as a share of the larger; 0 for NaN beside NaN."""
    one, other = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (a, b))
    if one.shape != other.shape or (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    largest = max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        apart = np.where(one == other, 0.0, np.abs(one - other))
    # Cosines of a matrix with itself and the like may be 1e-16 beside 0.
    return float(apart.max(initial=0.0) / max(largest, 1e-9))
