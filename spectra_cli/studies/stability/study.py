"""The two phases of a training run, from its table: peak, floor, onset, decoupling, tightness, by group of matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.runs import Run, groups, layers
from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.evidence import CONDITION, NORM, Evidence
from spectra_cli.studies.stability.findings import (
    RATE,
    Decoupling,
    Floor,
    GroupStability,
    Onset,
    Peak,
    RateSeries,
    RunStability,
    ShapeContrast,
)
from spectra_cli.studies.stability.learning_rate import rates_between, responses
from spectra_cli.studies.stability.loss import beside_loss
from spectra_cli.studies.stability.noise import chance_of_constant, rises_and_falls
from spectra_cli.studies.stability.onset import FEWEST, find_onset
from spectra_cli.studies.stability.rivals import COURSES, with_power_of
from spectra_cli.studies.stability.shapes import attention_over_mlp
from spectra_cli.studies.stability.theory import judge
from spectra_cli.studies.summary import close_from

Array = NDArray[np.float64]

METRICS = (
    RATE, "sd_variation_prev", "stability_bound_prev", "cos_spectrum_final", "cos_weights_final", NORM, CONDITION,
)  # fmt: skip
THRESHOLDS = (0.9, 0.99, 0.999)
FEW = 20  # checkpoints below which the docs' calibration finds intervals of more than a checkpoint


def stability(run: Run, losses: Losses | None = None) -> RunStability:
    """Find the phases of one run.

    run: of `read_run(table, METRICS)`. losses: what it logged, for the loss's own onset and the learning rate's effect.
    Deterministic. Raises SpectraError where the table has no steps, steps that restart, or no variation to follow.
    """
    steps = _steps(run)
    known = losses is not None and losses.has_rate
    judged = tuple(_group(name, lines, steps, losses if known else None) for name, lines in _all_groups(run))
    whole = judged[0]
    starts = _starts(whole.series, steps)
    return RunStability(
        label=run.label,
        steps=tuple(steps.tolist()),
        groups=judged,
        loss=beside_loss(losses, whole, starts) if losses else None,
        lr_response=responses(losses, whole.series, starts, whole.peak.step) if losses and known else (),
        notes=tuple(_notes(run, steps, losses)),
        constant=_constant(whole.series),
        attention_over_mlp=_contrast(run),
        theory=judge(Evidence(run.numbers, steps, judged, starts, losses)),
    )


def _constant(series: RateSeries) -> float | None:
    later = series.steps > 0
    if later.sum() < FEWEST:
        return None
    logs = np.log(series.rates[later])
    if rises_and_falls(logs):
        return 0.0
    return chance_of_constant(np.log(series.steps[later].astype(float)), logs)


def _contrast(run: Run) -> ShapeContrast | None:
    kinds = {name: lines for name, lines in groups(run.numbers) if (lines[RATE] > 0).any()}
    both = "attention" in kinds and "mlp" in kinds
    return attention_over_mlp(kinds["attention"], kinds["mlp"]) if both else None


def rate_series(lines: pd.DataFrame, steps: pd.Series) -> RateSeries:
    """Return the mean `sd_variation_rate` of some matrices at each checkpoint where it is a number above 0.

    lines: of Run.numbers. steps: of the run's checkpoints, by order.
    """
    means = lines.groupby("order")[RATE].mean()
    means = means[np.isfinite(means) & (means > 0)]
    return RateSeries(steps.loc[means.index].to_numpy(np.int64), means.to_numpy())


def _last_quarter(rates: Array) -> Array:
    return rates[-max(1, -(-len(rates) // 4)) :]


def _all_groups(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    for name, lines in (*groups(run.numbers), *layers(run.numbers)):
        if (lines[RATE] > 0).any():
            yield name, lines


def _steps(run: Run) -> pd.Series:
    steps = run.checkpoints["step"]
    hint = "scan again with names that say a step, or with --map"
    if steps.isna().any():
        raise SpectraError(f"{run.label} has checkpoints without a step", hint=hint)
    if (steps.diff().dropna() <= 0).any():
        raise SpectraError(
            f"the steps of {run.label} start anew on the way",
            hint="scan one stage at a time, with --revisions or --steps",
        )
    if not (run.numbers[RATE] > 0).any():
        raise SpectraError(
            f"{run.label} holds no sd_variation_rate above 0, so there is no course to follow",
            hint="scan two or more checkpoints that differ, with sd_variation_rate among the --metrics",
        )
    return steps.astype(np.int64)


def _starts(series: RateSeries, steps: pd.Series) -> NDArray[np.int64]:
    """Return the step of the checkpoint before each of the series'; its own where the table does not know that."""
    every: NDArray[np.int64] = steps.to_numpy(np.int64)
    return every[np.maximum(np.searchsorted(every, series.steps) - 1, 0)]


def _group(name: str, lines: pd.DataFrame, steps: pd.Series, losses: Losses | None) -> GroupStability:
    """Judge one group. The fits begin right after the peak.

    The highest point is the one that noise raised most: with it in the fit, 16 of 400 straight series of 40
    checkpoints seemed to flatten just after it, without it 5.
    """
    plain = rate_series(lines, steps)
    top = int(np.argmax(plain.rates))
    peak = Peak(int(plain.steps[top]), float(plain.rates[top]))
    last = _last_quarter(plain.rates)
    low, high = np.quantile(last, [0.25, 0.75])
    floor = Floor(float(np.median(last)), (float(low), float(high)), len(last))
    gaps = plain.steps - _starts(plain, steps)
    per_lr, onset_per_lr = _per_rate(plain, top, steps, losses)
    ratio = (lines["sd_variation_prev"] / lines["stability_bound_prev"]).replace([np.inf], np.nan).dropna()
    return GroupStability(
        group=name,
        matrices=int(lines["matrix"].nunique()),
        series=RateSeries(plain.steps, plain.rates, per_lr),
        peak=peak,
        floor=floor,
        settled=_settled(plain, top, peak, floor),
        onset=find_onset(plain.steps[top + 1 :], plain.rates[top + 1 :], gaps=gaps[top + 1 :]),
        onset_per_lr=onset_per_lr,
        decoupling=_decoupling(lines, steps),
        tightness=float(ratio.median()) if len(ratio) else None,
        pairs=len(ratio),
        over_bound=int((ratio > 1 + 1e-9).sum()),
    )


def _per_rate(
    plain: RateSeries, top: int, steps: pd.Series, losses: Losses | None
) -> tuple[Array | None, Onset | None]:
    """Return a series per unit of the learning rate of the steps it covers, and its onset after the same peak."""
    if losses is None:
        return None, None
    rates = rates_between(losses, _starts(plain, steps).astype(float), plain.steps.astype(float))
    with np.errstate(divide="ignore"):
        per_lr = np.where(rates > 0, plain.rates / rates, np.nan)
    known = np.isfinite(per_lr) & (np.arange(len(per_lr)) > top)
    gaps = (plain.steps - _starts(plain, steps))[known]
    noun = "checkpoints with a learning rate after the peak"
    rivals = (*COURSES, with_power_of(rates[known]))
    return per_lr, find_onset(plain.steps[known], per_lr[known], gaps=gaps, rivals=rivals, noun=noun)


def _settled(plain: RateSeries, top: int, peak: Peak, floor: Floor) -> int | None:
    """Return the first step from which the rate stays below the geometric mean of peak and floor."""
    above = np.flatnonzero(plain.rates >= np.sqrt(peak.value * floor.value))
    after = int(above[-1]) + 1 if len(above) else top
    return int(plain.steps[after]) if after < len(plain.steps) else None


def _decoupling(lines: pd.DataFrame, steps: pd.Series) -> tuple[Decoupling, ...]:
    """Return when the means of both cosines reach each threshold for good, up to the checkpoint compared with."""
    means = lines.groupby("order")[["cos_weights_final", "cos_spectrum_final"]].mean()
    if means.isna().all(axis=None):
        return ()
    same = np.flatnonzero(means["cos_weights_final"].to_numpy() > 1 - 1e-12)
    before = means.iloc[: int(same[-1])] if len(same) else means
    where = steps.loc[before.index].tolist()
    weights = list(zip(where, before["cos_weights_final"].tolist(), strict=True))
    spectra = list(zip(where, before["cos_spectrum_final"].tolist(), strict=True))
    reached = []
    for threshold in THRESHOLDS:
        weights_step, spectrum_step = close_from(weights, threshold), close_from(spectra, threshold)
        ratio = weights_step / spectrum_step if weights_step is not None and spectrum_step else None
        reached.append(Decoupling(threshold, weights_step, spectrum_step, ratio))
    return tuple(reached)


def _notes(run: Run, steps: pd.Series, losses: Losses | None) -> Iterator[str]:
    """Yield what limits the findings."""
    if len(steps) < FEW:
        yield f"{len(steps)} checkpoints: too few to place a bend within less than a checkpoint"
    gaps = np.diff(np.log(steps[steps > 0].to_numpy(float)))
    if len(gaps) > 2 and gaps.max() > np.log(4) and gaps.max() > 3 * np.median(gaps):
        at = int(np.argmax(gaps))
        positive = steps[steps > 0].tolist()
        yield f"nothing was saved between steps {positive[at]} and {positive[at + 1]}: a bend there could not be seen"
    yield from _equal(run)
    undefined = int(run.numbers[RATE].isna().groupby(run.numbers["order"]).sum().iloc[1:].sum())
    if undefined:
        yield f"{undefined} values of {RATE} are undefined and left out"
    if losses is not None and not (set(losses.frame["step"]) & set(steps)):
        first, last = losses.frame["step"].iloc[0], losses.frame["step"].iloc[-1]
        if last < steps.iloc[0] or first > steps.iloc[-1]:
            yield f"the losses cover steps {first} to {last}, none of the checkpoints"


EQUAL = {
    "equal_to_first": "the entries that they had at the first",
    "equal_to_previous": "the very entries of the checkpoint before, where others moved",
    "equal_to_reference": "the very entries of {reference}",
}


def _equal(run: Run) -> Iterator[str]:
    """Yield which matrices are copies: layers that are frozen, or a file of another checkpoint; both bend a mean."""
    matrices = run.numbers["matrix"].nunique()
    revisions = run.checkpoints["revision"].tolist()
    for key, words in EQUAL.items():
        counts = run.metadata.get(key, {})
        where = [revision for revision in revisions if 0 < counts.get(revision, 0) < matrices]
        if where:
            many = sorted({counts[revision] for revision in where})
            some = f"{many[0]}" if len(many) == 1 else f"{many[0]} to {many[-1]}"
            at = f"{where[0]}" if len(where) == 1 else f"{len(where)} checkpoints from {where[0]} to {where[-1]}"
            entries = words.format(reference=run.metadata.get("reference"))
            cause = "frozen layers, or a file of another checkpoint, and every mean over matrices is bent by them"
            yield f"at {at}, {some} of {matrices} matrices have {entries}: {cause}"
