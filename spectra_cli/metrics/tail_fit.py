"""Where the tail of the eigenvalues λ = σ² begins, and the power law that describes it. Knows one spectrum.

The method of Clauset, Shalizi & Newman 2009 with every distinct λ as a candidate. The metrics are in `tails.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spectra_cli.metrics.scale import above_rounding
from spectra_cli.records import Spectrum

# Candidates are first compared on so many points of their tails, dense at the top: see `_smallest_distance`.
COARSE = (16, 160)
# So many candidates are measured in full before it is asked whether any other can still win.
CHUNK = 64
# Distances are computed on arrays of so many numbers at a time, which stay in the processor's cache: twice as fast.
BLOCK = 16_384


@dataclass(frozen=True)
class TailFit:
    """A power law p(λ) ∝ λ^−alpha for λ ≥ xmin, its Kolmogorov–Smirnov distance and the size of its tail.

    All NaN where no such tail exists.
    """

    alpha: float = math.nan
    xmin: float = math.nan
    ks: float = math.nan
    n: float = math.nan

    @property
    def stderr(self) -> float:
        """(α−1)/√n, the standard error of the maximum likelihood estimate for a tail that was given beforehand."""
        return (self.alpha - 1.0) / math.sqrt(self.n)


UNDEFINED = TailFit()


@dataclass(frozen=True)
class Candidates:
    """The distinct eigenvalues, ascending, each of which may begin the tail.

    logs: ln(λ/λ₁). below: how many eigenvalues are smaller. through: how many are smaller or equal. rate: α − 1 of the
    tail that begins here; the largest has no tail of its own and no rate. Counts are float64, to be computed with.
    """

    logs: NDArray[np.float64]
    below: NDArray[np.float64]
    through: NDArray[np.float64]
    rate: NDArray[np.float64]

    @property
    def n(self) -> NDArray[np.float64]:
        """Size of the tail that begins here."""
        sizes: NDArray[np.float64] = self.through[-1] - self.below
        return sizes


def clauset_fit(spectrum: Spectrum) -> TailFit:
    """The tail with the smallest distance of all, the empirical distribution read from the left of each step.

    Reading it from one side only is what powerlaw and WeightWatcher do. UNDEFINED without two distinct values.

    >>> clauset_fit(Spectrum.of(1.0, 1.0)) is UNDEFINED
    True
    """
    return _fit(spectrum, least=2, two_sided=False)


def tail_fit(spectrum: Spectrum) -> TailFit:
    """The tail with the smallest two-sided distance among those of at least ⌈r/4⌉ values; UNDEFINED without one.

    >>> tail_fit(Spectrum.of(8.0, 4.0, 2.0, 1.0)).n
    4.0
    """
    return _fit(spectrum, least=max(2, math.ceil(spectrum.sigma.size / 4)), two_sided=True)


@lru_cache(maxsize=32)  # five metrics share one fit; spectra hash by identity
def _fit(spectrum: Spectrum, least: int, two_sided: bool) -> TailFit:
    candidates = _candidates(spectrum)
    if candidates is None:
        return UNDEFINED
    allowed = np.flatnonzero(candidates.n[:-1] >= least)
    if allowed.size == 0:
        return UNDEFINED
    best, distance = _smallest_distance(candidates, allowed, two_sided)
    smallest = float(spectrum.sigma[int(candidates.n[best]) - 1])
    return TailFit(1.0 + float(candidates.rate[best]), smallest * smallest, distance, float(candidates.n[best]))


@lru_cache(maxsize=32)
def _candidates(spectrum: Spectrum) -> Candidates | None:
    logs, counts = np.unique(2.0 * above_rounding(spectrum), return_counts=True)
    if logs.size < 2:
        return None
    through = np.cumsum(counts).astype(np.float64)
    below = through - counts
    # Σ_{λ ≥ x} ln(λ/x), summed from the top over the gaps between neighbours: all terms are positive, nothing cancels.
    above = (through[-1] - below)[1:]
    sums = np.cumsum((above * np.diff(logs))[::-1])[::-1]
    rate = np.append((above + counts[:-1]) / sums, np.nan)
    return Candidates(logs, below, through, rate)


def _smallest_distance(candidates: Candidates, allowed: NDArray[np.int64], two_sided: bool) -> tuple[int, float]:
    """Index and distance of the best candidate, the smallest x_min among equals.

    A distance over some points of a tail is never larger than over all of them. So every candidate gets such a lower
    bound, first over few points and then over more, and only those are measured in full, lowest bound first, that can
    still win: some hundred of 2,048.
    """
    last = candidates.logs.size - 1
    best, smallest = last, math.inf
    bounds = np.zeros(allowed.size)
    for count in COARSE if allowed.size > CHUNK else ():
        bounds = _distances(candidates, allowed, _points(last + 1, count), two_sided)
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
    distances = _distances(candidates, chosen, np.arange(chosen.min(), candidates.logs.size), two_sided)
    least = float(distances.min())
    index = int(chosen[distances == least].min())
    return (index, least) if (least, index) < (smallest, best) else (best, smallest)


def _distances(
    candidates: Candidates, chosen: NDArray[np.int64], points: NDArray[np.int64], two_sided: bool
) -> NDArray[np.float64]:
    """Kolmogorov–Smirnov distance of each chosen candidate, over the given points: (len(chosen),)."""
    step = max(1, BLOCK // points.size)
    blocks = [chosen[start : start + step] for start in range(0, chosen.size, step)]
    return np.concatenate([_distances_in_block(candidates, block, points, two_sided) for block in blocks])


def _distances_in_block(
    candidates: Candidates, chosen: NDArray[np.int64], points: NDArray[np.int64], two_sided: bool
) -> NDArray[np.float64]:
    # Points along the first axis: to find the largest of few points for many candidates takes a fifth of the time so.
    first, begin, n = candidates.logs[chosen], candidates.below[chosen], candidates.n[chosen]
    # Points below the candidate get distance 0 by being moved onto it, where both distributions begin at 0.
    model = np.maximum(candidates.logs[points, None] - first, 0.0)
    model *= -candidates.rate[chosen]
    np.subtract(1.0, np.exp(model, out=model), out=model)
    left = np.maximum(candidates.below[points, None] - begin, 0.0)
    left /= n
    excess = np.subtract(model, left, out=left)
    most, least = excess.max(axis=0), excess.min(axis=0)
    if two_sided:
        right = np.maximum(candidates.through[points, None] - begin, 0.0)
        right /= n
        least = -(right - model).max(axis=0)
    distances: NDArray[np.float64] = np.maximum(most, -least)
    return distances
