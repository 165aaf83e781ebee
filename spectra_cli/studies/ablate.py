"""Whether a number of each layer ranks the layers as their removal does. Pure statistics: knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectra_cli.errors import SpectraError
from spectra_cli.studies.lifecycle.significance import correct
from spectra_cli.studies.regression import estimate

LEAST_LAYERS = 8  # with fewer, only a nearly perfect order is beyond chance, and most true ones are missed
PERMUTATIONS = 9999
SEED = 0


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ between a metric and the rise in loss over some layers.

    layers: `core` or `all`. n: how many. p: of `rank_correlation`, and corrected: for the metrics beside it (Benjamini
    and Hochberg). None where ρ is not defined or the layers are fewer than LEAST_LAYERS.
    """

    metric: str
    layers: str
    rho: float | None
    p: float | None
    corrected: float | None
    n: int

    @property
    def judged(self) -> bool:
        """Whether there are enough layers to show a correlation."""
        return self.p is not None


def core_layers(layers: int, protect: str | None = None) -> range:
    """Return the layers between the protected ones. protect: how many first and last ones; a sixth each by default.

    Raises SpectraError, code 2, for what is no such pair or leaves no layer.

    >>> core_layers(12), core_layers(12, "1:3")
    (range(2, 10), range(1, 9))
    """
    default = max(1, layers // 6) if layers > 2 else 0
    first, colon, last = (protect or f"{default}:{default}").partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and len(first + last) < 12):
        raise SpectraError(f"--protect does not understand '{protect}'", hint="write first:last, as in 2:2", code=2)
    core = range(int(first), layers - int(last))
    if not core:
        raise SpectraError(f"--protect {protect} leaves none of {layers} layers", hint="protect fewer", code=2)
    return core


def correlations(
    measures: Mapping[str, NDArray[np.float64]], rises: NDArray[np.float64], core: Sequence[int]
) -> tuple[Correlation, ...]:
    """Return the correlation of every metric with the rise in loss, over core layers and over all.

    measures: by metric, (layers,); rises: (layers,).
    """
    judged: list[Correlation] = []
    for name, chosen in (("core", list(core)), ("all", list(range(len(rises))))):
        pairs = [rank_correlation(values[chosen], rises[chosen]) for values in measures.values()]
        corrected = correct([np.nan if p is None else p for _, p in pairs])
        judged += [
            Correlation(metric, name, rho, p, None if p is None else float(fair), len(chosen))
            for metric, (rho, p), fair in zip(measures, pairs, corrected, strict=True)
        ]
    return tuple(judged)


def rank_correlation(values: NDArray[np.float64], rises: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return Spearman's ρ of two numbers of each layer, in the order of depth, and its p-value, two-sided.

    The p-value is the larger of two: the share of permutations with a ρ as far from zero; and that of a slope of ranks
    on ranks whose errors neighbouring layers share. Permutations take layers for independent: of pairs of random walks
    over 8, 12, 16 and 24 layers they called 20, 30, 36 and 47 of 100 related, both together 5, 3, 5 and 7. Both None
    where a value is not finite or all are equal; p None for fewer than LEAST_LAYERS.

    >>> rho, p = rank_correlation(np.arange(9.0), np.arange(9.0) ** 3)
    >>> round(rho, 9), p < 0.001
    (1.0, True)
    """
    if not (np.isfinite(values).all() and np.isfinite(rises).all()) or np.ptp(values) == 0 or np.ptp(rises) == 0:
        return None, None
    ranks = [stats.rankdata(some) for some in (values, rises)]
    first, second = map(_standardised, ranks)
    rho = min(1.0, max(-1.0, float(first @ second)))
    if len(values) < LEAST_LAYERS:
        return rho, None
    random = np.random.default_rng(SEED)
    permuted = random.permuted(np.tile(second, (PERMUTATIONS, 1)), axis=1) @ first
    as_far = int((np.abs(permuted) >= abs(rho) - 1e-12).sum())
    design = np.column_stack([np.ones(len(first)), first])
    alike = estimate(design, np.array([0.0, 1.0]), ranks[1][:, None])
    return rho, max((1 + as_far) / (1 + PERMUTATIONS), float(alike.p[0]))


def _standardised(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = ranks - ranks.mean()
    return np.asarray(centred / np.linalg.norm(centred))
