"""Sets the variation of a run beside its loss and its learning rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.findings import GroupStability, LossStability, Onset, RateResponse, RateSeries
from spectra_cli.studies.stability.onset import find_onset
from spectra_cli.studies.stability.schedules import Lowering, lowerings, mean_rate

Array = NDArray[np.float64]

BINS = 60  # points that a long log is thinned to, evenly over ln step
NEAREST = 3
FEWEST_IN_DECAY = 5
LEAST_RANGE = 1.5  # below such a range of learning rates an elasticity rests on nothing


def rates_between(losses: Losses, starts: Array, ends: Array) -> Array:
    """Return the mean learning rate over each interval of steps, NaN where it was not logged."""
    logged = losses.frame.dropna(subset=["lr"])
    if len(logged) < 2:
        return np.full(len(ends), np.nan)
    return mean_rate(logged["step"].to_numpy(float), logged["lr"].to_numpy(), starts, ends)


def beside_loss(losses: Losses, whole: GroupStability, starts: NDArray[np.int64]) -> LossStability:
    """Compare the whole model with the loss. starts: (n,) the step before each of its series' checkpoints."""
    steps, values = _thinned(losses)
    onset = find_onset(steps, values, logarithmic=False, noun="logged losses")
    rho, p = _correlation(losses, whole.series, starts)
    settling = _settling(whole)
    together = settling[0] / onset.step if settling and onset.step and onset.phase != "rise" else None
    return LossStability(
        kind=losses.kind,
        onset=onset,
        fastest=_fastest(onset),
        synchrony=together,
        synchrony_of=settling[1] if settling and together else None,
        spearman=rho,
        spearman_p=p,
    )


def _settling(whole: GroupStability) -> tuple[float, str] | None:
    """Return the onset that a second phase begins at, and what it is of: a breakpoint before a rise is none."""
    for onset, name in ((whole.onset, "rate"), (whole.onset_per_lr, "rate per lr")):
        if onset is not None and onset.step is not None and onset.phase != "rise":
            return onset.step, name
    return None


def _thinned(losses: Losses) -> tuple[Array, Array]:
    """Return the logged losses after step 0, as means over bins of ln step where there are many."""
    logged = losses.frame.dropna(subset=["loss"])
    logged = logged[logged["step"] > 0]
    if len(logged) <= BINS:
        return logged["step"].to_numpy(float), logged["loss"].to_numpy()
    where = np.log(logged["step"].to_numpy(float))
    bins = np.floor((where - where[0]) / (where[-1] - where[0]) * BINS * (1 - 1e-12))
    means = logged.assign(where=where).groupby(bins)[["where", "loss"]].mean()
    return np.exp(means["where"].to_numpy()), means["loss"].to_numpy()


def _fastest(onset: Onset) -> tuple[float, float] | None:
    if not onset.breakpoints:
        return None
    piece = int(np.argmin(onset.slopes))
    return onset.line[piece][0], onset.line[piece + 1][0]


def _correlation(losses: Losses, series: RateSeries, starts: NDArray[np.int64]) -> tuple[float | None, float | None]:
    lengths = np.where(series.steps > starts, series.steps - starts, np.nan)
    fall = (_loss_at(losses, starts) - _loss_at(losses, series.steps)) / lengths
    known = np.isfinite(fall)
    if known.sum() < 4 or len(set(fall[known])) < 2 or len(set(series.rates[known])) < 2:
        return None, None
    test = stats.spearmanr(series.rates[known], fall[known])
    return float(test.statistic), float(test.pvalue)


def _loss_at(losses: Losses, steps: NDArray[np.int64]) -> Array:
    """Return the loss at some steps, NaN outside of the log; of a noisy training loss the mean of the steps around."""
    logged = losses.frame.dropna(subset=["loss"])
    where, values = logged["step"].to_numpy(float), logged["loss"].to_numpy()
    if losses.kind == "training":
        width = np.maximum(where * 0.1, 1.0)
        sums = np.concatenate([[0.0], np.cumsum(values)])
        low, high = np.searchsorted(where, where - width), np.searchsorted(where, where + width, side="right")
        values = (sums[high] - sums[low]) / (high - low)
    return np.asarray(np.interp(steps, where, values, left=np.nan, right=np.nan), dtype=np.float64)


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
