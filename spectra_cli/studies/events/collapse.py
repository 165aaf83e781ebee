"""Matrices whose stable rank halves within a few measurements while that of others in their role does not."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median

from spectra_cli.studies.events.event import COLLAPSE, Event
from spectra_cli.studies.events.measurement import Measurement

WITHIN = 5  # measurements
HALVED = 1.0  # in log₂
SPREADS = 4.0  # robust standard deviations of how matrices differ from their role


class Collapse:
    """Remembers the last stable ranks, and which matrices have collapsed: each does so once."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._past: deque[Mapping[str, float]] = deque(maxlen=WITHIN)
        self._collapsed: set[str] = set()

    def see(self, now: Measurement) -> tuple[Event, ...]:
        """Return the collapses that this checkpoint shows for the first time.

        A matrix collapses where log₂ of its stable rank falls by 1, and by 1 and SPREADS robust standard deviations
        more than the median of the others in its role. A role of one matrix has nothing to compare with, and none.
        """
        ranks = {matrix: value for matrix, value in now.of("stable_rank").items() if value > 0}
        new: dict[str, float] = {}
        for before in self._past:
            changes = {matrix: math.log2(ranks[matrix] / before[matrix]) for matrix in ranks if matrix in before}
            for matrix in _fallen(changes, now.roles):
                if matrix not in self._collapsed:
                    new[matrix] = max(before[matrix], new.get(matrix, 0.0))
        self._past.append(ranks)
        self._collapsed |= set(new)
        if not new:
            return ()
        numbers = {"stable_rank": [ranks[matrix] for matrix in new], "before": list(new.values())}
        return (Event(COLLAPSE, now.revision, now.step, tuple(new), numbers),)


def _fallen(changes: Mapping[str, float], roles: Mapping[str, str]) -> list[str]:
    """Return the matrices that fall beyond their role. changes: of log₂ of the stable rank."""
    if min(changes.values(), default=0.0) > -HALVED:
        return []
    of_role: dict[str, list[float]] = {}
    for matrix, change in changes.items():
        of_role.setdefault(roles[matrix], []).append(change)
    beyond = {
        matrix: change - _median_of_others(of_role[roles[matrix]], change)
        for matrix, change in changes.items()
        if len(of_role[roles[matrix]]) > 1
    }
    spread = 1.4826 * median(abs(excess) for excess in beyond.values()) if beyond else 0.0
    limit = -max(HALVED, SPREADS * spread)
    return [matrix for matrix, excess in beyond.items() if changes[matrix] <= -HALVED and excess <= limit]


def _median_of_others(changes: list[float], own: float) -> float:
    others = list(changes)
    others.remove(own)
    return median(others)
