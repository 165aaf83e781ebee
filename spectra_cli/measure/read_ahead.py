"""Reads files into the page cache ahead of those who need them, so that a slow disk works while processors do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread

from spectra_cli.records import FileRange

BLOCK = 1 << 20
MOST_AHEAD = 1 << 28
"""Bytes that are read ahead of what is done. They lie in the page cache and not in this process."""


@contextmanager
def reading_ahead(ranges: Iterable[FileRange], most: int = MOST_AHEAD) -> Iterator[Callable[[int], None]]:
    """Let a thread read ranges of files in order while the block runs, but for what the page cache has.

    most: bytes by which it is at most ahead of what is done. Yields what takes note of so many bytes that are done.
    What cannot be read is left to those who need it.
    """
    if not hasattr(os, "RWF_NOWAIT"):  # no way to ask what the page cache has: readers read what they need
        yield lambda _: None
        return
    changed, done, over, buffer = Condition(), 0, False, memoryview(bytearray(BLOCK))

    def keep_up(ahead: int) -> bool:
        with changed:
            changed.wait_for(lambda: over or ahead - done < most)
            return not over

    def work() -> None:
        ahead = 0
        for file_range in joined(ranges):
            for nbytes in _pieces(file_range, buffer):
                ahead += nbytes
                if not keep_up(ahead):
                    return

    def note(nbytes: int) -> None:
        nonlocal done
        with changed:
            done += nbytes
            changed.notify_all()

    thread = Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    try:
        yield note
    finally:
        with changed:
            over = True
            changed.notify_all()
        thread.join()


def joined(ranges: Iterable[FileRange]) -> Iterator[FileRange]:
    """Yield ranges in order, those that follow one another in one file as one, up to BLOCK bytes.

    >>> from pathlib import Path
    >>> [(start, size) for _, start, size in joined(FileRange(Path("a"), at, 4) for at in (0, 4, 10))]
    [(0, 8), (10, 4)]
    """
    last: FileRange | None = None
    for file_range in ranges:
        if last is None:
            last = file_range
        elif (last.path, last.start + last.size) == file_range[:2] and last.size + file_range.size <= BLOCK:
            last = FileRange(last.path, last.start, last.size + file_range.size)
        else:
            yield last
            last = file_range
    if last is not None:
        yield last


def _pieces(file_range: FileRange, buffer: memoryview) -> Iterator[int]:
    """Read a range piece by piece, and yield the bytes of each; one whose ends are cached is not read."""
    with suppress(OSError), file_range.path.open("rb", buffering=0) as file:
        for start in range(file_range.start, file_range.start + file_range.size, BLOCK):
            piece = buffer[: min(BLOCK, file_range.start + file_range.size - start)]
            try:
                for end in (start + len(piece) - 1, start):
                    os.preadv(file.fileno(), [piece[:1]], end, os.RWF_NOWAIT)
            except BlockingIOError:
                os.preadv(file.fileno(), [piece], start)
            yield len(piece)
