"""Sets the variation of a run beside its loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.findings import GroupStability, LossStability, Onset
from spectra_cli.studies.stability.onset import find_onset
from spectra_cli.studies.stability.rivals import DRIFT, POWER_LAW, SIGMOID
from spectra_cli.studies.stability.together import beyond_trends

Array = NDArray[np.float64]

BINS = 60  # points that a long log is thinned to, evenly over ln step
NEAREST_END = 5  # of the falls at the end, whose median is the scale below which they are noise


def beside_loss(losses: Losses, whole: GroupStability, starts: NDArray[np.int64]) -> LossStability:
    """Compare the whole model with the loss. starts: (n,) the step before each of its series' checkpoints."""
    onset = loss_onset(losses)
    last = float(_loss_at(losses, whole.series.steps[-1:])[0])
    rho, p = _correlation(losses, whole, starts)
    settling = _settling(whole)
    together = settling[0] / onset.step if settling and onset.step and onset.phase != "rise" else None
    return LossStability(
        kind=losses.kind,
        last=last if np.isfinite(last) else None,
        onset=onset,
        fastest=_fastest(onset),
        synchrony=together,
        synchrony_of=settling[1] if settling and together else None,
        spearman=rho,
        spearman_p=p,
    )


def loss_onset(losses: Losses) -> Onset:
    """Return where the loss bends; a power law with an offset, which has no bend, flattens and is told from one."""
    steps, values = _thinned(losses)
    return find_onset(steps, values, logarithmic=False, rivals=(DRIFT, POWER_LAW, SIGMOID), noun="logged losses")


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


def falls(losses: Losses, whole: GroupStability, starts: NDArray[np.int64]) -> Array:
    """Return the loss's fall per step up to each checkpoint of the whole model's series, NaN where it is not known."""
    steps = whole.series.steps
    lengths = np.where(steps > starts, steps - starts, np.nan)
    return np.asarray((_loss_at(losses, starts) - _loss_at(losses, steps)) / lengths, dtype=np.float64)


def _correlation(
    losses: Losses, whole: GroupStability, starts: NDArray[np.int64]
) -> tuple[float, float] | tuple[None, None]:
    """Return Spearman's ρ of the variation with the loss's fall per step, beyond their trends, from the peak on."""
    steps, fall = whole.series.steps, falls(losses, whole, starts)
    known = np.isfinite(fall) & (steps >= whole.peak.step)
    if not np.any(fall[known]):
        return None, None
    scale = float(np.median(np.abs(fall[known][fall[known] != 0][-NEAREST_END:])))
    logs = np.arcsinh(fall[known] / scale)  # a logarithm that takes what rises, too
    correlation = beyond_trends(np.log(steps[known].astype(float)), np.log(whole.series.rates[known]), logs)
    return correlation or (None, None)


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
