"""Runs jobs on this machine's cores, several small matrices side by side, and yields results in the jobs' order.

It knows nothing of what a job is. On two busy cores two BLAS threads a matrix were measured seven times slower than
one (they spin while they wait for each other), so every worker has one BLAS thread; a job too large for company runs
by itself with all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, threads: int, alone: Callable[[Job], bool]
) -> Iterator[Result]:
    """Yield work(job) for every job, in order.

    jobs: taken lazily, at most threads + 1 ahead of the result that is yielded next, so memory is bounded by that
    many matrices. threads: cores to keep busy. alone: whether a job is to have all threads and no company.
    An exception of `work` is raised where its result would have come; jobs not yet begun are dropped then, as they
    are on KeyboardInterrupt and when the iterator is closed. Thread limits are restored at the end.

    >>> list(run(abs, [-1, -2], threads=2, alone=lambda job: False))
    [1, 2]
    """
    with _blas_threads(1), ThreadPoolExecutor(max(1, threads), initializer=_single) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                if alone(job):
                    while waiting:
                        yield waiting.popleft().result()
                    with _blas_threads(threads):
                        result = work(job)
                    yield result
                    continue
                waiting.append(pool.submit(work, job))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _single() -> None:
    """Give this worker one thread of its own: torch keeps part of the number per thread."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def _blas_threads(count: int) -> Iterator[None]:
    """Bound the threads of every BLAS in the process and of torch in this thread, and restore them."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        with threadpool_limits(limits=count):
            torch.set_num_threads(count)
            yield
    finally:
        torch.set_num_threads(before)
