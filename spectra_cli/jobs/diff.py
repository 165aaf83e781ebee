"""Compares two checkpoints: the same rows as a scan of the two, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import pyarrow as pa

from spectra_cli import sources, svd, weights
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.only_checkpoint import only_checkpoint
from spectra_cli.measure.executors import LocalExecutor, measure_checkpoint
from spectra_cli.measure.metadata import listed, notes_of, scan_metadata
from spectra_cli.measure.plan import OnWait, Plan, make_client
from spectra_cli.measure.request import Request
from spectra_cli.measure.results import unique
from spectra_cli.measure.scan_options import DiffOptions
from spectra_cli.measure.trajectory import Trajectory
from spectra_cli.records import Checkpoint, Problem, Summarised
from spectra_cli.storage.parts import write_whole
from spectra_cli.storage.table import to_arrow


@dataclass(frozen=True, repr=False)
class Diff(Summarised):
    """Two checkpoints compared. table: SCHEMA, the rows of A (`_final` against B), then of B (`_prev` against A).
    rows_of_a: how many of them are A's.

    problems: matrices that only one of them has, that differ in shape, or that could not be read. fallbacks: what a
    GPU had no memory for, and who computed it then.
    """

    a: Checkpoint
    b: Checkpoint
    table: pa.Table
    rows_of_a: int
    metadata: Mapping[str, Any]
    problems: tuple[Problem, ...]
    fallbacks: tuple[Problem, ...] = ()

    def summary(self) -> dict[str, object]:
        """Return what was compared."""
        facts = {"a": self.a.revision, "b": self.b.revision, "rows": self.table.num_rows}
        return facts | ({"problems": len(self.problems)} if self.problems else {})


def diff_checkpoints(
    a: str | Path,
    b: str | Path,
    output: str | Path | None = None,
    *,
    on_wait: OnWait = lambda _: None,
    **options: Unpack[DiffOptions],
) -> Diff:
    """Measure two checkpoints and compare them: what `spectra diff` does.

    a, b: a checkpoint's folder or file each, or its place on the Hub. output: also write the table to this Parquet
    file. on_wait: called with what is waited for. options: those of ScanOptions that choose matrices and
    metrics. Raises SpectraError where either cannot be read or the two have no matrix in common.

    >>> import spectra_cli
    >>> spectra_cli.diff("run/step0", "run/step16").table.num_rows
    1148
    """
    request = Request.of(a, **options)
    client = make_client(request, on_wait)
    both = [only_checkpoint(str(source), client, ema=request.ema) for source in (a, b)]
    (first, second), _ = sources.resolve_files(both, client, weights.checkpoint_files)
    plan = Plan(request, first.model, (first, second), second, client=client)
    executor = LocalExecutor(svd.choose_device(request.device))
    with Trajectory(plan, executor.device) as trajectory:
        results = [measure_checkpoint(executor, trajectory, checkpoint) for checkpoint in plan.checkpoints]
        problems = unique(problem for result in results for problem in result.problems)
        notes = [(checkpoint, notes_of(result)) for checkpoint, result in zip(plan.checkpoints, results, strict=True)]
        metadata = scan_metadata(plan, trajectory.reference, executor.device, notes, problems)
    metadata |= {"source": [str(a), str(b)], "checkpoints": [listed(*noted) for noted in notes]}
    names_a, names_b = ({rows.matrix.name for rows in result.rows} for result in results)
    if not names_a & names_b:
        raise SpectraError(f"{a} and {b} have no matrix in common", hint="compare two checkpoints of one model")
    tables = [to_arrow(result.rows) for result in results]
    if output is not None:
        write_whole(Path(output), tables, metadata)
    joined = pa.concat_tables(tables).unify_dictionaries()
    fallbacks = unique(problem for result in results for problem in result.fallbacks)
    return Diff(first, second, joined, tables[0].num_rows, metadata, problems, fallbacks)
