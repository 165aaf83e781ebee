"""Ranges of a file as pairs (start, stop): joined, subtracted, put together to few requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Join what touches or overlaps.

    >>> merged([(5, 7), (0, 2), (2, 4), (6, 9)])
    [(0, 4), (5, 9)]
    """
    whole: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        else:
            whole.append((start, stop))
    return whole


def missing(wanted: Iterable[Span], there: Sequence[Span]) -> list[Span]:
    """Give what is wanted and not there.

    >>> missing([(0, 10)], [(2, 4), (6, 7)])
    [(0, 2), (4, 6), (7, 10)]
    """
    gaps = []
    for start, stop in merged(wanted):
        place = start
        for begin, end in merged(there):
            if begin < stop and end > place:
                if begin > place:
                    gaps.append((place, begin))
                place = max(place, end)
        if place < stop:
            gaps.append((place, stop))
    return gaps


def grouped(wanted: Iterable[Span], most: int, waste: float = 0.05) -> list[Span]:
    """Put ranges together to few requests: across the smallest gaps first, so long as the bytes between stay few.

    most: bytes in one request, unless a single range is longer. waste: bytes not wanted, as a share of the wanted.

    >>> grouped([(0, 100), (103, 200), (900, 1000)], most=1000)
    [(0, 200), (900, 1000)]
    """
    pieces = merged(wanted)
    allowed = waste * sum(stop - start for start, stop in pieces)
    gaps = sorted(
        (after[0] - before[1], place) for place, (before, after) in enumerate(zip(pieces, pieces[1:], strict=False))
    )
    bridged = set()
    for gap, place in gaps:
        allowed -= gap
        if allowed < 0:
            break
        bridged.add(place)
    groups: list[Span] = []
    for place, (start, stop) in enumerate(pieces):
        if groups and place - 1 in bridged and stop - groups[-1][0] <= most:
            groups[-1] = (groups[-1][0], stop)
        else:
            groups.append((start, stop))
    return groups
