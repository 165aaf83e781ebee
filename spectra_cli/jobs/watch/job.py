"""The job: looks at a run every so often, measures what is new, and ends when the run does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from spectra_cli import sources
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.watch.completeness import Clock, says_done
from spectra_cli.jobs.watch.conditions import Conditions
from spectra_cli.jobs.watch.measuring import Measuring
from spectra_cli.jobs.watch.queue import Next, Queue, is_followable
from spectra_cli.jobs.watch.run_record import RunRecord
from spectra_cli.jobs.watch.waking import Waking
from spectra_cli.measure.executors.choose import executor_for
from spectra_cli.measure.plan import OnWait, Plan, make_client
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import ScanOptions
from spectra_cli.records import Problem
from spectra_cli.studies.events import Event, Measurement

LOCAL_POLL, HUB_POLL = 1.0, 60.0
DONE, IDLE = "the run is over", "nothing new came"


@dataclass(frozen=True)
class OnChange:
    """What is called while a run is watched, each from the thread that watches.

    measured: after each checkpoint, with the seconds that it took; also for those of a table that is continued, with 0.
    event: once for each event. failed: a checkpoint could not be measured and will be tried again. dropped: rows from
    this step on are void, as their checkpoints were written anew. looked: after each look, with what is waited for.
    """

    measured: Callable[[Measurement, float], None] = lambda *_: None
    event: Callable[[Event], None] = lambda _: None
    failed: Callable[[Problem], None] = lambda _: None
    dropped: Callable[[int | None], None] = lambda _: None
    looked: Callable[[tuple[str, ...]], None] = lambda _: None


@dataclass(frozen=True)
class Watched:
    """What watching gave. over: whether the run said that it is over. why: in words, why watching ended."""

    output: Path
    checkpoints: int
    events: tuple[Event, ...]
    problems: tuple[Problem, ...]
    over: bool
    why: str


def watch_run(
    source: str | Path,
    output: str | Path,
    *,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
    restart: bool = False,
    losses: str | Path | None = None,
    on_change: OnChange = OnChange(),  # noqa: B008 - frozen
    on_wait: OnWait = lambda _: None,
    clock: Clock = time.monotonic,
    **options: Unpack[ScanOptions],
) -> Watched:
    """Measure each checkpoint of a run once, as training writes it: what `spectra watch` does.

    source: the run's folder, which may not be there yet, or a repository on the Hub. output: the table, which grows by
    a checkpoint at a time and can be read at any moment; one that is there is continued, unless restart. losses: what
    the run logs, for the loss beside a spike. options: those of ScanOptions, without `reference`. Ends when the run
    says that it is over, or when nothing has come for `conditions.idle` seconds. Raises SpectraError where nothing can
    be written, or nothing was measured.
    """
    request = Request.of(source, **options)
    plan = Plan(request, "", (), None, client=make_client(request, on_wait))
    is_followable(plan)
    folder = None if sources.is_hub(request.source) else Path(source)
    with (
        executor_for(request) as executor,
        RunRecord(
            Path(output), plan, executor.device, restart=restart, losses=Path(losses) if losses else None
        ) as record,
        Waking(folder) as waking,
        closing(Measuring(plan, executor)) as measuring,
    ):
        watcher = _Watcher(conditions, record, Queue(plan, conditions, clock), measuring, waking, on_change, clock)
        return watcher.run(folder)


@dataclass
class _Watcher:
    """One run being watched."""

    conditions: Conditions
    record: RunRecord
    queue: Queue
    measuring: Measuring
    waking: Waking
    on_change: OnChange
    clock: Clock

    def run(self, folder: Path | None) -> Watched:
        """Look, measure and rest until there is a reason to end."""
        for measurement in self.record.measurements():
            self.on_change.measured(measurement, 0.0)
        poll = self.conditions.poll or (LOCAL_POLL if folder is not None else HUB_POLL)
        last_news = self.clock()
        waiting: tuple[str, ...] = ()
        while True:
            step = self.queue.look(self.record.entries)
            self.record.plan = replace(self.queue.plan, checkpoints=())
            self.measuring.plan = self.record.plan
            if step.keep is not None:
                self._rewind(step.keep)
                continue
            if step.checkpoint is not None:
                self._measure(step)
                last_news = self.clock()
                continue
            self.measuring.rest()
            self.on_change.looked(step.waiting)
            if step.waiting != waiting:
                last_news, waiting = self.clock(), step.waiting
            last = self.queue.previous(self.record.last)
            stuck = self.clock() - last_news >= self.queue.patience
            if (stuck or not waiting) and folder and says_done(last, folder, self.conditions.done_marker):
                return self._end(over=True, why=DONE)
            if self.conditions.idle is not None and self.clock() - last_news >= self.conditions.idle:
                return self._end(over=False, why=IDLE)
            self.waking.wait(min(poll, step.in_seconds))

    def _measure(self, step: Next) -> None:
        checkpoint, last = step.checkpoint, self.record.last
        if checkpoint is None:
            return
        previous = self.queue.previous(last)
        started = self.clock()
        try:
            result = self.measuring.measure(checkpoint, step.files, previous, step.ready)
        except SpectraError as error:
            self.on_change.failed(self.queue.failed(checkpoint, step.files, error))
            return
        if last is not None and not any(metric.endswith("_prev") for rows in result.rows for metric in rows.numbers):
            self._name_gap(last.checkpoint.revision, checkpoint.revision)
        measurement, events = self.record.append(checkpoint, result, step.files)
        self.queue.measured(checkpoint)
        took = self.clock() - started
        self.on_change.measured(measurement, took)
        for event in events:
            self.on_change.event(event)
        self.waking.wait(self.conditions.rest_after(took), hints=False)

    def _name_gap(self, before: str, now: str) -> None:
        """Remember that a checkpoint could not be compared with the one before, whose files were gone."""
        if any(metric.endswith("_prev") for metric in self.record.plan.metrics):
            message = f"{now} is not compared with {before}, whose files were gone when watching was taken up again"
            self.record.problems.append(Problem(message, "keep the last checkpoint until the same command runs again"))

    def _rewind(self, keep: int) -> None:
        """Drop the rows of checkpoints that were written anew, and of those after them."""
        self.on_change.dropped(self.record.entries[keep].checkpoint.step)
        self.measuring.close()
        self.record.rewind(keep)

    def _end(self, *, over: bool, why: str) -> Watched:
        entries = self.record.entries
        self.record.problems += self.queue.problems(entries)
        if not entries:
            trouble = self.queue.trouble
            problem = self.record.problems[0] if self.record.problems else None
            message = trouble.message if trouble else problem.message if problem else "no checkpoint came"
            hint = trouble.hint if trouble else problem.hint if problem else "give a longer --idle"
            raise SpectraError(message, hint=hint)
        self.record.finish(over=over)
        events = tuple(self.record.events.events)
        return Watched(self.record.path, len(entries), events, self.record.all_problems(), over, why)
