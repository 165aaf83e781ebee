"""From the copy of a step to rows in the table, beside training. Knows nothing of the model or of trainers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from spectra_cli import svd
from spectra_cli.errors import SpectraError, printable
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import measure_matrices
from spectra_cli.measure.metadata import notes_of, scan_metadata, settings
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, SpectrumCache
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.results import CheckpointResult, combine, unique
from spectra_cli.monitor.snapshot import Snapshot
from spectra_cli.records import Checkpoint, Layout, Matrix, MatrixRows, Problem
from spectra_cli.storage.appended import AppendedCheckpoint, AppendedTable
from spectra_cli.storage.parts import cannot_write
from spectra_cli.storage.table import row_groups, to_arrow
from spectra_cli.studies.events import Detector, Event, EventFile, measurement_of


@dataclass(frozen=True)
class Measurement:
    """What became of one step. rows: none where it failed, or was measured before. beside: seconds of a processor."""

    step: int
    rows: tuple[MatrixRows, ...] = ()
    events: tuple[Event, ...] = ()
    problems: tuple[Problem, ...] = ()
    failure: SpectraError | None = None
    beside: float = 0.0


@dataclass
class Recorder:
    """Measures copies in the order of their steps, each against the one before, and appends their rows to the table.

    plan: what is measured; its checkpoints are those that the table gets. layout: what the tensors mean. restart: begin
    anew whatever the output holds. Raises SpectraError where the output cannot be written.
    """

    plan: Plan
    layout: Layout
    device: str
    output: Path
    restart: bool = False
    previous: OpenCheckpoint | None = None
    table: AppendedTable = field(init=False)

    def __post_init__(self) -> None:
        """Open the table."""
        same = {**settings(self.plan, self.device), "model": self.plan.model}
        self.table = AppendedTable(self.output, same, self._metadata, self.restart)
        self._closing = ExitStack()
        self._closing.enter_context(self.table)
        self._events = EventFile(self.output)
        if not self.table.checkpoints:
            self._events.drop_from([event.revision for event in self._events.events])

    def drop_after(self, step: int) -> int:
        """Drop what the table holds of later steps, which a run that goes on from this one repeats; return how many."""
        entries = self.table.checkpoints
        count = sum((entry.checkpoint.step or 0) <= step for entry in entries)
        self.table.keep(count)
        self._events.drop_from([entry.checkpoint.revision for entry in entries[count:]])
        return len(entries) - count

    @cached_property
    def _detector(self) -> Detector:
        """What looks for events, once it has seen the steps that the table held when the run went on."""
        detector, held = Detector(), len(self.table.checkpoints) - 1
        if held > 0:
            groups = islice(row_groups(self.output), held)
            self._events.add(detector.rebuild(map(measurement_of, groups), self._events.events))
        return detector

    def measure(self, step: int, snapshot: Snapshot) -> Measurement:
        """Measure a copy and append its rows; whatever goes wrong is in the result, and the table stays as it was."""
        clock = _ProcessorClock()
        try:
            result = self._measure(step, snapshot, clock)
            events, problems = self._new_events(result)
        except Exception as error:
            snapshot.close()
            return Measurement(step, failure=_failure(step, error), beside=clock.seconds)
        return Measurement(step, result.rows, events, (*result.problems, *problems), beside=clock.seconds)

    def _measure(self, step: int, snapshot: Snapshot, clock: _ProcessorClock) -> CheckpointResult:
        """Return what a step gave; of one that the table holds, nothing, but the next is compared with it."""
        revision = f"step{step}"
        checkpoint = Checkpoint(self.plan.model, revision, Path(revision), step)
        matrices = {matrix.name: matrix for matrix in self.layout.matrices}
        plan = replace(self.plan, checkpoints=(checkpoint,))
        current = OpenCheckpoint(
            checkpoint, self.layout, snapshot, matrices, plan, self.device, SpectrumCache(), ExitStack()
        )
        current.closing.callback(snapshot.close)
        if any(entry.checkpoint.step == step for entry in self.table.checkpoints):
            self._advance_to(current)
            return CheckpointResult((), self.layout, None, ())
        comparison = Comparison(current, None, self.previous)
        result = combine(comparison, measure_matrices(comparison, self.layout.matrices, clock.note), plan)
        self.table.append(AppendedCheckpoint(checkpoint, notes_of(result)), to_arrow(result.rows))
        self._advance_to(current)
        return result

    def _new_events(self, result: CheckpointResult) -> tuple[tuple[Event, ...], tuple[Problem, ...]]:
        """Return what a step shows of the run, and write it beside the table; and what is in the way of that."""
        if not result.rows:
            return (), ()
        events = self._detector.see(measurement_of(to_arrow(result.rows)))
        try:
            self._events.add(events)
        except SpectraError as error:
            return events, (Problem(error.message, error.hint),)
        return events, ()

    def close(self) -> None:
        """Let go of the table and of the last copy."""
        self._advance_to(None)
        self._closing.close()

    def _advance_to(self, checkpoint: OpenCheckpoint | None) -> None:
        if self.previous is not None:
            self.previous.close()
        self.previous = checkpoint

    def _metadata(self, entries: Sequence[AppendedCheckpoint]) -> dict[str, object]:
        plan = replace(self.plan, checkpoints=tuple(entry.checkpoint for entry in entries))
        problems = unique(problem for entry in entries for problem in entry.notes.problems)
        return scan_metadata(plan, None, self.device, [(entry.checkpoint, entry.notes) for entry in entries], problems)


class _ProcessorClock:
    """Adds up the processor time of the threads that take part in one measurement."""

    def __init__(self) -> None:
        self._own, self._began = threading.get_ident(), time.thread_time()
        self._workers: dict[int, float] = {}

    def note(self, _: Matrix) -> None:
        """Note the time of the thread that calls this; each began with the measurement."""
        if threading.get_ident() != self._own:
            self._workers[threading.get_ident()] = time.thread_time()

    @property
    def seconds(self) -> float:
        """Seconds so far; asked for in the thread that began."""
        return time.thread_time() - self._began + sum(self._workers.values())


def _failure(step: int, error: Exception) -> SpectraError:
    if isinstance(error, SpectraError):
        return SpectraError(f"step {step} was not measured: {error.message}", hint=error.hint)
    if svd.is_out_of_memory(error):
        hint = "leave out the largest matrices with match or roles, or measure on another device"
        return SpectraError(f"step {step} was not measured: there is no memory for {printable(error)}", hint=hint)
    said = f"{type(error).__name__}: {printable(error)}"
    return SpectraError(f"step {step} was not measured: {said}", hint="this is an error in spectra: please report it")


def copy_failure(step: int, output: Path, error: Exception) -> SpectraError:
    """Return why a step could not be copied."""
    if isinstance(error, OSError):
        refusal = cannot_write(output, error)
        return SpectraError(f"step {step} was not measured: {refusal.message}", hint=refusal.hint)
    return _failure(step, error)


def open_recorder(plan: Plan, layout: Layout, output: Path, *, resume: bool, restart: bool) -> Recorder:
    """Open the table. Raises SpectraError where it is there and neither is wanted, or cannot be written."""
    if output.exists() and not (resume or restart):
        raise SpectraError(
            f"{output} is there already",
            hint="give resume=True to go on with it, restart=True to begin it anew, or another out",
        )
    device = svd.current_of(svd.choose_device(plan.request.device))  # the other ones belong to other processes
    return Recorder(plan, layout, device, output, restart)
