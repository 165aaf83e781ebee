"""How much farther q and k spread over depth than v and o. Knows arrays, roles × layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectra_cli.studies.lifecycle.significance import CHANCE

Array = NDArray[np.float64]
Interval = tuple[float, float]

QK, VO = ("q", "k"), ("v", "o")
PERMUTATIONS = 2000
MOST_ALIKE = 0.97  # the largest correlation of neighbouring layers that is reckoned with


@dataclass(frozen=True)
class SpreadRatio:
    """How much farther one group of roles spreads over depth than another, with a 95% interval. n: layers."""

    ratio: float
    interval: Interval
    p: float
    n: int


@dataclass(frozen=True, eq=False)
class Asymmetry:
    """How much farther q and k spread over depth than v and o, in one quantity.

    profiles: (L,) of each of these roles at the last checkpoint.
    """

    quantity: str
    spread: SpreadRatio
    profiles: dict[str, Array]


def asymmetries(quantities: Mapping[str, Mapping[str, Array]]) -> Iterator[Asymmetry]:
    """Yield the asymmetry of each quantity whose grids, (L, T) by role, hold q, k, v and o."""
    for name, grids in quantities.items():
        if all(role in grids for role in (*QK, *VO)):
            profiles = {role: grids[role][:, -1] for role in (*QK, *VO)}
            spread = spread_ratio(*(np.stack([profiles[role] for role in roles]) for roles in (QK, VO)))
            yield Asymmetry(name, spread, profiles)


def spread_ratio(first: Array, second: Array, *, seed: int = 0) -> SpreadRatio:
    """Compare how far two groups of roles spread over depth.

    first, second: (roles, L) each. Spread is the root mean square of a role's values about the role's own mean. The
    p-value is the larger of two. One holds where layers are correlated and roles go together: the squared ratio is an
    F of as many degrees of freedom as the values are worth. The other holds where values are far from Gaussian: within
    a layer any role's value may stand for any other's, and it is the share of such exchanges that give a ratio at
    least as far from 1. The interval reaches as far as the farther of the two.
    """
    both = np.vstack([first, second])
    both = both[:, np.isfinite(both).all(axis=0)]
    centred = both - both.mean(axis=1, keepdims=True)
    roles, n = centred.shape
    split = len(first)
    if n < 3 or not (centred[:split].any() and centred[split:].any()):
        return SpreadRatio(np.nan, (np.nan, np.nan), np.nan, n)
    observed = float(_log_ratio(both, split))
    alike = _neighbours(centred)
    freedom = stats.f(_worth(centred[:split], alike), _worth(centred[split:], alike))
    beyond = float(freedom.sf(np.exp(2 * observed)))
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.broadcast_to(centred, (PERMUTATIONS, roles, n)), axis=1)
    exchanged = np.abs(_log_ratio(shuffled, split))
    as_far = (1 + int((exchanged >= abs(observed) - 1e-12).sum())) / (PERMUTATIONS + 1)
    reach = float(np.quantile(exchanged, 1 - CHANCE))
    low, high = np.log(freedom.ppf([CHANCE / 2, 1 - CHANCE / 2])) / 2
    p = max(as_far, 2 * min(beyond, 1 - beyond))
    ends = float(np.exp(observed - max(high, reach))), float(np.exp(observed + max(-low, reach)))
    # A quantile of exchanges and their share may differ by one of them.
    interval = ends if p < CHANCE else (min(ends[0], 1.0), max(ends[1], 1.0))
    return SpreadRatio(float(np.exp(observed)), interval, p, n)


def _neighbours(centred: Array) -> float:
    """Return the correlation of neighbouring layers, mean over roles, one standard error above what is estimated.

    Of n values about their own mean it comes out too low by about (1 + 3ρ)/n.
    """
    roles, n = centred.shape
    squares = np.maximum((centred**2).sum(axis=1), np.finfo(float).tiny)
    lag = float(np.mean((centred[:, 1:] * centred[:, :-1]).sum(axis=1) / squares))
    estimated = lag + (1 + 3 * lag) / n
    error = np.sqrt(max(0.0, 1 - estimated**2) / (roles * n))
    return float(np.clip(estimated + error, 0.0, MOST_ALIKE))


def _worth(group: Array, alike: float) -> float:
    """Return how many independent Gaussian values a group's mean square, of (roles, n) about their means, is worth.

    That is 2 over its relative variance, the larger of two: of Gaussian values whose neighbours are so alike, and of
    these values' own squares, which few large ones may rule.
    """
    n = group.shape[1]
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    centre = np.eye(n) - 1 / n
    layers = centre @ alike**apart @ centre
    roles = group @ group.T
    gaussian = 2 * (layers**2).sum() / np.trace(layers) ** 2 * (roles**2).sum() / np.trace(roles) ** 2
    squares = (group**2).sum(axis=0)
    own = squares.var(ddof=1) / (n * squares.mean() ** 2) * (alike ** (2 * apart)).sum() / n
    return float(2 / max(gaussian, own))


def _log_ratio(values: Array, split: int) -> Array:
    """Logarithm of the ratio of spreads, of (…, roles, L), the first `split` roles over the others."""
    values = values - values.mean(axis=-1, keepdims=True)
    first, second = (np.square(part).mean(axis=(-2, -1)) for part in (values[..., :split, :], values[..., split:, :]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(first / second) / 2)
