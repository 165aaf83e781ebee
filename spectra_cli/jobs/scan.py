"""The main job: measures the checkpoints of a source in order, and keeps their rows safe until they are one table."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from spectra_cli.errors import SpectraError
from spectra_cli.jobs import training_log
from spectra_cli.jobs.finished import contents_of, finished_table
from spectra_cli.jobs.resume import changed, is_changed, manifest_of, refuse_changed_reference
from spectra_cli.measure.executors import Executor, executor_for, measure_checkpoint
from spectra_cli.measure.executors.executor import OnDone
from spectra_cli.measure.metadata import notes_of, scan_metadata
from spectra_cli.measure.plan import OnWait, Plan, make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.results import CheckpointResult, unique
from spectra_cli.measure.scan_options import ScanOptions
from spectra_cli.measure.trajectory import Trajectory
from spectra_cli.records import Checkpoint, Layout, Problem, Summarised
from spectra_cli.storage.manifest import CheckpointNotes
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import to_arrow
from spectra_cli.storage.trace_file import recorded

OnStart = Callable[[Plan, Layout, str, int], None]


@dataclass(frozen=True, repr=False)
class Scan(Summarised):
    """What a scan gave: where the table is, how many rows it holds, its metadata, and what could not be read.

    steps: how many different steps the run was found to have. losses: the file beside the table with the run's loss
    and learning rate, where the training program kept them. fallbacks: what a GPU had no memory for, and who computed
    it then. computed: False where the table was there already, from the same request of the same files.
    """

    output: Path
    rows: int
    metadata: Mapping[str, Any]
    problems: tuple[Problem, ...]
    steps: int
    losses: Path | None = None
    fallbacks: tuple[Problem, ...] = ()
    computed: bool = True

    def summary(self) -> dict[str, object]:
        """Return where the table is and what it holds."""
        facts = {
            "output": str(self.output), "model": self.metadata["model"], "rows": self.rows,
            "checkpoints": len(self.metadata["checkpoints"]), "reference": self.metadata["reference"],
        }  # fmt: skip
        return facts | ({"problems": len(self.problems)} if self.problems else {})


OBJECTS = 50_000
"""How many objects more than there were make the collector of garbage look through them, while a scan runs."""


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Spare the collector of garbage what was there before, and let it look seldom: a scan leaves it little to find.

    To look as often as it does by itself took a tenth of the time in which libraries load.
    """
    thresholds = gc.get_threshold()
    often = 0 < thresholds[0] < OBJECTS  # it is not off, and no other scan of this process has seen to it
    gc.freeze()
    if often:
        gc.set_threshold(OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        if often:
            gc.set_threshold(*thresholds)
        gc.unfreeze()


@_rarely_collected()
def scan_checkpoints(
    source: str | Path,
    output: str | Path,
    *,
    restart: bool = False,
    losses: bool = True,
    trace: str | Path | None = None,
    on_start: OnStart = lambda *_: None,
    on_done: OnDone = lambda *_: None,
    on_wait: OnWait = lambda _: None,
    **options: Unpack[ScanOptions],
) -> Scan:
    """Measure every matrix of every checkpoint in a source and write the table: what `spectra scan` does.

    source: a folder of checkpoints, one checkpoint, or a place on the Hub. output: the Parquet file. restart: discard
    what an earlier scan of the same output left; otherwise that is resumed, and a table that is complete is kept as it
    is. losses: write the loss and learning rate beside the table, as `FILE.loss.jsonl`, where the run has them.
    trace: a file that is to say, in Chrome's trace format, what ran when on which worker.
    on_start: called once, with the plan, the layout of one checkpoint, the device, and how many checkpoints are
    finished already. on_done: called after each matrix, and with None after each checkpoint. on_wait: called with what
    is waited for, when the Hub does not answer. options: those of ScanOptions, such as `metrics=("sd", "alpha")`.
    Raises SpectraError where nothing can be read or written; what could not be read among the rest is in the result's
    `problems`.

    >>> import spectra_cli
    >>> scan = spectra_cli.scan("run", "some.parquet", roles=["q"], metrics=["stable_rank"])
    >>> scan.rows, scan.problems
    (12, ())
    """
    plan = make_plan(Request.of(source, **options), on_wait)
    contents = contents_of(plan)
    with recorded(Path(trace) if trace else None) as recorder, executor_for(plan.request) as executor:
        plan = replace(plan, recorder=recorder)
        parts = Parts(Path(output), manifest_of(plan, executor.device), restart)
        metadata = None if restart else finished_table(plan, contents, parts, executor.device)
        if metadata is not None:
            return _as_it_is(Path(output), plan, metadata)
        return _compute(executor, plan, parts, contents, losses=losses, on_start=on_start, on_done=on_done)


def _as_it_is(output: Path, plan: Plan, metadata: Mapping[str, Any]) -> Scan:
    rows = sum(group["rows"] for group in metadata["row_groups"])
    log = training_log.companion(output)
    return Scan(output, rows, metadata, (), _steps(plan), log if log.is_file() else None, computed=False)


def _steps(plan: Plan) -> int:
    return len({checkpoint.step for checkpoint in plan.checkpoints if checkpoint.step is not None})


def _compute(
    executor: Executor, plan: Plan, parts: Parts, contents: str, *, losses: bool, on_start: OnStart, on_done: OnDone
) -> Scan:
    """Measure what no earlier run has finished, and write the table."""
    with parts, Trajectory(plan, executor.device, reads=executor.reads) as trajectory:
        kept = sum(parts.notes(checkpoint.key) is not None for checkpoint in plan.checkpoints)
        on_start(plan, trajectory.first_layout(), executor.device, kept)
        measured = _measure_all(executor, trajectory, parts, on_done)
        problems = _problems(trajectory, measured)
        notes = list(measured.notes.items())
        metadata = scan_metadata(plan, trajectory.reference, executor.device, notes, problems) | {"contents": contents}
        # Before the parts go: a kill between the two files must leave something to resume from.
        log = _training_log(parts.output, plan, problems) if losses else None
        with plan.recorder.span("write the table"):
            rows = parts.assemble([checkpoint.key for checkpoint in measured.notes], metadata)
    return Scan(parts.output, rows, metadata, tuple(problems), _steps(plan), log, unique(measured.fallbacks))


@dataclass(frozen=True)
class _Measured:
    """What a scan has: notes of each checkpoint that will be in the table, and why others will not."""

    notes: dict[Checkpoint, CheckpointNotes] = field(default_factory=dict)
    failures: dict[Checkpoint, Problem] = field(default_factory=dict)
    fallbacks: list[Problem] = field(default_factory=list)


def _measure_all(executor: Executor, trajectory: Trajectory, parts: Parts, on_done: OnDone) -> _Measured:
    """Measure each checkpoint that no earlier run has finished, and keep its rows."""
    plan, measured = trajectory.plan, _Measured()
    for checkpoint in plan.checkpoints:
        carried_over = parts.notes(checkpoint.key)
        if carried_over is not None:
            measured.notes[checkpoint] = carried_over
            trajectory.pass_over(checkpoint)
            on_done(checkpoint, None)
            continue
        try:
            result = _measure(checkpoint, executor, trajectory, parts, on_done)
        except SpectraError as error:
            if len(plan.checkpoints) == 1 or error.stops:
                raise
            measured.failures[checkpoint] = Problem(error.message, error.hint)
            on_done(checkpoint, None)
            continue
        refuse_changed_reference(plan, parts.manifest)
        measured.notes[checkpoint] = notes_of(result)
        measured.fallbacks.extend(result.fallbacks)
        with plan.recorder.span("write", checkpoint=checkpoint.revision, matrices=len(result.rows)):
            parts.write(checkpoint.key, to_arrow(result.rows), measured.notes[checkpoint])
    refuse_changed_reference(plan, parts.manifest)
    return measured


def _measure(
    checkpoint: Checkpoint, executor: Executor, trajectory: Trajectory, parts: Parts, on_done: OnDone
) -> CheckpointResult:
    """Measure a checkpoint; nothing is taken from one that changed meanwhile, or of which nothing can be read."""
    later = trajectory.plan.checkpoints[trajectory.plan.checkpoints.index(checkpoint) + 1 :]
    upcoming = next((other for other in later if parts.notes(other.key) is None), None)
    result = measure_checkpoint(executor, trajectory, checkpoint, upcoming, on_done)
    if is_changed(checkpoint, parts.manifest):
        trajectory.forget_previous()
        raise changed(checkpoint)
    if result.problems and not result.rows:
        raise SpectraError(result.problems[0].message, hint=result.problems[0].hint)
    return result


def _problems(trajectory: Trajectory, measured: _Measured) -> list[Problem]:
    """Return what went wrong, in the checkpoints' order. Raises SpectraError where no checkpoint could be measured."""
    problems = [*trajectory.plan.problems, *trajectory.problems]
    for checkpoint in trajectory.plan.checkpoints:
        notes = measured.notes.get(checkpoint)
        problems += notes.problems if notes else (measured.failures[checkpoint],)
    if not measured.notes:
        raise SpectraError(problems[0].message, hint=problems[0].hint)
    return list(unique(problems))


def _training_log(output: Path, plan: Plan, problems: list[Problem]) -> Path | None:
    """Write the log beside the table; the table stands without it, so that what is wrong with it is only told."""
    try:
        return training_log.write_beside(output, plan)
    except SpectraError as error:
        problems.append(Problem(error.message, error.hint))
        return None
