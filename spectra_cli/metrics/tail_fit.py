"""Where the tail of the eigenvalues λ = σ² begins, and the power law that describes it. Knows the spectra of a stack.

The method of Clauset, Shalizi & Newman 2009 with every distinct λ as a candidate. The metrics are in `tails.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.scale import above_rounding
from spectra_cli.metrics.stacks import KEPT, Numbers, Spectra

# Up to so many values all candidates are measured in full, those of several spectra together.
FEW = 128
# In so many parts, each over the points of its own tails alone.
PARTS = 4
# Of more, candidates are first compared on so many points of their tails, dense at the top: see `_smallest_distance`.
COARSE = (16, 160)
# So many candidates are measured in full before it is asked whether any other can still win.
CHUNK = 64
# Distances are computed on arrays of so many numbers at a time, which stay in the processor's cache: twice as fast. In
# smaller ones two threads wait longer for the interpreter, which each needs between two steps.
BLOCK = 32_768


@dataclass(frozen=True)
class TailFit:
    """Power laws p(λ) ∝ λ^−alpha for λ ≥ xmin, their Kolmogorov–Smirnov distances and the sizes of their tails.

    (b,) each. NaN where no such tail exists.
    """

    alpha: Numbers
    xmin: Numbers
    ks: Numbers
    n: Numbers

    @property
    def stderr(self) -> Numbers:
        """(α−1)/√n, the standard error of the maximum likelihood estimate for a tail that was given beforehand."""
        return (self.alpha - 1.0) / np.sqrt(self.n)


@dataclass(frozen=True)
class Candidates:
    """Eigenvalues, ascending, each of which may begin the tail: all arrays of one shape. Equal ones are alike.

    logs: ln(λ/λ₁). below: how many eigenvalues are smaller. through: how many are smaller or equal. n: the size of the
    tail that begins here. rate: its α − 1, 0 for the largest, which has no tail of its own. Where λ is rounding, logs
    and n are those of the smallest that is not, and below and through are 0 or less, so that no tail reaches there.
    """

    logs: Numbers
    below: Numbers
    through: Numbers
    n: Numbers
    rate: Numbers

    def at(self, where: Any) -> Candidates:
        """Return those at some places."""
        return self.each(lambda array: array[where])

    def each(self, change: Callable[[Numbers], Numbers]) -> Candidates:
        """Return all with every array changed alike."""
        return Candidates(*map(change, (self.logs, self.below, self.through, self.n, self.rate)))


@lru_cache(maxsize=KEPT)
def clauset_fit(spectra: Spectra) -> TailFit:
    """The tail with the smallest distance of all, the empirical distribution read from the left of each step.

    Reading it from one side only is what powerlaw and WeightWatcher do. NaN without two distinct values.

    >>> from spectra_cli.records import Spectrum
    >>> clauset_fit(Spectra.of([Spectrum.of(1.0, 1.0)])).n
    array([nan])
    """
    return _fit(spectra, least=2, two_sided=False)


@lru_cache(maxsize=KEPT)
def tail_fit(spectra: Spectra) -> TailFit:
    """The tail with the smallest two-sided distance among those of at least ⌈r/4⌉ values; NaN without one.

    >>> from spectra_cli.records import Spectrum
    >>> tail_fit(Spectra.of([Spectrum.of(8.0, 4.0, 2.0, 1.0)])).n
    array([4.])
    """
    return _fit(spectra, least=max(2, math.ceil(spectra.sigma.shape[1] / 4)), two_sided=True)


def _fit(spectra: Spectra, least: int, two_sided: bool) -> TailFit:
    candidates = _candidates(spectra)
    allowed = (candidates.rate > 0) & (candidates.below >= 0) & (candidates.n >= least)
    if spectra.sigma.shape[1] <= FEW:
        distances = np.where(allowed, _all_distances(spectra)[two_sided], np.inf)
        best = distances.argmin(axis=1)
        smallest = distances.min(axis=1)
    else:
        places = [np.flatnonzero(row) for row in allowed]
        each = [_smallest_distance(candidates.at(i), some, two_sided) for i, some in enumerate(places)]
        best, smallest = (np.array(values) for values in zip(*each, strict=True))
    rows, has_tail = np.arange(len(allowed)), allowed.any(axis=1)
    chosen = candidates.at((rows, best))
    sigma = spectra.sigma[rows, chosen.n.astype(np.int64) - 1]
    columns = (1.0 + chosen.rate, sigma * sigma, smallest, chosen.n)
    return TailFit(*(np.where(has_tail, column, np.nan) for column in columns))


@lru_cache(maxsize=KEPT)
def _candidates(spectra: Spectra) -> Candidates:
    logs = 2.0 * above_rounding(spectra)[:, ::-1]
    count, r = logs.shape
    places = np.arange(r)
    dropped = np.isnan(logs).sum(axis=1, keepdims=True)
    smallest = np.take_along_axis(logs, np.minimum(dropped, r - 1), axis=1)
    logs = np.nan_to_num(np.where(places < dropped, smallest, logs))
    gaps = np.diff(logs, axis=1)
    begins = np.ones((count, r + 1), dtype=np.bool_)  # whether a value is larger than the one before; one beyond all
    begins[:, 1:-1] = (gaps > 0) | (places[1:] == dropped)
    first = last = np.broadcast_to(places, logs.shape)
    if not begins.all():
        first = np.maximum.accumulate(np.where(begins[:, :-1], places, 0), axis=1)
        last = np.minimum.accumulate(np.where(begins[:, 1:], places, r - 1)[:, ::-1], axis=1)[:, ::-1]
    # Σ_{λ ≥ x} ln(λ/x), summed from the top over the gaps between neighbours: all terms are positive, nothing cancels.
    sums = np.zeros(logs.shape)
    sums[:, :-1] = np.cumsum((np.arange(r - 1, 0, -1) * gaps)[:, ::-1], axis=1)[:, ::-1]
    n = (r - np.maximum(first, dropped)).astype(np.float64)
    rate = np.divide(n, sums, out=np.zeros(logs.shape), where=sums > 0)
    below, through = (first - dropped).astype(np.float64), (last + 1.0 - dropped)
    return Candidates(logs, below, through, n, rate)


@lru_cache(maxsize=KEPT)
def _all_distances(spectra: Spectra) -> tuple[Numbers, Numbers]:
    """Kolmogorov–Smirnov distances of all candidates, (b, r) each: read from one side, and from both."""
    candidates = _candidates(spectra)
    count, r = candidates.logs.shape
    width = -(-r // PARTS)
    step = max(1, BLOCK // (r * width))
    one_sided, two_sided = np.empty((count, r)), np.empty((count, r))
    for start in range(0, count, step):
        rows = slice(start, start + step)
        some = candidates.at(rows).each(_alike)
        points = some.each(lambda array: array.T[:, :, None])
        for first in range(0, r, width):  # of whose tails no smaller value is part
            chosen = some.at((slice(None), slice(first, first + width)))
            distances = _distances(points.at(slice(first, None)), chosen, (False, True))
            one_sided[rows, first : first + width], two_sided[rows, first : first + width] = distances
    return one_sided, two_sided


def _alike(rows: Numbers) -> Numbers:
    """Return one row in place of many that are equal, as counts without ties are."""
    return rows[:1] if (rows == rows[:1]).all() else rows


def _smallest_distance(candidates: Candidates, allowed: NDArray[np.int64], two_sided: bool) -> tuple[int, float]:
    """Index and distance of the best candidate of one spectrum, the smallest x_min among equals.

    A distance over some points of a tail is never larger than over all of them. So every candidate gets such a lower
    bound, first over few points and then over more, and only those are measured in full, lowest bound first, that can
    still win: some hundred of 2,048.
    """
    last = candidates.logs.size - 1
    best, smallest = last, math.inf
    bounds = np.zeros(allowed.size)
    for count in COARSE if allowed.size > CHUNK else ():
        bounds = _distances_at(candidates, allowed, _points(last + 1, count), two_sided)
        order = np.argsort(bounds, kind="stable")
        best, smallest = _better(candidates, allowed[order[:1]], two_sided, best, smallest)
        left = order[bounds[order] <= smallest]
        allowed, bounds = allowed[left], bounds[left]
    for start in range(0, allowed.size, CHUNK):
        if bounds[start] > smallest:
            break
        best, smallest = _better(candidates, allowed[start : start + CHUNK], two_sided, best, smallest)
    return best, smallest


@lru_cache(maxsize=32)  # a model's matrices are of few sizes
def _points(size: int, count: int) -> NDArray[np.int64]:
    """About `count` of the places 0 … size−1, the closer the larger they are."""
    return np.unique(size - np.geomspace(1, size, count).astype(np.int64))


def _better(
    candidates: Candidates, chosen: NDArray[np.int64], two_sided: bool, best: int, smallest: float
) -> tuple[int, float]:
    """Measure some candidates in full: index and distance of the best of them and of the one so far."""
    distances = _distances_at(candidates, chosen, np.arange(chosen.min(), candidates.logs.size), two_sided)
    least = float(distances.min())
    index = int(chosen[distances == least].min())
    return (index, least) if (least, index) < (smallest, best) else (best, smallest)


def _distances_at(
    candidates: Candidates, chosen: NDArray[np.int64], points: NDArray[np.int64], two_sided: bool
) -> Numbers:
    """Kolmogorov–Smirnov distance of each chosen candidate of one spectrum, over the given points: (len(chosen),)."""
    step = max(1, BLOCK // points.size)
    blocks = [chosen[start : start + step] for start in range(0, chosen.size, step)]
    at_points = candidates.at((points, None))
    return np.concatenate([_distances(at_points, candidates.at(block), (two_sided,))[0] for block in blocks])


def _distances(points: Candidates, chosen: Candidates, sides: Sequence[bool]) -> list[Numbers]:
    """Kolmogorov–Smirnov distances of chosen candidates over points, read from one side or, where true, from both.

    Points lie along a first axis, which the candidates lack: to find the largest of few points for many candidates
    takes a fifth of the time so.
    """
    # Points below the candidate get distance 0 by being moved onto it, where both distributions begin at 0.
    model = points.logs - chosen.logs
    np.maximum(model, 0.0, out=model)
    model *= -chosen.rate
    np.subtract(1.0, np.exp(model, out=model), out=model)
    left = np.maximum(points.below - chosen.below, 0.0) / chosen.n
    excess = model - left
    over = excess.max(axis=0)
    distances = []
    for two_sided in sides:
        if two_sided:
            right = np.maximum(points.through - chosen.below, 0.0) / chosen.n
            under = np.subtract(right, model, out=excess).max(axis=0)
        else:
            under = -excess.min(axis=0)
        distances.append(np.maximum(over, under))
    return distances
