"""Reads tables, labels and training logs together, and checks them once. Judges nothing of what they hold."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import Run, metrics_in, read_run
from spectra_cli.studies.inputs.training_logs import Losses, read_losses

NO_LOG = "-"
OWN = "give each its own with --label a,b; stability and lifecycle take --seeds for runs that differ by seed alone"
SEEDS = "seeds"  # what a pool is called whose runs' names have nothing in common


@dataclass(frozen=True, eq=False)
class RunInput:
    """One run as a study or a view gets it. path: its table. losses: what the run logged, None where none was given.

    pool: what it and the runs that differ from it by seed alone are called; None where runs are not pooled.
    """

    path: Path
    run: Run
    losses: Losses | None = None
    pool: str | None = None


def read_inputs(
    tables: Sequence[str | Path],
    metrics: Sequence[str] | None,
    *,
    also: Sequence[str] = (),
    required: Sequence[str] = (),
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    seeds: bool = False,
) -> tuple[RunInput, ...]:
    """Read one table or several, with their labels and their training logs.

    metrics: those to read; None for all that a table holds. also: read beside them. required: of those read, the ones
    that each table must hold a value of. losses: no log, or one for each table, `-` where a run has none; columns: of
    the logs, as for `read_losses`. labels: what to call the runs; by default the names of the files, numbered where
    they are alike. seeds: runs of one label differ by seed alone; without labels all do. Raises SpectraError where
    there are not as many labels or logs as tables, two labels are alike without seeds, or seeds leave every run by
    itself (code 2), or something cannot be read.
    """
    pools = _pools(tables, labels) if seeds else [None] * len(tables)
    names = _numbered([pool or "" for pool in pools]) if seeds else _labels(tables, labels)
    logs = _logs(tables, losses)
    inputs = []
    for path, name, log, pool in zip(map(Path, tables), names, logs, pools, strict=True):
        read = metrics_in(path) if metrics is None else metrics
        run = read_run(path, list(dict.fromkeys([*read, *also])), name)
        empty = [metric for metric in required if run.numbers[metric].isna().all()]
        if empty:
            raise SpectraError(f"{path} holds no {empty[0]}", hint=f"scan again with {empty[0]} among the --metrics")
        inputs.append(RunInput(path, run, None if log is None else read_losses(log, columns), pool))
    return tuple(inputs)


def _pools(tables: Sequence[str | Path], labels: Sequence[str] | None) -> list[str | None]:
    """Return which pool each run belongs to, by its label; without labels what their names have in common."""
    if labels is not None:
        _check_count(tables, labels)
        pools = list(labels)
    else:
        common = os.path.commonprefix([Path(table).stem for table in tables]).rstrip("0123456789-_. ")
        pools = [common or SEEDS] * len(tables)
    if len(set(pools)) == len(pools):
        raise SpectraError(
            "--seeds finds no two runs of one label",
            hint="repeat the label of runs that differ by seed: a,a,b,b",
            code=2,
        )
    return list(pools)


def _numbered(names: Sequence[str]) -> list[str]:
    """Return names that differ: those that are alike are numbered in their order."""
    return [
        f"{name} ({names[:index].count(name) + 1})" if names.count(name) > 1 else name
        for index, name in enumerate(names)
    ]


def _labels(tables: Sequence[str | Path], labels: Sequence[str] | None) -> list[str]:
    if labels is None:
        names = [Path(table).stem for table in tables]
        return [f"{name} ({at})" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]
    _check_count(tables, labels)
    if len(set(labels)) != len(labels):
        raise SpectraError("two tables would have the same name", hint=OWN, code=2)
    return list(labels)


def _check_count(tables: Sequence[str | Path], labels: Sequence[str]) -> None:
    if len(labels) != len(tables) or not all(labels):
        raise SpectraError(
            f"--label gives {len(labels)} names for {len(tables)} tables",
            hint="a name for each table, as in a,b",
            code=2,
        )


def _logs(tables: Sequence[str | Path], losses: Sequence[str | Path]) -> list[str | Path | None]:
    if losses and len(losses) != len(tables):
        raise SpectraError(
            f"--loss names {len(losses)} files for {len(tables)} tables",
            hint="one --loss for each table, in their order; --loss - for a run without",
            code=2,
        )
    return [None if log == NO_LOG else log for log in losses] or [None] * len(tables)
