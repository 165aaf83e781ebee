"""Which numbers are uncertain by the errors of the spectra. Knows METRICS, and so is not imported by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from spectra_cli.metrics import METRICS, measure_together
from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.metrics.scale import finite
from spectra_cli.metrics.stacks import Flags, Numbers, Pairs, Spectra, Vectors
from spectra_cli.records import Against, Pair, Spectrum

# An error below these shares of the smallest σ, and of the smallest gap between two, moves no third digit, and most
# spectra need not be looked at twice. A gap that is not above the error is none: such values are ties.
HARMLESS = 1e-6
HARMLESS_TO_GAPS = 1e-4
THIRD_DIGIT = 5e-4
NEAR_ZERO = 1e-9


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
    spectra = Spectra.of([spectrum])
    first, second = (None if pair is None else Pairs.of([pair], spectra) for pair in (reference, previous))
    stated = dict(measure_together(spectra, first, second, names, alpha_range=alpha_range))
    return uncertain_each(spectra, first, second, stated, alpha_range=alpha_range)[0]


def uncertain_each(
    spectra: Spectra,
    reference: Pairs | None,
    previous: Pairs | None,
    stated: Mapping[str, Numbers | Vectors],
    *,
    alpha_range: RankRange = ALL_RANKS,
) -> list[tuple[str, ...]]:
    """Return `uncertain` of each matrix of a stack; only those whose error is not harmless are measured again.

    stated: what `measure_together` gave of the stack.
    """
    with np.errstate(all="ignore"):
        asked = [metric for metric in METRICS if metric.name in stated and metric.name != "sigma_error"]
        kinds, doubts = {metric.against for metric in asked}, dict[Against | None, Flags]()
        if None in kinds:
            doubts[None] = finite(spectra) & _measurable(spectra)
        if reference is not None and "final" in kinds:
            doubts["final"] = _close(reference)
        if previous is not None and "prev" in kinds:
            doubts["prev"] = _close(previous)
        none = np.zeros(len(spectra.sigma), dtype=np.bool_)
        rows = np.flatnonzero(np.any([none, *doubts.values()], axis=0))
        result: list[tuple[str, ...]] = [()] * len(spectra.sigma)
        if rows.size == 0:
            return result
        first = reference.at(rows) if reference is not None and doubts.get("final", none).any() else None
        second = previous.at(rows) if previous is not None and doubts.get("prev", none).any() else None
        rest = {metric.name: stated[metric.name][rows] for metric in asked if doubts[metric.against].any()}
        changed = _changed(spectra.at(rows), first, second, rest, alpha_range)
    for index, row in enumerate(rows):
        result[row] = tuple(
            metric.name
            for metric in METRICS
            if metric.name in changed and changed[metric.name][index] and doubts[metric.against][row]
        )
    return result


def _changed(
    spectra: Spectra,
    reference: Pairs | None,
    previous: Pairs | None,
    stated: Mapping[str, Numbers | Vectors],
    alpha_range: RankRange,
) -> dict[str, Flags]:
    """Return of which matrices each metric changes its third digit in one of the directions, (b,) each."""
    directions = _directions(spectra.sigma.shape[1])
    each = np.tile(np.arange(len(spectra.sigma)), len(directions))
    signs = np.repeat(directions, len(spectra.sigma), axis=0)
    moved = _moved(spectra.at(each), signs)
    first, second = (
        None if pairs is None else replace(pairs.at(each), a=moved, b=_moved(pairs.b.at(each), -signs))
        for pairs in (reference, previous)
    )
    near_zero = {metric.name: NEAR_ZERO if metric.against is None else 0.0 for metric in METRICS}
    return {
        name: np.asarray(_differ(stated[name][each], result, near_zero[name]).reshape(len(directions), -1).any(axis=0))
        for name, result in measure_together(moved, first, second, stated, alpha_range=alpha_range)
    }


def _measurable(spectra: Spectra) -> Flags:
    """Whether the error is large beside the smallest σ, or beside the smallest gap that is one."""
    gaps = spectra.sigma[:, :-1] - spectra.sigma[:, 1:]
    smallest = np.where(gaps > spectra.error[:, None], gaps, np.inf).min(axis=1, initial=np.inf)
    own = spectra.error > HARMLESS * spectra.sigma[:, -1]
    return np.asarray(own | (spectra.error > HARMLESS_TO_GAPS * smallest))


def _close(pairs: Pairs) -> Flags:
    """Whether two spectra that differ do so by little, beside their errors."""
    apart = np.abs(pairs.a.sigma - pairs.b.sigma).max(axis=1)
    differ = finite(pairs.a) & finite(pairs.b) & (pairs.distance != 0.0)
    return np.asarray(differ & (pairs.a.error + pairs.b.error > HARMLESS * apart))


def _directions(size: int) -> Numbers:
    """The signs by which all σ of a matrix are moved at once: (4, size)."""
    alternating = np.where(np.arange(size) % 2, -1.0, 1.0)
    return np.array([np.ones_like(alternating), -np.ones_like(alternating), alternating, -alternating])


def _moved(spectra: Spectra, signs: Numbers) -> Spectra:
    """Move each spectrum by its error; signs: (b, r)."""
    sigma = np.sort(np.maximum(spectra.sigma + signs * spectra.error[:, None], 0.0), axis=1)[:, ::-1]
    return replace(spectra, sigma=np.ascontiguousarray(sigma), error=3.0 * spectra.error)


def _differ(stated: Numbers | Vectors, other: Numbers | Vectors, near_zero: float) -> Flags:
    if stated.ndim > 1:
        apart = np.abs(stated - other).max(axis=1)
        return np.asarray(apart > THIRD_DIGIT * np.abs(stated).max(axis=1))
    same = (stated == other) | (np.isnan(stated) & np.isnan(other))
    near = np.abs(stated - other) <= np.maximum(THIRD_DIGIT * np.abs(stated), near_zero)
    return np.asarray(~same & (~near | np.isinf(stated)))
