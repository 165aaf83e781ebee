"""Runs jobs on this machine's cores, several matrices side by side, and yields results in the jobs' order.

It knows nothing of what a job is. On two busy cores two BLAS threads a matrix were measured seven times slower than
one (they spin while they wait for each other), so every worker has one BLAS thread; a job too large for company runs
by itself with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    threads: int,
    alone: Callable[[Job], bool] = lambda _: False,
    cost: Callable[[Job], float] = lambda _: 0.0,
    ahead: int = 128,
) -> Iterator[Result]:
    """Yield work(job) for every job, in order.

    jobs: descriptions, taken `ahead` at a time; what a job needs is read in `work`, so that memory is bounded by the
    `threads` jobs that run at once. threads: cores to keep busy. alone: whether a job has all threads and no company.
    cost: of the jobs at hand, which to begin with, so that no core waits at the end for a large one that came last.

    An exception of `work` is raised where its result would have come. Then, as on KeyboardInterrupt and when the
    iterator is closed, jobs not yet begun are dropped, and those that run are waited for. Thread limits are restored
    at the end.

    >>> list(run(abs, [-1, -2], threads=2))
    [1, 2]
    """
    waiting = iter(jobs)
    with blas_threads(1), ThreadPoolExecutor(threads, initializer=_single) as pool:
        try:
            while batch := list(islice(waiting, ahead)):
                yield from _batch(work, batch, pool, threads, alone, cost)
        finally:
            pool.shutdown(cancel_futures=True)


def _batch(
    work: Callable[[Job], Result],
    batch: list[Job],
    pool: ThreadPoolExecutor,
    threads: int,
    alone: Callable[[Job], bool],
    cost: Callable[[Job], float],
) -> Iterator[Result]:
    """Yield the results of one batch; those that want no company are computed first, then the dearest."""
    futures: dict[int, Future[Result]] = {}
    for place, job in enumerate(batch):
        if alone(job):
            with blas_threads(threads):
                futures[place] = _settled(work, job)
    rest = [place for place in range(len(batch)) if place not in futures]
    for place in sorted(rest, key=lambda place: -cost(batch[place])):
        futures[place] = pool.submit(work, batch[place])
    for place in range(len(batch)):
        yield futures.pop(place).result()


def _settled(work: Callable[[Job], Result], job: Job) -> Future[Result]:
    """Do a job at once and keep its result, or its exception, until its turn."""
    future: Future[Result] = Future()
    try:
        future.set_result(work(job))
    except Exception as error:
        future.set_exception(error)
    return future


def _single() -> None:
    """Give this worker one thread: torch keeps the number for OpenMP and MKL in each thread of its own."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Bound the threads of every BLAS in the process and of torch in this thread, and restore them."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
