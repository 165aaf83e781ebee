"""Checks a table: that it is whole and unchanged, that its numbers can be true, and that they come out again.

Knows tables and metrics; what it finds wrong it gives back and never mends.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.recompute import Recomputed, compute_again
from spectra_cli.metrics import METRICS
from spectra_cli.records import Problem
from spectra_cli.storage import table
from spectra_cli.studies.rank1.metric_names import limits_of

ACCURACY = 1e-9  # what every singular value may be wrong by, as a share of the largest
ROUNDING = 1e-9
CHANGED = "the file was damaged or edited: take it from where it came, or scan again"
IMPOSSIBLE = "no matrix has such a number: the file was edited, or spectra has an error: please report it"
BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it; a sound table has no findings."""

    path: Path
    rows: int
    checkpoints: int
    matrices: int
    findings: tuple[Problem, ...]
    recomputed: tuple[Recomputed, ...] = ()


@dataclass(frozen=True)
class _Group:
    """What a row group holds: the checkpoint, and the names of its matrices."""

    revision: str
    stage: str | None
    matrices: tuple[str, ...]


def verify_table(
    path: str | Path, *, sample: int = 0, seed: int = 0, source: str | None = None, map: str | None = None
) -> Verified:
    """Check a table that `scan` or `diff` wrote: what `spectra verify` does.

    sample: so many matrices, drawn by seed, are computed again from the source and compared. source: where the
    checkpoints lie now, unless it is where the table says. map: the scan's --map. Raises SpectraError where the file
    is no such table, or the source cannot be read.

    >>> import spectra_cli
    >>> verified = spectra_cli.verify("run.parquet")
    >>> verified.matrices, verified.findings
    (84, ())
    """
    metadata = table.read_metadata(path)
    if sample and "rank1" in metadata:
        raise SpectraError(
            f"{path} is of `spectra rank1`, of which no sample can be computed again",
            hint="leave out --sample; the same `spectra rank1` with another -o gives the same table",
        )
    findings = list(_metadata_wrong(metadata))
    groups: list[_Group] = []
    rows = 0
    for index, group in enumerate(_by_checkpoint(_row_groups(Path(path), findings), metadata)):
        rows += group.num_rows
        frame = group.to_pandas()
        findings += _group_wrong(index, group, frame, metadata)
        findings += _numbers_wrong(frame)
        groups.append(_Group(str(frame["revision"].iloc[0]), _text(frame["stage"].iloc[0]), _names(frame)))
    findings += _missing(metadata, groups)
    matrices = sum(len(group.matrices) for group in groups)
    verified = Verified(Path(path), rows, len(groups), matrices, tuple(findings))
    if not sample or findings:
        return verified
    every = [(index, name) for index, group in enumerate(groups) for name in group.matrices]
    drawn = random.Random(seed).sample(every, min(sample, matrices))  # noqa: S311 - a sample, no secret
    identities = [(group.revision, group.stage) for group in groups]
    again, apart = compute_again(Path(path), metadata, identities, drawn, source=source, map=map)
    return replace(verified, findings=tuple(apart), recomputed=tuple(again))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _names(frame: pd.DataFrame) -> tuple[str, ...]:
    return tuple(dict.fromkeys(frame["matrix"].astype(str)))


def _metadata_wrong(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """Check what the file says of itself."""
    if not metadata:
        yield Problem("the table says nothing of how it was made: another program wrote it", "verify the scan's own")
        return
    if metadata.get("schema_version") != table.SCHEMA_VERSION:
        yield Problem(
            f"the schema is version {metadata.get('schema_version')}", "verify it with the version that wrote it"
        )
    if "sha256" not in metadata:
        yield Problem("the table holds no checksums", "scan again to have a table that can be verified")
    elif metadata["sha256"] != table.facts_digest(metadata):
        yield Problem("the metadata do not match their checksum", CHANGED)


def _row_groups(path: Path, findings: list[Problem]) -> Iterator[pa.Table]:
    """Yield the row groups that can be read."""
    for index in range(table.count_parts(path)):
        try:
            group = table.row_group(path, index)
        except SpectraError as error:
            findings.append(Problem(error.message, CHANGED))
            continue
        if group.num_rows:
            yield group


def _by_checkpoint(groups: Iterable[pa.Table], metadata: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yield the rows of one checkpoint after another: the row groups, or parts of them where another wrote the file."""
    for group in groups:
        if metadata:
            yield group
            continue
        names = group.select(["revision", "stage"]).to_pandas().astype(object)
        for rows in names.groupby(["revision", "stage"], dropna=False, sort=False).indices.values():
            yield group.take(rows)


def _group_wrong(index: int, group: pa.Table, frame: pd.DataFrame, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """Check that a checkpoint's rows are those that were written, of no other one, and none twice."""
    written = metadata.get("row_groups", [])
    where = f"the rows of {frame['revision'].iloc[0]}"
    if metadata and (index >= len(written) or written[index]["sha256"] != table.rows_digest(group)):
        yield Problem(f"{where} do not match their checksum", CHANGED)
    if frame["revision"].nunique() != 1 or frame.duplicated(["matrix", "metric"]).any():
        yield Problem(f"{where} hold a matrix's number twice, or another checkpoint's", CHANGED)


def _missing(metadata: Mapping[str, Any], groups: Sequence[_Group]) -> Iterator[Problem]:
    """Check that all that was asked for is there, or was said not to be readable."""
    if len(groups) != len(metadata.get("row_groups", groups)):
        yield Problem(f"{len(metadata['row_groups'])} checkpoints were written, {len(groups)} are there", CHANGED)
    counts = {(group.revision, group.stage): len(group.matrices) for group in groups}
    for revision, stage, _, matrices in metadata.get("checkpoints", []):
        count = counts.get((revision, stage))
        if count != matrices and not (count is None and matrices == 0):
            yield Problem(f"{revision} should have {matrices or 'no'} matrices, and has {count or 'none'}", CHANGED)


def _numbers_wrong(frame: pd.DataFrame) -> list[Problem]:
    """Check ranges and inequalities; of each kind and checkpoint the first matrix is named."""
    frame = frame.assign(r=np.minimum(frame["rows"], frame["cols"]))
    where = f"{frame['revision'].iloc[0]}: "
    texts = [
        where + text for name, rows in frame.groupby("metric", observed=True) for text in _out_of_range(name, rows)
    ]
    wide = frame.pivot_table("value", ["matrix", "r"], "metric", observed=True, dropna=False)
    texts += [where + text for text in _unequal(wide.reset_index("r"))]
    return [Problem(text, IMPOSSIBLE) for text in texts]


def _out_of_range(name: str, rows: pd.DataFrame) -> Iterator[str]:
    own = limits_of(name)
    if name not in BY_NAME and own is None:
        yield f"there is no metric {name}"
        return
    limits = np.array([own or BY_NAME[name].limits(int(r)) for r in rows["r"]])
    slack = ROUNDING * np.maximum(1.0, np.abs(np.nan_to_num(limits, posinf=0.0, neginf=0.0)))
    value = rows["value"].to_numpy()
    wrong = (value < limits[:, 0] - slack[:, 0]) | (value > limits[:, 1] + slack[:, 1])
    if wrong.any():
        yield f"{name} of {rows['matrix'].iloc[wrong.argmax()]} is {value[wrong.argmax()]:.6g}, outside of its range"
    for matrix, r, vector in zip(rows["matrix"], rows["r"], rows["vector"], strict=True):
        if vector is not None and not _is_distribution(np.asarray(vector, np.float64), int(r)):
            yield f"{name} of {matrix} is no distribution of {r} values in descending order"
            return


def _is_distribution(vector: np.ndarray, r: int) -> bool:
    if np.isnan(vector).all():
        return len(vector) == r
    falls = bool((np.diff(vector) <= ROUNDING).all())
    return len(vector) == r and bool((vector >= 0).all()) and falls and abs(vector.sum() - 1) < 1e-4


def _unequal(wide: pd.DataFrame) -> Iterator[str]:
    """Check the two inequalities that hold for every pair, within what errors of the spectra can add."""
    root = np.sqrt(wide["r"])
    for small, large, slack in (
        ("sd_variation_prev", "stability_bound_prev", 2 * ACCURACY * root * (1 + root)),
        ("cos_weights_prev", "cos_spectrum_prev", 1e-12 + 4 * ACCURACY * root),
        ("cos_weights_final", "cos_spectrum_final", 1e-12 + 4 * ACCURACY * root),
    ):
        if small in wide and large in wide:
            wrong = wide[small].abs() > wide[large] * (1 + ROUNDING) + slack
            if wrong.any():
                yield f"{small} of {wrong.idxmax()} exceeds {large}"
