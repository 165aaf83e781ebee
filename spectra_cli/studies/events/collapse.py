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
PAST, FEWEST = 12, 8  # measurements whose falls a collapse must exceed, at most and at least


class Collapse:
    """Remembers the last stable ranks and falls, and which matrices have collapsed: each does so once."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._ranks: deque[Mapping[str, float]] = deque(maxlen=WITHIN)
        self._largest_falls: deque[float] = deque(maxlen=PAST + WITHIN)
        self._collapsed: set[str] = set()

    def see(self, now: Measurement) -> tuple[Event, ...]:
        """Return the collapses that this checkpoint shows for the first time.

        A matrix collapses where log₂ of its stable rank falls by 1 within WITHIN measurements, by 1 and SPREADS robust
        standard deviations more than the median of the others in its role, and further than any matrix of the model
        fell in the PAST measurements before these: early in training all fall, each at a time of its own. A role of
        one matrix has nothing to compare with, and none.
        """
        ranks = {matrix: value for matrix, value in now.of("stable_rank").items() if value > 0}
        past = list(self._largest_falls)[:-WITHIN]
        limit = max(HALVED, *past) if len(past) >= FEWEST else math.inf
        new: dict[str, float] = {}
        largest = 0.0
        for before in self._ranks:
            beyond = _beyond_role(ranks, before, now.roles)
            largest = max(largest, *(-change for change, _ in beyond.values()), 0.0)
            for matrix in _fallen(beyond, limit):
                if matrix not in self._collapsed:
                    new[matrix] = max(before[matrix], new.get(matrix, 0.0))
        self._ranks.append(ranks)
        self._largest_falls.append(largest)
        self._collapsed |= set(new)
        if not new:
            return ()
        numbers = {"stable_rank": [ranks[matrix] for matrix in new], "before": list(new.values())}
        return (Event(COLLAPSE, now.revision, now.step, tuple(new), numbers),)


def _beyond_role(
    ranks: Mapping[str, float], before: Mapping[str, float], roles: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Return by matrix how log₂ of its stable rank changed, and how much more than the median of others in its role."""
    changes = {matrix: math.log2(ranks[matrix] / before[matrix]) for matrix in ranks if matrix in before}
    of_role: dict[str, list[float]] = {}
    for matrix, change in changes.items():
        of_role.setdefault(roles[matrix], []).append(change)
    return {
        matrix: (change, change - _median_of_others(of_role[roles[matrix]], change))
        for matrix, change in changes.items()
        if len(of_role[roles[matrix]]) > 1
    }


def _fallen(beyond: Mapping[str, tuple[float, float]], limit: float) -> list[str]:
    """Return the matrices that fell further than the limit, and beyond their role."""
    if not any(change < -limit for change, _ in beyond.values()):
        return []
    spread = 1.4826 * median(abs(excess) for _, excess in beyond.values())
    least = max(HALVED, SPREADS * spread)
    return [matrix for matrix, (change, excess) in beyond.items() if change < -limit and excess <= -least]


def _median_of_others(changes: list[float], own: float) -> float:
    others = list(changes)
    others.remove(own)
    return median(others)
