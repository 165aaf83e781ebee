"""Runs jobs on this machine's cores, several matrices side by side, and yields results in the jobs' order.

It knows nothing of what a job is. On two busy cores two BLAS threads a matrix were measured seven times slower than
one (they spin while they wait for each other), so every worker has one BLAS thread; a large job runs by itself with
all of them.

The most expensive jobs begin first, so that no core waits at the end for a large one that came last; but two that are
large wait for each other, so that memory is bounded by the largest: with both embeddings of 50,304×768 at once, a scan
was measured at 1,003 MB instead of 747 MB, and with one of them begun last it took 3.0 s instead of 2.6 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from threading import Condition
from typing import Generic, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Begun_contra = TypeVar("Begun_contra", contravariant=True)


class Turns(Protocol[Begun_contra]):
    """Says which jobs may begin, where that depends on others than these cores.

    changed: notified by whoever changes that.
    """

    @property
    def changed(self) -> Condition: ...  # noqa: D102 - described above

    def order(self, waiting: Sequence[Begun_contra]) -> Iterable[int]:
        """Return which may begin now, by their place in the sequence, the first to begin first."""

    def began(self, job: Begun_contra) -> None:
        """Take note that a core has begun a job."""

    def finished(self, job: Begun_contra, seconds: float) -> None:
        """Take note that it took so long."""


def run(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    threads: int,
    exclusive: Callable[[Job], bool] = lambda _: False,
    cost: Callable[[Job], float] = lambda _: 0.0,
    memory: Callable[[Job], int] = lambda _: 0,
    turns: Turns[Job] | None = None,
    ahead: int = 128,
) -> Iterator[Result]:
    """Yield work(job) for every job, in order.

    jobs: descriptions, taken `ahead` at a time; what a job needs is read in `work`, so that memory is bounded by the
    `threads` jobs that run at once. threads: cores to keep busy. exclusive: whether a job runs by itself, with
    all threads.
    cost: of the jobs at hand, which to begin with. memory: bytes that a job takes; what runs at once stays within
    half as much again as the largest of them, and a median one for every further thread. turns: which of the jobs at
    hand may begin; all, the most expensive first, where None is given.

    An exception of `work` is raised where its result would have come. Then, as on KeyboardInterrupt and when the
    iterator is closed, jobs not yet begun are dropped, and those that run are waited for. Thread limits are restored
    at the end.

    >>> list(run(abs, [-1, -2], threads=2))
    [1, 2]
    """
    waiting = iter(jobs)
    with blas_threads(1), ThreadPoolExecutor(threads, "processor", initializer=_single) as pool:
        try:
            while batch := list(islice(waiting, ahead)):
                yield from _batch(work, batch, pool, threads, exclusive, cost, memory, turns)
        finally:
            pool.shutdown(cancel_futures=True)


def _batch(
    work: Callable[[Job], Result],
    batch: list[Job],
    pool: ThreadPoolExecutor,
    threads: int,
    exclusive: Callable[[Job], bool],
    cost: Callable[[Job], float],
    memory: Callable[[Job], int],
    turns: Turns[Job] | None,
) -> Iterator[Result]:
    """Yield the results of one batch; those that are exclusive are computed first, then the most expensive."""
    futures: list[Future[Result]] = [Future() for _ in batch]
    rest = []
    for index, job in enumerate(batch):
        if exclusive(job):
            with blas_threads(threads):
                _run_job(futures[index], work, job)
        else:
            rest.append(index)
    sizes = {index: memory(batch[index]) for index in rest}
    room = 1.5 * max(sizes.values(), default=0) + (threads - 1) * median(sizes.values() or [0])
    queue = _Queue(batch, sorted(rest, key=lambda index: -cost(batch[index])), sizes, room, turns or InOrder())

    def serve() -> None:
        while (index := queue.take()) is not None:
            begun = time.monotonic()
            _run_job(futures[index], work, batch[index])
            queue.finished(index, time.monotonic() - begun)

    try:  # an interrupt may come as soon as the first job runs
        for _ in range(min(threads, len(rest))):
            pool.submit(serve)
        for future in futures:
            yield future.result()
    finally:
        queue.close()


@dataclass(frozen=True)
class InOrder:
    """Lets every job begin, in its order."""

    changed: Condition = field(default_factory=Condition)

    def order(self, waiting: Sequence[object]) -> Iterable[int]:
        """Return all of them."""
        return range(len(waiting))

    def began(self, job: object) -> None:
        """Nothing depends on it."""

    def finished(self, job: object, seconds: float) -> None:
        """Nothing depends on it."""


@dataclass
class _Queue(Generic[Job]):
    """Jobs that wait, the most expensive first: gives out the first whose turn it is and that has room.

    waiting: their indices among the jobs. sizes: the bytes of each. room: bytes for all that run at once.
    """

    jobs: Sequence[Job]
    waiting: list[int]
    sizes: dict[int, int]
    room: float
    turns: Turns[Job]
    used: int = 0

    def take(self) -> int | None:
        """Wait for a job that there is room for; None when no job is left."""
        with self.turns.changed:
            while self.waiting:
                for at in self.turns.order([self.jobs[index] for index in self.waiting]):
                    index = self.waiting[at]
                    if self.used == 0 or self.used + self.sizes[index] <= self.room:
                        del self.waiting[at]
                        self.used += self.sizes[index]
                        self.turns.began(self.jobs[index])
                        return index
                self.turns.changed.wait()
            return None

    def finished(self, index: int, seconds: float) -> None:
        """Make room again."""
        with self.turns.changed:
            self.used -= self.sizes[index]
            self.turns.finished(self.jobs[index], seconds)
            self.turns.changed.notify_all()

    def close(self) -> None:
        """Drop the jobs that wait."""
        with self.turns.changed:
            self.waiting.clear()
            self.turns.changed.notify_all()


def _run_job(future: Future[Result], work: Callable[[Job], Result], job: Job) -> None:
    """Do a job and keep its result, or its exception, until its turn."""
    try:
        future.set_result(work(job))
    except BaseException as error:  # not to be lost with the thread: it is raised where the result would have come
        future.set_exception(error)


def _single() -> None:
    """Let this worker have one thread: torch keeps the number for OpenMP and MKL in each thread of its own."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Bound the threads of every BLAS in the process and of torch in this thread, and restore them."""
    import scipy.linalg  # noqa: F401  its BLAS is bound only once it is loaded
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
