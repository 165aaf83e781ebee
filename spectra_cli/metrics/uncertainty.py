"""Which numbers the error of a spectrum leaves open. Knows METRICS, and so is not imported by it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from spectra_cli.metrics import measure
from spectra_cli.metrics.catalogue import Vector
from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.records import Spectrum

# An error below this share of the smallest σ moves no third digit, and most spectra need not be looked at twice.
HARMLESS = 1e-6
THIRD_DIGIT = 5e-4


def uncertain(spectrum: Spectrum, names: Collection[str], *, alpha_range: RankRange = ALL_RANKS) -> tuple[str, ...]:
    """Name the metrics of one matrix whose third digit the spectrum's own error could change, in the order of METRICS.

    Each is measured again with every σ larger by `error`, smaller by it, and the two in alternation: so it is a probe
    in four directions and no proof. Numbers near 0 are let be where they move by less than 1e-9.

    >>> uncertain(replace(Spectrum.of(1.0, 0.5, 1e-9), error=1e-11), {"entropy", "condition_number", "stable_rank"})
    ('condition_number',)
    """
    if not spectrum.finite or spectrum.sigma.size == 0 or spectrum.error <= HARMLESS * float(spectrum.sigma[-1]):
        return ()
    stated = {
        name: (value, vector) for name, value, vector in measure(spectrum, None, None, names, alpha_range=alpha_range)
    }
    moved: set[str] = set()
    for other in _disturbed(spectrum):
        for name, value, vector in measure(other, None, None, stated, alpha_range=alpha_range):
            if _differ(*stated[name], value, vector):
                moved.add(name)
    return tuple(name for name in stated if name in moved)


def _disturbed(spectrum: Spectrum) -> Iterator[Spectrum]:
    alternating = np.where(np.arange(spectrum.sigma.size) % 2, -1.0, 1.0)
    for direction in (np.ones_like(alternating), -np.ones_like(alternating), alternating, -alternating):
        moved = np.maximum(spectrum.sigma + direction * spectrum.error, 0.0)
        yield replace(spectrum, sigma=np.sort(moved)[::-1])


def _differ(value: float | None, vector: Vector | None, other: float | None, other_vector: Vector | None) -> bool:
    if vector is not None and other_vector is not None:
        return float(np.abs(vector - other_vector).max()) > THIRD_DIGIT * float(np.abs(vector).max())
    if value is None or other is None or value == other or (math.isnan(value) and math.isnan(other)):
        return False
    return not abs(value - other) <= max(THIRD_DIGIT * abs(value), 1e-9) or math.isinf(value)
