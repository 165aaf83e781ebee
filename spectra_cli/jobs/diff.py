"""Compares two checkpoints: the same rows as a scan of the two, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from spectra_cli import sources, svd, weights
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import asked, describe_scan, notes_of
from spectra_cli.measure.plan import Plan, Request, Say, make_client
from spectra_cli.measure.trajectory import Walk
from spectra_cli.records import Checkpoint, Problem
from spectra_cli.storage.parts import write_whole
from spectra_cli.storage.table import to_arrow


@dataclass(frozen=True)
class Diff:
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


def diff_checkpoints(
    a: str | Path, b: str | Path, output: str | Path | None = None, *, say: Say = lambda _: None, **options: Any
) -> Diff:
    """Measure two checkpoints and compare them: what `spectra diff` does.

    a, b: a checkpoint's folder or file each, or its place on the Hub. output: also write the table to this Parquet
    file. say: told what is waited for. options: the fields of `spectra_cli.measure.plan.Request` that choose matrices and
    metrics. Raises SpectraError where either cannot be read or the two have no matrix in common.
    """
    request = Request(str(a), **options)
    client = make_client(request, say)
    both = [_only_checkpoint(str(one), client, request.ema) for one in (a, b)]
    (first, second), _ = sources.resolve_files(both, client, weights.wanted)
    plan = Plan(request, first.model, (first, second), second, client=client)
    device = svd.choose_device(request.device)
    with Walk(plan, device) as walk:
        measured = [walk.measure(one) for one in plan.checkpoints]
        problems = tuple(dict.fromkeys(problem for one in measured for problem in one.problems))
        notes = {name: notes_of(one) for name, one in zip("ab", measured, strict=True)}
        compared = [asked(one, note) for one, note in zip(plan.checkpoints, notes.values(), strict=True)]
        facts = describe_scan(plan, walk, device, notes, problems)
        facts |= {"source": [str(a), str(b)], "checkpoints": compared}
    names = [{row.matrix.name for row in one.rows} for one in measured]
    if not names[0] & names[1]:
        raise SpectraError(f"{a} and {b} have no matrix in common", hint="compare two checkpoints of one model")
    tables = [to_arrow(one.rows) for one in measured]
    if output is not None:
        write_whole(Path(output), tables, facts)
    joined = pa.concat_tables(tables).unify_dictionaries()
    return Diff(first, second, joined, tables[0].num_rows, facts, problems, tuple(walk.fallbacks))


def _only_checkpoint(source: str, client: sources.Client, ema: bool) -> Checkpoint:
    if sources.is_hub(source):
        listing = sources.list_hub(source, (), client, weights.wanted)
    else:
        listing = sources.list_folder(Path(source), partial(weights.recognise, ema=ema))
    if len(listing.checkpoints) > 1:
        names = ", ".join(one.revision for one in listing.checkpoints[:3])
        raise SpectraError(
            f"{source} holds {len(listing.checkpoints)} checkpoints", hint=f"name one of them, such as {names}", code=2
        )
    return listing.checkpoints[0]
