"""Takes results from a generator in a thread of its own, ahead of those who need them, such as a GPU's.

It knows nothing of what a result is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")
Results = Generator[tuple[Key, Result], None, None]
Promises = Mapping[Key, Future[Result | None]]


@contextmanager
def ahead(results: Results[Key, Result], keys: Iterable[Key]) -> Iterator[Promises[Key, Result]]:
    """Open promises of the result of every key; one that the generator never yields is None when it ends.

    An exception of the generator is raised by all promises that are open. At the end of the block no more is taken;
    what the generator is busy with is waited for, and it is closed.

    >>> with ahead((item for item in [("a", 1)]), ["a", "b"]) as promises:
    ...     promises["a"].result(), promises["b"].result()
    (1, None)
    """
    promises: dict[Key, Future[Result | None]] = {key: Future() for key in keys}
    over = Event()
    thread = Thread(target=_take, args=(results, promises, over), daemon=True)
    thread.start()
    try:
        yield promises
    finally:
        over.set()
        thread.join()


def _take(results: Results[Key, Result], promises: Promises[Key, Result], over: Event) -> None:
    """Keep each promise when its result is there."""
    failure: BaseException | None = None
    try:
        with closing(results):
            for key, result in results:
                promises[key].set_result(result)
                if over.is_set():
                    break
    except BaseException as error:  # not to be lost with the thread: it is raised where the result would have come
        failure = error
    for promise in promises.values():
        if promise.done():
            continue
        if failure is None:
            promise.set_result(None)
        else:
            promise.set_exception(failure)
