"""Matrices that are no weights any more: NaN, Inf, zero, or those of an earlier checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from spectra_cli.studies.events.event import BROKEN, NAN, REPEATED, UNMOVED, ZERO, Event
from spectra_cli.studies.events.measurement import Measurement


class Broken:
    """Remembers what is broken already, which matrices have ever moved, and the norms of every checkpoint."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._broken: dict[str, set[str]] = {NAN: set(), ZERO: set(), UNMOVED: set()}
        self._moved: set[str] = set()
        self._seen: dict[int, tuple[str, int | None]] = {}

    def see(self, now: Measurement) -> Iterator[Event]:
        """Yield what broke at this checkpoint and was not broken at the one before.

        A matrix that has never moved is frozen, and no news; one that had moved and did not since is.
        """
        norms, updates = now.of("frobenius_norm") or now.of("spectral_norm"), now.of("update_norm_prev")
        still = {matrix for matrix, update in updates.items() if update == 0}
        broken = {
            NAN: {matrix for matrix, norm in norms.items() if not math.isfinite(norm)},
            ZERO: {matrix for matrix, norm in norms.items() if norm == 0},
            UNMOVED: still & self._moved,
        }
        repeats = self._repeats(norms)
        if repeats is not None and self._moved:
            yield Event(BROKEN, now.revision, now.step, (), {"what": REPEATED, "repeats": repeats[1], "of": repeats[0]})
        for what, matrices in broken.items():
            new = sorted(matrices - self._broken[what])
            if new and not (what == UNMOVED and repeats is not None):
                yield Event(BROKEN, now.revision, now.step, tuple(new), {"what": what})
        self._broken = broken
        self._moved |= {matrix for matrix, update in updates.items() if update > 0}
        self._seen.setdefault(_mark(norms), (now.revision, now.step))

    def _repeats(self, norms: Mapping[str, float]) -> tuple[str, int | None] | None:
        """Return the earlier checkpoint whose matrices have these very norms, to the last bit; None without one."""
        sound = len(norms) > 0 and all(map(math.isfinite, norms.values()))
        return self._seen.get(_mark(norms)) if sound else None


def _mark(norms: Mapping[str, float]) -> int:
    """Return a number that two checkpoints share only where all their norms are equal."""
    return hash(tuple(sorted(norms.items())))
