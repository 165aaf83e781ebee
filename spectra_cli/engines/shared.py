"""Runs devices, each in a thread of its own, beside the processors, with a board that says who does what.

It knows nothing of what a piece of work is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Thread

from spectra_cli.engines.board import Board
from spectra_cli.engines.work import Key, Result

Results = Generator[tuple[Key, Result | None], None, None]


@contextmanager
def devices_beside(devices: Sequence[Callable[[], Results[Key, Result]]], board: Board[Key, Result]) -> Iterator[None]:
    """Let devices take from a board while the block runs.

    devices: each yields what it made of the keys that it took, None for one that it leaves to a processor. Its
    exception is raised where one of its results would have come. At the end of the block they take no more; what they
    are busy with is waited for, and the generators are closed.

    >>> from spectra_cli.engines.work import Cost
    >>> board = Board({"a": Cost(2.0, 2.0), "b": Cost(1.0, 1.0)}, processors=1)
    >>> with devices_beside([lambda: ((key, 1) for key in ["a"] if board.take())], board):
    ...     board.result("a"), board.result("b")
    (1, None)
    """
    threads = [
        Thread(target=_serve, args=(results, board), name=f"device_{number}", daemon=True)
        for number, results in enumerate(devices)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        board.close()
        for thread in threads:
            thread.join()


def _serve(results: Callable[[], Results[Key, Result]], board: Board[Key, Result]) -> None:
    failure: BaseException | None = None
    try:
        with closing(results()) as given:
            for key, result in given:
                board.keep(key, result)
                if board.is_closed:
                    break
    except BaseException as error:  # not to be lost with the thread: it is raised where the result would have come
        failure = error
    board.end(failure)
