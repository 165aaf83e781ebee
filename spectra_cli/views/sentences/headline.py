"""What a run comes to at a glance: one sentence, and a few numbers with their intervals. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE, Lifecycle
from spectra_cli.studies.stability import GroupStability, Onset, RunStability
from spectra_cli.views.formatting import count, number
from spectra_cli.views.sentences.stability import CLOSE, FEWEST, has_peak, is_stable_phase, step

NO_PHASES = "No phases were looked for"
PHASES = {"floor": "stays on a floor", "slow decline": "declines slowly", "flatter": "is flatter, on a floor or not"}


@dataclass(frozen=True)
class Headline:
    """One number. claim: that of a Finding. value: with its unit. span: its interval, or why it has none."""

    claim: str
    title: str
    value: str
    span: str


def shown_onset(whole: GroupStability) -> tuple[Onset | None, str]:
    """Return the onset of a stable phase, of the rate or else per unit of learning rate, and words for which."""
    if is_stable_phase(whole.onset):
        return whole.onset, ""
    if is_stable_phase(whole.onset_per_lr):
        return whole.onset_per_lr, ", per unit of learning rate"
    return None, ""


def verdict(stability: RunStability | None, lifecycle: Lifecycle | None, why_not: str) -> str:
    """Return what the run comes to, in one sentence or two. why_not: why there are no phases, where there are none."""
    sentences = [f"{NO_PHASES}: {why_not}." if stability is None else _phases(stability)]
    if lifecycle is not None:
        lost = f"The stable rank fell by {_mean_lost(lifecycle):.0f}%"
        wave = lifecycle.wave
        way = "from the first layer to the last" if wave.rho > 0 else "from the last layer to the first"
        sentences.append(f"{lost}, as a wave {way}." if wave.n >= 3 and wave.p < CHANCE else f"{lost}.")
    return printable(" ".join(sentences), 2000)


def _phases(run: RunStability) -> str:
    whole = run.groups[0]
    if len(whole.series.steps) < FEWEST:
        return f"{count(len(whole.series.steps), 'checkpoint')} with a variation are too few for phases."
    onset, of = shown_onset(whole)
    if onset is None or onset.step is None:
        return _without_a_stable_phase(run, whole)
    span = f" (90%: {_span(onset)})" if onset.interval else ""
    then = f"from step {_thousands(onset.step)}{span} on it {PHASES[onset.phase or 'floor']}{of}"
    return f"Two phases are seen: the spectra's variation {_largest(run, whole)}, and {then}."


def _without_a_stable_phase(run: RunStability, whole: GroupStability) -> str:
    if run.is_constant:
        return "The spectra move at no rate that differs from a constant one: no phases are seen."
    if whole.peak.step == whole.series.steps[-1]:
        return f"The spectra's variation still rises at the last step, {whole.peak.step:,}: no second phase has begun."
    seen = "One phase is seen" if has_peak(run) else "No peak is seen"
    fallen = f"falls by a factor of {number(whole.peak.value / whole.floor.value, 2)}"
    return f"{seen}: the spectra's variation {_largest(run, whole)} and {fallen}; no stable phase is supported."


def _largest(run: RunStability, whole: GroupStability) -> str:
    if has_peak(run):
        return f"peaks at step {whole.peak.step:,}"
    if run.is_constant:
        return f"is largest at step {whole.peak.step:,}, though no larger than a constant rate with such noise may be"
    return f"is largest at the first step seen, {whole.peak.step:,}"


def headlines(stability: RunStability | None, lifecycle: Lifecycle | None) -> list[Headline]:
    """Return three or four numbers with their intervals, those that the run has."""
    numbers = []
    if stability is not None and len(stability.groups[0].series.steps) >= FEWEST:
        whole = stability.groups[0]
        peak = [_peak(whole)] if has_peak(stability) else []
        numbers += [*peak, _onset(whole), *_decoupling(whole)]
    if lifecycle is not None:
        low, high = lifecycle.span
        lost = f"−{_mean_lost(lifecycle):.0f}%"
        numbers.append(Headline("compression", "Stable rank", lost, f"−{low:.0f}% … −{high:.0f}% over the layers"))
    elif stability is not None and len(stability.groups[0].series.steps) >= FEWEST:
        numbers.append(_floor(stability.groups[0]))
    return numbers


def _peak(whole: GroupStability) -> Headline:
    steps = whole.series.steps.tolist()
    at = steps.index(whole.peak.step)
    low, high = steps[max(0, at - 1)], steps[min(len(steps) - 1, at + 1)]
    span = f"{number(whole.peak.value, 2)} per step; checkpoints beside it: {low:,} and {high:,}"
    return Headline("peak", "Variation peaks", f"step {whole.peak.step:,}", span)


def _onset(whole: GroupStability) -> Headline:
    onset, of = shown_onset(whole)
    if onset is None or onset.step is None:
        return Headline(
            "onset", "Stable phase", "not seen", whole.onset.reason or "the variation bends, and rises again"
        )
    span = f"90%: {_span(onset)}{of}" if onset.interval else of.removeprefix(", ")
    return Headline("onset", "Stable phase from", f"step {_thousands(onset.step)}", span)


def _decoupling(whole: GroupStability) -> list[Headline]:
    pairs = [pair for pair in whole.decoupling if pair.threshold == CLOSE and pair.spectrum_step is not None]
    return [
        Headline(
            "decoupling", f"Spectra reach {CLOSE}", f"step {pair.spectrum_step:,}",
            "weights only at the reference" if pair.weights_step is None else f"weights at step {pair.weights_step:,}",
        )
        for pair in pairs
    ]  # fmt: skip


def _floor(whole: GroupStability) -> Headline:
    low, high = (number(end, 2) for end in whole.floor.iqr)
    span = f"median of the last {count(whole.floor.checkpoints, 'checkpoint')}; middle half {low} … {high}"
    return Headline("floor", "Variation at the end", f"{number(whole.floor.value, 2)} per step", span)


def _mean_lost(lifecycle: Lifecycle) -> float:
    return float(np.nanmean(lifecycle.compressed[:, -1]))


def _span(onset: Onset) -> str:
    low, high = onset.interval or (np.nan, np.nan)
    return f"{_thousands(low)} … {_thousands(high)}"


def _thousands(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else step(value)
