"""What each lowering of the learning rate did to the variation of a run."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.findings import RateResponse, RateSeries
from spectra_cli.studies.stability.schedules import Lowering, lowerings, mean_rate

Array = NDArray[np.float64]

NEAREST = 3
FEWEST_IN_DECAY = 5
LEAST_RANGE = 1.5  # below such a range of learning rates an elasticity rests on nothing


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
    elasticity, interval = None, None
    if change.kind == "decay":
        inside = (starts >= change.start) & (series.steps <= change.end) & (series.steps >= around[0])
        before = before if len(before) else series.rates[inside][:1]
        after = after if len(after) else series.rates[inside][-1:]
        elasticity, interval = _elasticity(losses, series, starts, inside)
    elif len(before) and len(after):
        elasticity = math.log(float(np.median(after) / np.median(before))) / math.log(change.after / change.before)
    return RateResponse(
        kind=change.kind,
        step=change.start if change.kind == "decay" else change.end,
        end_step=change.end,
        lr_before=change.before,
        lr_after=change.after,
        floor_before=float(np.median(before)) if len(before) else None,
        floor_after=float(np.median(after)) if len(after) else None,
        elasticity=elasticity,
        interval=interval,
    )


def _elasticity(
    losses: Losses, series: RateSeries, starts: NDArray[np.int64], inside: NDArray[np.bool_]
) -> tuple[float | None, tuple[float, float] | None]:
    """Return the least-squares slope of ln rate on ln lr, with its 95% interval from Student's t."""
    rates = rates_between(losses, starts[inside].astype(float), series.steps[inside].astype(float))
    known = np.isfinite(rates) & (rates > 0)
    if known.sum() < FEWEST_IN_DECAY:
        return None, None
    x, y = np.log(rates[known]), np.log(series.rates[inside][known])
    if np.ptp(x) < math.log(LEAST_RANGE):
        return None, None
    line = stats.linregress(x, y)
    reach = float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    return float(line.slope), (float(line.slope) - reach, float(line.slope) + reach)
