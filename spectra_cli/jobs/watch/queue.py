"""Which checkpoint is to be measured next, and what stands in the way of others. Measures nothing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_cli import sources
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.watch.completeness import Clock, Completeness, files_of, lacks, rewritten
from spectra_cli.jobs.watch.conditions import Conditions
from spectra_cli.measure.plan import Plan, list_and_choose
from spectra_cli.records import Checkpoint, Problem
from spectra_cli.storage.appended import AppendedCheckpoint

LATEST, ROLLING = 3, 10  # measured checkpoints whose files are looked at each time: the last ones, and some in turn
LEAST_PATIENCE = 30.0  # seconds that a later, complete checkpoint waits for one that is not
LONGEST_WAIT = 300.0  # seconds between two tries


@dataclass(frozen=True)
class Next:
    """What is to be done: measure a checkpoint, whose files are those named, or first drop rows from the table.

    ready: the complete ones after it. keep: how many rows of the table still stand, None for all. waiting: revisions
    that are there and not complete, or to be tried again. in_seconds: when the first of them will have been quiet.
    """

    checkpoint: Checkpoint | None = None
    files: str = ""
    ready: tuple[Checkpoint, ...] = ()
    keep: int | None = None
    waiting: tuple[str, ...] = ()
    in_seconds: float = math.inf


@dataclass
class _Failure:
    files: str
    tries: int
    again: float
    problem: Problem


class Queue:
    """Remembers what was seen of a run that is not in the table: what failed, what is given up, and since when.

    model, stages, unread: of the last listing. trouble: why nothing could be listed.
    """

    def __init__(self, plan: Plan, conditions: Conditions, clock: Clock = time.monotonic) -> None:
        """Nothing has been seen."""
        self.plan, self.conditions, self._clock = plan, conditions, clock
        self._completeness = Completeness(plan.request, conditions, clock)
        self._failures: dict[str, _Failure] = {}
        self._given_up: dict[str, Problem] = {}
        self._lost: dict[str, Problem] = {}
        self._seen_whole: dict[str, Checkpoint] = {}
        self._turn = 0
        self._listed_names: list[tuple[str, int]] = []
        self._order: dict[str, int] = {}
        self.trouble: SpectraError | None = None
        self.listed: tuple[Checkpoint, ...] = ()

    @property
    def patience(self) -> float:
        """For how many seconds a later checkpoint waits for one that is not complete and does not change."""
        return max(LEAST_PATIENCE, 3 * self.conditions.quiet)

    def look(self, entries: Sequence[AppendedCheckpoint]) -> Next:
        """List the source, and return what is to be done. entries: what is in the table."""
        self._list()
        keys = {entry.checkpoint.key for entry in entries}
        self._note_removed(keys)
        if (keep := self._replaced(entries)) is not None:
            return Next(keep=keep)
        pending = [checkpoint for checkpoint in self.listed if checkpoint.key not in keys]
        self._completeness.begin(pending)
        last = entries[-1].checkpoint if entries else None
        for checkpoint in pending:
            if last is None or self._follows(checkpoint, last):
                continue
            if (keep := self._late(checkpoint, entries)) is not None:
                return Next(keep=keep)
        return self._first([c for c in pending if last is None or self._follows(c, last)])

    def failed(self, checkpoint: Checkpoint, files: str, error: SpectraError) -> Problem:
        """Remember that a checkpoint of these files could not be measured; it is tried again, ever less often."""
        before = self._failures.get(checkpoint.key)
        tries = before.tries + 1 if before and before.files == files else 1
        wait = min(max(1.0, self.conditions.quiet) * 2 ** (tries - 1), LONGEST_WAIT)
        named = checkpoint.revision in error.message
        problem = Problem(error.message if named else f"{checkpoint.revision}: {error.message}", error.hint)
        self._failures[checkpoint.key] = _Failure(files, tries, self._clock() + wait, problem)
        return problem

    def measured(self, checkpoint: Checkpoint) -> None:
        """Forget what stood in the way of a checkpoint that is in the table now."""
        for notes in (self._failures, self._given_up, self._lost, self._seen_whole):
            notes.pop(checkpoint.key, None)
        self._completeness.forget(checkpoint.key)

    def problems(self, entries: Sequence[AppendedCheckpoint]) -> list[Problem]:
        """Return why checkpoints are not in the table: failed, removed, never complete, or not read at all."""
        keys = {entry.checkpoint.key for entry in entries}
        failures = {key: failure.problem for key, failure in self._failures.items()}
        incomplete = {
            checkpoint.key: _never_complete(checkpoint) for checkpoint in self.listed if checkpoint.key not in keys
        }
        named = {**incomplete, **failures, **self._given_up, **self._lost}
        return [*self.plan.problems, *(problem for key, problem in named.items() if key not in keys)]

    def previous(self, entry: AppendedCheckpoint | None) -> Checkpoint | None:
        """Return the checkpoint of an entry as it is there now; None where its files are no longer the same."""
        if entry is None:
            return None
        key = entry.checkpoint.key
        current = next((checkpoint for checkpoint in self.listed if checkpoint.key == key), None)
        if current is None:
            return None
        files, before = files_of(current), entry.fingerprint
        return None if lacks(before, files) or rewritten(before, files) else current

    def _list(self) -> None:
        """List the source; nothing where nothing is there yet. Only checkpoints with a step can be followed.

        It is listed again where anything in its folder was added, removed or changed, or was not recognised before.
        """
        names = self._names()
        if names and names == self._listed_names and self.trouble is None and not self.plan.unread:
            return
        self._listed_names = names
        try:
            listing, chosen = list_and_choose(self.plan.request, self.plan.client)
        except SpectraError as error:
            self.trouble, self.listed, self._order = error, (), {}
            return
        source = Path(self.plan.request.source).absolute()
        self.trouble = None
        self.plan = replace(self.plan, model=listing.model, unread=listing.unread, stages=chosen.stages)
        self.listed = tuple(c for c in chosen.checkpoints if c.step is not None and c.path != source)
        self._order = {checkpoint.key: index for index, checkpoint in enumerate(self.listed)}

    def _names(self) -> list[tuple[str, int]]:
        """Return what lies in the run's folder, with times of change; nothing at the Hub."""
        if sources.is_hub(self.plan.request.source):
            return []
        try:
            with os.scandir(self.plan.request.source) as children:
                return sorted((child.name, child.stat().st_mtime_ns) for child in children)
        except OSError:
            return []

    def _note_removed(self, keys: set[str]) -> None:
        """Name those that were complete, and were removed before they could be measured."""
        there = {checkpoint.key for checkpoint in self.listed}
        steps = {(checkpoint.stage, checkpoint.step) for checkpoint in self.listed}
        if self.trouble is not None:
            return
        for key, checkpoint in list(self._seen_whole.items()):
            if key not in there and key not in keys and (checkpoint.stage, checkpoint.step) not in steps:
                message = f"{checkpoint.revision} was removed before it was measured"
                self._lost[key] = Problem(message, "keep more checkpoints (save_total_limit), or give --share 1")
                self._failures.pop(key, None)
                del self._seen_whole[key]

    def _replaced(self, entries: Sequence[AppendedCheckpoint]) -> int | None:
        """Return how many entries stand where one was written anew since, as by a run that was resumed; else None.

        Files that were removed say nothing against the rows.
        """
        there = {checkpoint.key: checkpoint for checkpoint in self.listed}
        count = len(entries)
        turn = {(self._turn + offset) % count for offset in range(min(ROLLING, count))}
        self._turn += ROLLING
        for index in sorted(turn.union(range(max(0, count - LATEST), count))):
            checkpoint = there.get(entries[index].checkpoint.key)
            if checkpoint is None:
                continue
            changed = rewritten(entries[index].fingerprint, files_of(checkpoint))
            if changed and self._completeness.complete(checkpoint) is not None:
                return index
        return None

    def _late(self, checkpoint: Checkpoint, entries: Sequence[AppendedCheckpoint]) -> int | None:
        """Return how many entries come before a checkpoint that was complete only after later ones were measured.

        None where it is not complete, or where one of the later ones could not be measured again.
        """
        files = None if checkpoint.key in self._lost else self._completeness.complete(checkpoint)
        if files is None or self._failure_of(checkpoint, files) is not None:
            return None
        index = next(i for i, entry in enumerate(entries) if not self._follows(checkpoint, entry.checkpoint))
        if all(self.previous(entry) is not None for entry in entries[index:]):
            return index
        message = f"{checkpoint.revision} came after later checkpoints were measured, and those are gone"
        self._lost[checkpoint.key] = Problem(message, "`spectra scan` measures it, with what is left")
        return None

    def _follows(self, checkpoint: Checkpoint, other: Checkpoint) -> bool:
        """Whether a listed checkpoint comes after another one, which may be gone, in the order of training."""
        if other.key in self._order:
            return self._order[checkpoint.key] > self._order[other.key]
        return checkpoint.stage != other.stage or (checkpoint.step or 0) > (other.step or 0)

    def _first(self, pending: Sequence[Checkpoint]) -> Next:
        """Return the first of those pending that is complete; one before it that is not is waited for, up to a time."""
        whole = {checkpoint.key: self._completeness.complete(checkpoint) for checkpoint in pending[: ROLLING + 1]}
        self._seen_whole |= {c.key: c for c in pending if whole.get(c.key)}
        waiting: list[str] = []
        for position, checkpoint in enumerate(pending):
            files = whole.get(checkpoint.key) or ""
            after = [other for other in pending[position + 1 :] if whole.get(other.key)]
            failure = self._failure_of(checkpoint, files)
            if files and (failure is None or failure.again <= self._clock()):
                return Next(checkpoint, files, tuple(after), waiting=tuple(waiting))
            waiting.append(checkpoint.revision)
            if not after or not self._is_hopeless(checkpoint, failure):
                break
            self._given_up[checkpoint.key] = failure.problem if failure else _never_complete(checkpoint)
        in_seconds = min(map(self._completeness.quiet_in, pending[: ROLLING + 1]), default=math.inf)
        return Next(waiting=tuple(waiting), in_seconds=in_seconds)

    def _failure_of(self, checkpoint: Checkpoint, files: str) -> _Failure | None:
        """Return what failed with these very files."""
        failure = self._failures.get(checkpoint.key)
        return failure if failure is not None and failure.files == files else None

    def _is_hopeless(self, checkpoint: Checkpoint, failure: _Failure | None) -> bool:
        """Whether later checkpoints no longer wait for this one."""
        if failure is not None:
            return failure.tries >= self.conditions.tries
        return self._completeness.unchanged_for(checkpoint) >= self.patience


def _never_complete(checkpoint: Checkpoint) -> Problem:
    message = f"{checkpoint.revision} was not complete: a file is missing, too short, or was still changing"
    return Problem(message, "write it again, or remove it; --marker NAME says which file ends a checkpoint")


def is_followable(plan: Plan) -> None:
    """Raise SpectraError for a request that means something only once all checkpoints are there."""
    request = plan.request
    if request.step_range is not None and request.step_range.every > 1:
        raise SpectraError("--steps A:B:N counts from the last checkpoint, not known yet", hint="give A:B", code=2)
    if sources.is_object(request.source):
        raise SpectraError(
            "nothing in object storage says when a checkpoint is whole",
            hint="follow the folder that it is uploaded from, or scan it once it is there",
            code=2,
        )
    if not sources.is_hub(request.source) and Path(request.source).is_file():
        raise SpectraError(f"{request.source} is a file, not a run", hint="give the folder of the run", code=2)
