"""Ranges of a file's bytes as pairs (start, stop): joined, subtracted, grouped into few requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ByteRange = tuple[int, int]


def merged(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Return the ranges in order, with those that touch or overlap joined.

    >>> merged([(5, 7), (0, 2), (2, 4), (6, 9)])
    [(0, 4), (5, 9)]
    """
    whole: list[ByteRange] = []
    for start, stop in sorted((start, stop) for start, stop in ranges if start < stop):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        else:
            whole.append((start, stop))
    return whole


def missing(wanted: Iterable[ByteRange], there: Sequence[ByteRange]) -> list[ByteRange]:
    """Return what is wanted and not there.

    >>> missing([(0, 10)], [(2, 4), (6, 7)])
    [(0, 2), (4, 6), (7, 10)]
    """
    gaps = []
    for start, stop in merged(wanted):
        position = start
        for begin, end in merged(there):
            if begin < stop and end > position:
                if begin > position:
                    gaps.append((position, begin))
                position = max(position, end)
        if position < stop:
            gaps.append((position, stop))
    return gaps


def grouped(wanted: Iterable[ByteRange], most: int, waste: float = 0.05) -> list[ByteRange]:
    """Return few requests that cover the ranges: joined across the smallest gaps first, while these add few bytes.

    most: bytes in one request, unless a single range is longer. waste: bytes not wanted, as a share of the wanted.

    >>> grouped([(0, 100), (103, 200), (900, 1000)], most=1000)
    [(0, 200), (900, 1000)]
    """
    pieces = merged(wanted)
    allowed = waste * sum(stop - start for start, stop in pieces)
    gaps = sorted(
        (after[0] - before[1], index) for index, (before, after) in enumerate(zip(pieces, pieces[1:], strict=False))
    )
    bridged = set()
    for gap, index in gaps:
        allowed -= gap
        if allowed < 0:
            break
        bridged.add(index)
    groups: list[ByteRange] = []
    for index, (start, stop) in enumerate(pieces):
        if groups and index - 1 in bridged and stop - groups[-1][0] <= most:
            groups[-1] = (groups[-1][0], stop)
        else:
            groups.append((start, stop))
    return groups
