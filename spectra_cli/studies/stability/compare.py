"""Compares several runs: peaks, floors and onsets as ratios to the first run, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.inputs.runs import Run, groups
from spectra_cli.studies.pools import contrasts
from spectra_cli.studies.stability.findings import RATE, Interval, Onset, Ratio, RunComparison, RunStability
from spectra_cli.studies.stability.onset import LEVEL
from spectra_cli.studies.stability.seeds import pooled
from spectra_cli.studies.stability.study import METRICS, stability

Array = NDArray[np.float64]

DRAWS = 2000
ONSETS = ("onset", "onset_per_lr")
QUANTITIES = ("peak", "floor", *ONSETS, "loss")


def compare_tables(
    tables: Sequence[str | Path],
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    *,
    seeds: bool = False,
) -> RunComparison:
    """Study one table or several; seeds: pool runs of one label. Arguments and errors: of `read_inputs`."""
    inputs = read_inputs(tables, METRICS, losses=losses, columns=columns, labels=labels, seeds=seeds)
    studied = tuple(stability(given.run, given.losses) for given in inputs)
    if seeds:
        pools = pooled([given.pool or given.run.label for given in inputs], studied)
        return RunComparison(studied, (), pools, contrasts(pools, QUANTITIES))
    return RunComparison(studied, tuple(ratios([given.run for given in inputs], studied)))


def ratios(runs: Sequence[Run], studied: Sequence[RunStability]) -> Iterator[Ratio]:
    """Yield each run's peak, floor, onset and last loss over those of the first, for every group that both have.

    The intervals of peak and floor come from drawing the group's matrices anew, and the floor's checkpoints too: the
    same in both runs where their names and steps agree, so that a decline which they share is none of their difference.
    A group of one matrix has none for its peak. Those of the onsets come from the draws behind each onset's own
    interval. Deterministic.
    """
    first, *others = [dict(groups(run.numbers)) for run in runs]
    for run, other in zip(studied[1:], others, strict=True):
        for group in run.groups:
            base = studied[0].group(group.group)
            if base is None or group.group not in other or group.group not in first:
                continue
            peaks, floors = _level_intervals(first[group.group], other[group.group])
            names = run.label, studied[0].label, group.group
            yield Ratio(*names, "peak", group.peak.value / base.peak.value, peaks)
            yield Ratio(*names, "floor", group.floor.value / base.floor.value, floors)
            for quantity in ONSETS:
                yield from _onset_ratio(names, quantity, getattr(group, quantity), getattr(base, quantity))
        yield from _loss_ratio(run, studied[0])


def _loss_ratio(run: RunStability, base: RunStability) -> Iterator[Ratio]:
    """Yield the last loss over the first run's, where both are of one kind; a run's own has no interval."""
    if run.loss and base.loss and run.loss.kind == base.loss.kind and run.loss.last and base.loss.last:
        yield Ratio(run.label, base.label, "all", "loss", run.loss.last / base.loss.last, None)


def _onset_ratio(
    names: tuple[str, str, str], quantity: str, onset: Onset | None, base: Onset | None
) -> Iterator[Ratio]:
    if onset is None or base is None or not onset.step or not base.step or onset.draws is None or base.draws is None:
        return
    mixed = np.random.default_rng(0).permutation(base.draws)  # both were drawn from one seed: pair them anew
    yield Ratio(*names, quantity, onset.step / base.step, _interval(onset.draws / mixed))


def _level_intervals(base: pd.DataFrame, other: pd.DataFrame) -> tuple[Interval | None, Interval | None]:
    """Return the intervals of the ratios of peaks and of floors, other over base."""
    below, above = _by_matrix(base), _by_matrix(other)
    random = np.random.default_rng(0)
    weights = _redrawn(len(below), random)
    same = list(below.index) == list(above.index)
    drawn = [(below, weights), (above, weights if same else _redrawn(len(above), random))]
    rates = [draw @ table.to_numpy() for table, draw in drawn]
    peaks = None if min(len(below), len(above)) < 2 else _interval(rates[1].max(axis=1) / rates[0].max(axis=1))
    alike = list(below.columns) == list(above.columns)
    low = _redrawn_floors(rates[0], np.random.default_rng(1))
    high = _redrawn_floors(rates[1], np.random.default_rng(1 if alike else 2))
    return peaks, _interval(high / low)


def _by_matrix(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the rates, matrices × checkpoints, of the checkpoints where some rate is above 0."""
    table = lines.assign(matrix=lines["matrix"].astype(str)).pivot_table(RATE, "matrix", "step").fillna(0.0)
    return table.loc[:, table.mean() > 0]


def _redrawn(matrices: int, random: np.random.Generator) -> Array:
    return random.multinomial(matrices, np.full(matrices, 1 / matrices), size=DRAWS) / matrices


def _redrawn_floors(rates: Array, random: np.random.Generator) -> Array:
    last = rates[:, -max(1, -(-rates.shape[1] // 4)) :]
    chosen = random.integers(last.shape[1], size=last.shape)
    return np.asarray(np.median(np.take_along_axis(last, chosen, axis=1), axis=1), dtype=np.float64)


def _interval(draws: Array) -> Interval:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
