"""How much farther q and k spread over depth than v and o. Knows arrays, roles × layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Interval = tuple[float, float]

QK, VO = ("q", "k"), ("v", "o")
PERMUTATIONS = 2000


@dataclass(frozen=True)
class SpreadRatio:
    """How much farther one group of roles spreads over depth than another, with a 95% interval. n: layers."""

    ratio: float
    interval: Interval
    p: float
    n: int


@dataclass(frozen=True, eq=False)
class Asymmetry:
    """How much farther q and k spread over depth than v and o, in one quantity. p: corrected.

    profiles: (L,) of each of these roles at the last checkpoint.
    """

    quantity: str
    spread: SpreadRatio
    p: float
    profiles: dict[str, Array]


def asymmetries(quantities: Mapping[str, Mapping[str, Array]]) -> Iterator[Asymmetry]:
    """Yield the asymmetry of each quantity whose grids, (L, T) by role, hold q, k, v and o; p as it is, uncorrected."""
    for name, grids in quantities.items():
        if all(role in grids for role in (*QK, *VO)):
            profiles = {role: grids[role][:, -1] for role in (*QK, *VO)}
            spread = spread_ratio(*(np.stack([profiles[role] for role in roles]) for roles in (QK, VO)))
            yield Asymmetry(name, spread, spread.p, profiles)


def spread_ratio(first: Array, second: Array, *, seed: int = 0) -> SpreadRatio:
    """Compare how far two groups of roles spread over depth.

    first, second: (roles, L) each. Spread is the root mean square of a role's values about the role's own mean. Where
    the groups do not differ, within a layer any role's value may stand for any other's: the p-value is the share of
    such exchanges that give a ratio at least as far from 1. The interval is from layers drawn anew.
    """
    both = np.vstack([first, second])
    both = both[:, np.isfinite(both).all(axis=0)]
    centred = both - both.mean(axis=1, keepdims=True)
    roles, n = centred.shape
    if n < 3 or not centred.any():
        return SpreadRatio(np.nan, (np.nan, np.nan), np.nan, n)
    split = len(first)
    observed = float(_log_ratio(both, split))
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.broadcast_to(centred, (PERMUTATIONS, roles, n)), axis=1)
    as_far = np.abs(_log_ratio(shuffled, split)) >= abs(observed) - 1e-12
    p = (1 + int(as_far.sum())) / (PERMUTATIONS + 1)
    drawn = _log_ratio(both[:, random.integers(n, size=(PERMUTATIONS, n))].swapaxes(0, 1), split)
    drawn = drawn[np.isfinite(drawn)]
    reach = np.exp(np.quantile(drawn, (0.025, 0.975))) if len(drawn) else (np.nan, np.nan)
    return SpreadRatio(float(np.exp(observed)), (float(reach[0]), float(reach[1])), p, n)


def _log_ratio(values: Array, split: int) -> Array:
    """Logarithm of the ratio of spreads, of (…, roles, L), the first `split` roles over the others."""
    values = values - values.mean(axis=-1, keepdims=True)
    first, second = (np.square(part).mean(axis=(-2, -1)) for part in (values[..., :split, :], values[..., split:, :]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(first / second) / 2)
