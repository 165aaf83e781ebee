"""What each lowering of the learning rate did to the variation of a run."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.coefficient import LEAST_OWN, coefficient, own_share
from spectra_cli.studies.stability.findings import RateResponse, RateSeries
from spectra_cli.studies.stability.schedules import Lowering, lowerings, mean_rate

Array = NDArray[np.float64]

NEAREST = 3
SIDE = 8  # checkpoints on either side of a change that an exponent rests on
LEAST_RANGE = 1.5  # below such a range of learning rates an elasticity rests on nothing
FEWEST = 6


def rates_between(losses: Losses, starts: Array, ends: Array) -> Array:
    """Return the mean learning rate over each interval of steps, NaN where it was not logged."""
    logged = losses.frame.dropna(subset=["lr"])
    if len(logged) < 2:
        return np.full(len(ends), np.nan)
    return mean_rate(logged["step"].to_numpy(float), logged["lr"].to_numpy(), starts, ends)


def responses(
    losses: Losses, series: RateSeries, starts: NDArray[np.int64], peak_step: int
) -> tuple[RateResponse, ...]:
    """Return what each lowering of the learning rate did to the whole model's variation, from its peak on."""
    logged = losses.frame.dropna(subset=["lr"])
    changes = lowerings(logged["step"].to_numpy(float), logged["lr"].to_numpy())
    edges = [peak_step, *(change.end for change in changes)]
    untils = [*(change.start for change in changes[1:]), int(series.steps[-1])]
    return tuple(
        _response(losses, series, starts, change, (since, until))
        for change, since, until in zip(changes, edges, untils, strict=False)
        if change.end > peak_step
    )


def _response(
    losses: Losses, series: RateSeries, starts: NDArray[np.int64], change: Lowering, around: tuple[int, int]
) -> RateResponse:
    before = series.rates[(series.steps >= around[0]) & (series.steps <= change.start)][-NEAREST:]
    after = series.rates[(starts >= change.end) & (series.steps <= around[1])][:NEAREST]
    if change.kind == "decay":
        inside = (starts >= change.start) & (series.steps <= change.end) & (series.steps >= around[0])
        before = before if len(before) else series.rates[inside][:1]
        after = after if len(after) else series.rates[inside][-1:]
    elasticity = _elasticity(losses, series, starts, _beside(series, starts, change, around))
    return RateResponse(
        kind=change.kind,
        step=change.start if change.kind == "decay" else change.end,
        end_step=change.end,
        lr_before=change.before,
        lr_after=change.after,
        floor_before=float(np.median(before)) if len(before) else None,
        floor_after=float(np.median(after)) if len(after) else None,
        elasticity=elasticity[0] if elasticity else None,
        interval=elasticity[1] if elasticity else None,
    )


def _beside(
    series: RateSeries, starts: NDArray[np.int64], change: Lowering, around: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return which checkpoints an exponent rests on: those of a decay, and SIDE at most on either side of a change.

    Those at a held rate tell what time does. They are few, for a bend of the rate among them would be taken for it.
    What a checkpoint covers of both sides of a drop is neither's.
    """
    known = (series.steps > around[0]) & (series.steps <= around[1])
    before, after = known & (series.steps <= change.start), known & (starts >= change.end)
    inside = known & ~before & ~after & (change.kind == "decay")
    before[np.flatnonzero(before)[:-SIDE]] = False
    after[np.flatnonzero(after)[SIDE:]] = False
    return np.asarray(before | inside | after)


def _elasticity(
    losses: Losses, series: RateSeries, starts: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> tuple[float, tuple[float, float]] | None:
    """Return d ln rate / d ln lr beside d ln rate / d ln step, with its 95% interval; None where time is not apart.

    Without time, a rate that ignores the learning rate got 0.67 under a cosine.
    """
    rates = rates_between(losses, starts[chosen].astype(float), series.steps[chosen].astype(float))
    known = np.isfinite(rates) & (rates > 0)
    x, y = np.log(rates[known]), np.log(series.rates[chosen][known])
    if len(x) < FEWEST or np.ptp(x) < math.log(LEAST_RANGE):
        return None
    columns = np.column_stack([np.ones(len(x)), np.log(series.steps[chosen][known].astype(float)), x])
    return coefficient(columns, y, np.flatnonzero(chosen)[known]) if own_share(columns) >= LEAST_OWN else None
