"""Reads tables, labels and training logs together, and checks them once. Judges nothing of what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import Run, metrics_in, read_run
from spectra_cli.studies.inputs.training_logs import Losses, read_losses

NO_LOG = "-"


@dataclass(frozen=True, eq=False)
class RunInput:
    """One run as a study or a view gets it. path: its table. losses: what the run logged, None where none was given."""

    path: Path
    run: Run
    losses: Losses | None = None


def read_inputs(
    tables: Sequence[str | Path],
    metrics: Sequence[str] | None,
    *,
    also: Sequence[str] = (),
    required: Sequence[str] = (),
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> tuple[RunInput, ...]:
    """Read one table or several, with their labels and their training logs.

    metrics: those to read; None for all that a table holds. also: read beside them. required: of those read, the ones
    that each table must hold a value of. losses: no log, or one for each table, `-` where a run has none; columns: of
    the logs, as for `read_losses`. labels: what to call the runs; by default the names of the files, numbered where
    they are alike. Raises SpectraError where there are not as many labels or logs as tables or two labels are alike
    (code 2), or something cannot be read.
    """
    names = _labels(tables, labels)
    logs = _logs(tables, losses)
    inputs = []
    for path, name, log in zip(map(Path, tables), names, logs, strict=True):
        read = metrics_in(path) if metrics is None else metrics
        run = read_run(path, list(dict.fromkeys([*read, *also])), name)
        empty = [metric for metric in required if run.numbers[metric].isna().all()]
        if empty:
            raise SpectraError(f"{path} holds no {empty[0]}", hint=f"scan again with {empty[0]} among the --metrics")
        inputs.append(RunInput(path, run, None if log is None else read_losses(log, columns)))
    return tuple(inputs)


def _labels(tables: Sequence[str | Path], labels: Sequence[str] | None) -> list[str]:
    if labels is None:
        names = [Path(table).stem for table in tables]
        return [f"{name} ({at})" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]
    if len(labels) != len(tables) or not all(labels):
        raise SpectraError(
            f"--label gives {len(labels)} names for {len(tables)} tables",
            hint="one different name for each table, as in a,b",
            code=2,
        )
    if len(set(labels)) != len(labels):
        raise SpectraError("two tables would have the same name", hint="give each its own with --label a,b", code=2)
    return list(labels)


def _logs(tables: Sequence[str | Path], losses: Sequence[str | Path]) -> list[str | Path | None]:
    if losses and len(losses) != len(tables):
        raise SpectraError(
            f"--loss names {len(losses)} files for {len(tables)} tables",
            hint="one --loss for each table, in their order; --loss - for a run without",
            code=2,
        )
    return [None if log == NO_LOG else log for log in losses] or [None] * len(tables)
