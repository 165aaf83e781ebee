"""The Lifecycle study: waves, gradients over depth, Q/K–V asymmetry, two timescales. Knows runs, shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.lifecycle.fits import (
    FEWEST_LAYERS,
    Arrival,
    Decay,
    SpreadRatio,
    Trend,
    arrival,
    compression,
    correct,
    decay,
    is_inverted_u,
    mean_interval,
    ratio_of,
    spread_ratio,
    trend,
    turns,
)

Array = NDArray[np.float64]

RANK, ENTROPY = "stable_rank", "entropy"
ALPHAS = ("alpha", "alpha_ols", "alpha_hill", "alpha_tail")
FEWEST_STEPS = 4
QK, VO, MLP = ("q", "k"), ("v", "o"), ("gate", "up", "down")


@dataclass(frozen=True, eq=False)
class Gradient:
    """A quantity's trend over depth at every checkpoint, and what it is at the last.

    values: (L, T), mean over a layer's matrices. trends: one for each step, None where there were too few layers.
    slope_p, curvature_p: corrected. turns: steps where the slope changes its sign. inverted_u: at the last checkpoint;
    None where the layers are too few to tell.
    """

    steps: NDArray[np.int64]
    values: Array
    trends: tuple[Trend | None, ...]
    slope_p: Array
    curvature_p: Array
    turns: tuple[float, ...]
    inverted_u: bool | None

    @property
    def last(self) -> Trend | None:
        """The trend at the last checkpoint."""
        return self.trends[-1]


@dataclass(frozen=True, eq=False)
class Asymmetry:
    """How much farther q and k spread over depth than v and o, in one quantity. p: corrected.

    profiles: (L,) of each of these roles at the last checkpoint.
    """

    quantity: str
    found: SpreadRatio
    p: float
    profiles: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Timescales:
    """How fast the stable rank and α approach their ends. ratio: τ_α/τ_R with a 98% interval.

    rank, alpha: fitted to the means over layers, rank_course and alpha_course, (T,). by_layer: α of each layer alone.
    """

    rank_course: Array
    alpha_course: Array
    rank: Decay | None
    alpha: Decay | None
    by_layer: tuple[Decay | None, ...]
    ratio: float | None
    ratio_interval: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Lifecycle:
    """All of one run, of layers 0 … L−1; those that the table has not are NaN. layers: how many it has.

    by_role: compression in %, (T,) of each role, mean over its matrices. gradient: of compression. interval: of the
    mean compression at the end, over layers. wave_p: corrected for the tests made beside it; tests: how many were made
    in all.
    """

    label: str
    alpha: str
    layers: int
    steps: NDArray[np.int64]
    by_role: dict[str, Array]
    interval: tuple[float, float]
    gradient: Gradient
    wave: Arrival
    wave_p: float
    alpha_gradient: Gradient | None
    entropy_gradient: Gradient | None
    asymmetry: tuple[Asymmetry, ...]
    timescales: Timescales
    tests: int

    @property
    def compressed(self) -> Array:
        """Compression in %, (L, T), mean over a layer's matrices."""
        return self.gradient.values


def lifecycle_tables(tables: Sequence[str | Path], labels: Sequence[str] | None, alpha: str) -> list[Lifecycle]:
    """Study one table or several, as `lifecycle` does."""
    return [lifecycle(given.run, alpha) for given in read_inputs(tables, (RANK, ENTROPY, alpha), labels=labels)]


def lifecycle(run: Run, alpha: str = "alpha") -> Lifecycle:
    """Study one run, read with stable_rank, entropy and the exponent `alpha`, one of ALPHAS.

    Raises SpectraError where it is none of them, or there is too little of the run for a course over depth.
    """
    if alpha not in ALPHAS:
        raise SpectraError(
            f"'{alpha}' is no exponent that this study reads", hint=f"one of {', '.join(ALPHAS)}", code=2
        )
    numbers = run.numbers[run.numbers["layer"].notna() & run.numbers["role"].isin((*QK, *VO, *MLP))]
    steps = _steps(run, numbers)
    ranks = _grids(numbers, RANK)
    if not ranks:
        raise SpectraError(f"{run.label} holds no {RANK}", hint=f"scan again with {RANK} among the --metrics")
    lost = {role: compression(grid) for role, grid in ranks.items()}
    compressed = _mean(list(lost.values()))
    wave = arrival(steps.astype(float), compressed)
    gradient = _gradient(steps, compressed)
    exponents, entropies = (_grids(numbers, name) for name in (alpha, ENTROPY))
    exponent = _mean(list(exponents.values())) if exponents else np.full_like(compressed, np.nan)
    spreads = list(_asymmetry({"compression": lost, alpha: exponents}))
    single = correct([wave.p, *(one.p for one in spreads)])
    return Lifecycle(
        label=run.label,
        alpha=alpha,
        layers=int(np.isfinite(compressed).any(axis=1).sum()),
        steps=steps,
        by_role={role: _over_layers(grid) for role, grid in lost.items()},
        interval=mean_interval(compressed[:, -1]),
        gradient=gradient,
        wave=wave,
        wave_p=float(single[0]),
        alpha_gradient=_gradient(steps, exponent) if exponents else None,
        entropy_gradient=_gradient(steps, _mean(list(entropies.values()))) if entropies else None,
        asymmetry=tuple(replace(one, p=float(p)) for one, p in zip(spreads, single[1:], strict=True)),
        timescales=_timescales(steps, _mean(list(ranks.values())), exponent),
        tests=int(np.isfinite(single).sum()) + len(steps) * (2 + 2 * bool(exponents) + 2 * bool(entropies)),
    )


def _steps(run: Run, numbers: pd.DataFrame) -> NDArray[np.int64]:
    found = run.checkpoints["step"]
    if found.isna().any() or (found.diff().dropna() <= 0).any():
        raise SpectraError(
            f"{run.label} has checkpoints without a step, or steps that start anew",
            hint="scan one stage, or give the steps with --map",
        )
    layers = numbers["layer"].nunique()
    if len(found) < FEWEST_STEPS or layers < FEWEST_LAYERS:
        raise SpectraError(
            f"{run.label} has {len(found)} checkpoints of {layers} layers: too few for a course over depth",
            hint=f"it takes {FEWEST_STEPS} checkpoints and {FEWEST_LAYERS} layers",
        )
    return np.asarray(found, dtype=np.int64)


def _grids(numbers: pd.DataFrame, metric: str) -> dict[str, Array]:
    """Give a metric by role as (L, T), NaN where it has no value; of several in a layer the mean."""
    if metric not in numbers or numbers[metric].isna().all():
        return {}
    lines = numbers.assign(role=numbers["role"].astype(str), layer=numbers["layer"].astype(int))
    means = lines.pivot_table(metric, ["role", "layer"], "order", observed=True)
    layers = range(int(lines["layer"].max()) + 1)
    orders = range(int(numbers["order"].max()) + 1)
    return {
        role: part.droplevel(0).reindex(index=layers, columns=orders).to_numpy(np.float64)
        for role, part in means.groupby(level=0, sort=False)
    }


def _mean(grids: Sequence[Array]) -> Array:
    stacked = np.stack(grids)
    counts = np.isfinite(stacked).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nansum(stacked, axis=0) / np.where(counts, counts, np.nan))


def _over_layers(values: Array) -> Array:
    """Mean over layers at each checkpoint, (T,); NaN where no layer has a value."""
    return _mean(list(values))


def _gradient(steps: NDArray[np.int64], values: Array) -> Gradient:
    trends = tuple(trend(values[:, place]) for place in range(values.shape[1]))
    slope_p = correct([one.slope_p if one else np.nan for one in trends])
    curvature_p = correct([np.nan if one is None or one.curvature_p is None else one.curvature_p for one in trends])
    slopes = np.array([one.slope if one else np.nan for one in trends])
    last = trends[-1]
    told = None if last is None or last.curvature_p is None else is_inverted_u(last, float(curvature_p[-1]))
    return Gradient(
        steps, values, trends, slope_p, curvature_p, tuple(turns(steps.astype(float), slopes, slope_p)), told
    )


def _asymmetry(quantities: dict[str, dict[str, Array]]) -> Iterator[Asymmetry]:
    for name, grids in quantities.items():
        if all(role in grids for role in (*QK, *VO)):
            profiles = {role: grids[role][:, -1] for role in (*QK, *VO)}
            found = spread_ratio(*(np.stack([profiles[role] for role in roles]) for roles in (QK, VO)))
            yield Asymmetry(name, found, found.p, profiles)


def _timescales(steps: NDArray[np.int64], ranks: Array, exponents: Array) -> Timescales:
    """ranks, exponents: (L, T), means over a layer's matrices."""
    t = steps.astype(float)
    rank_course, alpha_course = _over_layers(ranks), _over_layers(exponents)
    rank, alpha = decay(t, rank_course), decay(t, alpha_course)
    ratio, interval = ratio_of(alpha, rank) if rank and alpha else (None, None)
    by_layer = tuple(decay(t, line) for line in exponents)
    return Timescales(rank_course, alpha_course, rank, alpha, by_layer, ratio, interval)
