"""The findings as rows of a table, and back: the whole model, roles and layers are its matrices, of N × N numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Matrix, MatrixRows
from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.rank1.findings import (
    WHOLE,
    Beside,
    GroupFindings,
    Halves,
    Rank1,
    SequenceFindings,
    StepParts,
    Verdict,
)
from spectra_cli.studies.rank1.metric_names import KINDS, NEEDED, NULLS

VERDICTS: dict[float, Verdict] = {1.0: "one-dimensional", 0.0: "not beyond drift", -1.0: "too few checkpoints"}


def rows_of(findings: Rank1, checkpoints: Sequence[Checkpoint]) -> Iterator[list[MatrixRows]]:
    """Yield the rows of each checkpoint: where it lies on the first two components; at the last, all else.

    checkpoints: those of the findings. A merged checkpoint stands at the last one of its window.
    """
    matrices = [_matrix(group, len(checkpoints)) for group in findings.groups]
    for index, checkpoint in enumerate(checkpoints):
        places = {
            f"rank1_{kind}_{axis}": value
            for kind in KINDS
            for last, *coordinates in getattr(findings.whole, kind).points
            for axis, value in zip("xy", coordinates, strict=True)
            if last == index
        }
        rows = [MatrixRows(checkpoint, matrices[0], places)]
        if index == len(checkpoints) - 1:
            for group, matrix in zip(findings.groups, matrices, strict=True):
                rows.append(MatrixRows(checkpoint, matrix, {"rank1_window": float(findings.window), **_numbers(group)}))
        yield rows


def _matrix(group: GroupFindings, count: int) -> Matrix:
    return Matrix(group.name, group.role or WHOLE, "", count, count, layer=group.layer)


def _numbers(group: GroupFindings) -> dict[str, float]:
    numbers = {"rank1_elements": float(group.elements), "rank1_dimensions": group.dimensions}
    codes = {verdict: code for code, verdict in VERDICTS.items()}
    for kind in KINDS:
        sequence: SequenceFindings = getattr(group, kind)
        numbers |= {f"rank1_{kind}_share_{rank}": share for rank, share in enumerate(sequence.shares, 1)}
        numbers |= _beside(f"rank1_{kind}", sequence)
        numbers |= {
            f"rank1_{kind}_update_cosine": sequence.update_cosine,
            f"rank1_{kind}_verdict": codes[sequence.verdict],
        }
    numbers |= {"rank1_halves_cosine": group.halves.cosine, **_beside("rank1_halves", group.halves)}
    return numbers | {f"rank1_{name}": value for name, value in vars(group.steps).items()}


def _beside(prefix: str, holder: SequenceFindings | Halves) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name in NULLS:
        null: Beside = getattr(holder, f"null_{name}")
        low, high = null.interval
        parts = {"share": null.share, "low": low, "high": high, "p": null.p}
        numbers |= {f"{prefix}_{name}_{part}": value for part, value in parts.items()}
    return numbers


def rank1_of(run: Run) -> Rank1:
    """Return the findings that a table holds. run: with all its metrics. Raises SpectraError where it holds none."""
    points = run.checkpoints
    last = run.numbers[run.numbers["order"] == points.index[-1]]
    if any(name not in last for name in NEEDED) or last["rank1_window"].isna().all():
        raise SpectraError(
            f"{run.label} holds no findings of rank 1", hint="`spectra rank1 SOURCE` writes such a table"
        )
    lines = last[last["rank1_window"].notna()].to_dict("records")
    whole = run.numbers[run.numbers["matrix"].astype(str) == str(lines[0]["matrix"])]
    groups = tuple(_group(line, whole if line is lines[0] else whole[:0]) for line in lines)
    steps = tuple(None if pd.isna(step) else int(step) for step in points["step"])
    model = str(run.numbers["model"].iloc[0])
    return Rank1(model, int(lines[0]["rank1_window"]), tuple(map(str, points["revision"])), steps, groups)


def _group(line: dict[Any, Any], places: pd.DataFrame) -> GroupFindings:
    raw, merged = (_sequence(kind, line, places) for kind in KINDS)
    halves = Halves(_number(line, "rank1_halves_cosine"), *(_null(line, f"rank1_halves_{name}") for name in NULLS))
    return GroupFindings(
        str(line["matrix"]),
        None if line["role"] == WHOLE else str(line["role"]),
        None if pd.isna(line["layer"]) else int(line["layer"]),
        int(_number(line, "rank1_elements")),
        raw,
        merged,
        halves,
        StepParts(*(_number(line, f"rank1_{name}") for name in StepParts.__dataclass_fields__)),
        _number(line, "rank1_dimensions"),
    )


def _sequence(kind: str, line: dict[Any, Any], places: pd.DataFrame) -> SequenceFindings:
    shares: list[float] = []
    while pd.notna(share := line.get(f"rank1_{kind}_share_{len(shares) + 1}", np.nan)):
        shares.append(float(share))
    x, y = f"rank1_{kind}_x", f"rank1_{kind}_y"
    placed = places.dropna(subset=[x, y]) if {x, y} <= set(places) else places[:0]
    walk, persistent = (_null(line, f"rank1_{kind}_{name}") for name in NULLS)
    return SequenceFindings(
        tuple(shares),
        walk,
        persistent,
        _number(line, f"rank1_{kind}_update_cosine"),
        VERDICTS.get(_number(line, f"rank1_{kind}_verdict"), "too few checkpoints"),
        tuple((int(row["order"]), float(row[x]), float(row[y])) for row in placed.to_dict("records")),
    )


def _null(line: dict[Any, Any], prefix: str) -> Beside:
    share, low, high, p = (_number(line, f"{prefix}_{part}") for part in ("share", "low", "high", "p"))
    return Beside(share, (low, high), p)


def _number(line: dict[Any, Any], name: str) -> float:
    value = line.get(name)
    if value is None or pd.isna(value):
        raise SpectraError(f"the table of rank 1 lacks {name}", hint="write it again with `spectra rank1`")
    return float(value)
