"""Which numbers are uncertain by the errors of the spectra. Knows METRICS, and so is not imported by it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics import METRICS, measure
from spectra_cli.metrics.metric import Vector
from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.records import Pair, Spectrum

# An error below these shares of the smallest σ, and of the smallest gap between two, moves no third digit, and most
# spectra need not be looked at twice. A gap that is not above the error is none: such values are ties.
HARMLESS = 1e-6
HARMLESS_TO_GAPS = 1e-4
THIRD_DIGIT = 5e-4
NEAR_ZERO = 1e-9
OF_ONE_MATRIX = frozenset(metric.name for metric in METRICS if metric.against is None)


def uncertain(
    spectrum: Spectrum,
    names: Collection[str],
    *,
    reference: Pair | None = None,
    previous: Pair | None = None,
    alpha_range: RankRange = ALL_RANKS,
) -> tuple[str, ...]:
    """Metrics of one matrix whose third digit the error of its spectra could change, in the order of METRICS.

    Each is measured again with every σ larger by `error`, smaller by it, and the two in alternation, those of the other
    matrix of a pair the opposite way: so it is a probe in four directions and no proof. What was moved is known to
    three times the error, so that ties stay ties. Numbers of one matrix that are near 0 do not count where they move by
    less than 1e-9; the error itself has none.

    >>> uncertain(replace(Spectrum.of(1.0, 0.5, 1e-9), error=1e-11), {"entropy", "condition_number", "stable_rank"})
    ('condition_number',)
    """
    if not spectrum.finite or spectrum.sigma.size == 0:
        return ()
    asked = (set(names) if _measurable(spectrum) else set(names) - OF_ONE_MATRIX) - {"sigma_error"}
    reference, previous = (pair if pair and _close(pair) else None for pair in (reference, previous))
    measured = measure(spectrum, reference, previous, asked, alpha_range=alpha_range)
    stated = {name: (value, vector) for name, value, vector in measured}
    if not stated:
        return ()
    changed: set[str] = set()
    for sign in _directions(spectrum.sigma.size):
        first, second = (
            pair and replace(pair, a=_moved(pair.a, sign), b=_moved(pair.b, -sign)) for pair in (reference, previous)
        )
        for name, value, vector in measure(_moved(spectrum, sign), first, second, stated, alpha_range=alpha_range):
            if _differ(*stated[name], value, vector, NEAR_ZERO if name in OF_ONE_MATRIX else 0.0):
                changed.add(name)
    return tuple(name for name in stated if name in changed)


def _measurable(spectrum: Spectrum) -> bool:
    """Whether the error is large beside the smallest σ, or beside the smallest gap that is one."""
    if spectrum.error > HARMLESS * float(spectrum.sigma[-1]):
        return True
    gaps = spectrum.sigma[:-1] - spectrum.sigma[1:]
    return spectrum.error > HARMLESS_TO_GAPS * float(gaps[gaps > spectrum.error].min(initial=math.inf))


def _close(pair: Pair) -> bool:
    """Whether two spectra that differ do so by little, beside their errors."""
    if pair.distance == 0.0 or not (pair.a.finite and pair.b.finite):
        return False
    return pair.a.error + pair.b.error > HARMLESS * float(np.abs(pair.a.sigma - pair.b.sigma).max())


def _directions(size: int) -> Iterator[NDArray[np.float64]]:
    alternating = np.where(np.arange(size) % 2, -1.0, 1.0)
    yield from (np.ones_like(alternating), -np.ones_like(alternating), alternating, -alternating)


def _moved(spectrum: Spectrum, sign: NDArray[np.float64]) -> Spectrum:
    sigma = np.sort(np.maximum(spectrum.sigma + sign * spectrum.error, 0.0))[::-1]
    return replace(spectrum, sigma=sigma, error=3.0 * spectrum.error)


def _differ(
    value: float | None, vector: Vector | None, other: float | None, other_vector: Vector | None, near_zero: float
) -> bool:
    if vector is not None and other_vector is not None:
        return float(np.abs(vector - other_vector).max()) > THIRD_DIGIT * float(np.abs(vector).max())
    if value is None or other is None or value == other or (math.isnan(value) and math.isnan(other)):
        return False
    return not abs(value - other) <= max(THIRD_DIGIT * abs(value), near_zero) or math.isinf(value)
