"""What a stability study found, in sentences with their numbers; where there is no answer, why. Draws nothing."""

from __future__ import annotations

from collections.abc import Iterator

from spectra_cli.errors import printable
from spectra_cli.studies.stability import (
    GroupStability,
    Interval,
    LossStability,
    Onset,
    RateResponse,
    Ratio,
    RunComparison,
    RunStability,
    ShapeContrast,
)
from spectra_cli.views.formatting import beside_one, count, hundredths, number, span_of_ratio
from spectra_cli.views.sentences.finding import Finding
from spectra_cli.views.sentences.theory import theory_findings

CLOSE = 0.99  # of the thresholds of decoupling, the one with a sentence
WIDE = 2.0  # an onset whose interval spans more than such a factor is known only roughly
CHANCE = 0.05
FEWEST = 4  # points below which a series has neither peak nor floor worth a sentence


def stability_sentences(run: RunStability) -> list[str]:
    """Return the findings on one run, most important first; every one is a whole sentence, safe to print."""
    return [finding.sentence for finding in stability_findings(run)]


def stability_findings(run: RunStability) -> list[Finding]:
    """Return what was found of each claim, most important first."""
    whole = run.groups[0]
    return [
        *_phases(run, whole),
        *([] if run.loss is None else _loss(run.loss)),
        *(Finding("response", _response(of), of.elasticity is not None) for of in run.lr_response),
        *(Finding("decoupling", sentence) for sentence in _decoupling(whole)),
        *(Finding("bound", sentence) for sentence in _bound(whole)),
        *theory_findings(run.theory),
        *(Finding("limits", f"{printable(note[0].upper() + note[1:])}.") for note in run.notes),
    ]


def _phases(run: RunStability, whole: GroupStability) -> list[Finding]:
    if len(whole.series.steps) < FEWEST:
        few = count(len(whole.series.steps), "checkpoint")
        return [Finding("peak", f"The variation is known at {few} only: too few for a course.", False)]
    per_lr = whole.onset_per_lr
    return [
        Finding("peak", _peak(run, whole), has_peak(run)),
        Finding("onset", _onset(whole), is_stable_phase(whole.onset)),
        *(Finding("onset", sentence, is_stable_phase(per_lr)) for sentence in _per_rate(whole)),
        Finding("floor", _floor(whole)),
    ]


def has_peak(run: RunStability) -> bool:
    """Whether the variation is largest between two steps, and varies more than a constant rate would."""
    whole = run.groups[0]
    return bool(whole.series.steps[0] < whole.peak.step < whole.series.steps[-1]) and not run.is_constant


def is_stable_phase(onset: Onset | None) -> bool:
    """Whether an onset is one of a phase in which the variation flattens."""
    return onset is not None and onset.step is not None and onset.phase != "rise"


def ratio_sentences(compared: RunComparison) -> list[str]:
    """Return a sentence a run: how its peak, floor and onset compare with the first run's, for the whole model."""
    first = compared.runs[0]
    sentences = []
    for run in compared.runs[1:]:
        ratios = [ratio for ratio in compared.ratios if ratio.label == run.label and ratio.group == "all"]
        parts = [f"{NOUNS[ratio.quantity]} {_factor(ratio)}" for ratio in ratios]
        sentences.append(f"{printable(run.label)} against {printable(first.label)}: {'; '.join(parts)}; {UNSEEN}.")
    return sentences


AFTER = {
    "floor": "stays on a floor",
    "slow decline": "declines more slowly",
    "rise": "rises again",
    "flatter": "is flatter, on a floor or not",
}
UNSEEN = "the intervals leave out what another seed would change"
NOUNS = {
    "peak": "peak",
    "floor": "floor",
    "onset": "onset",
    "onset_per_lr": "onset per unit of learning rate",
    "loss": "last loss",
}


def _factor(ratio: Ratio) -> str:
    if ratio.interval is None:
        return f"× {number(ratio.value)}"
    unclear = ", so no clear difference" if ratio.interval[0] <= 1 <= ratio.interval[1] else ""
    return f"× {beside_one(ratio.value, 3)} (90%: {span_of_ratio(*ratio.interval, digits=3)}{unclear})"


def ratio(value: Ratio | None) -> str:
    """Return a ratio with its interval, a dash where there is none."""
    if value is None:
        return "–"
    if value.interval is None:
        return f"× {number(value.value)}"
    return f"× {number(value.value, 2)} ({number(value.interval[0], 2)} … {number(value.interval[1], 2)})"


def step(value: float) -> str:
    """Return a step that a fit gave, short to read.

    >>> step(59.99), step(2.5)
    ('60', '2.5')
    """
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _span(interval: Interval) -> str:
    return f"{step(interval[0])} … {step(interval[1])}"


def _peak(run: RunStability, whole: GroupStability) -> str:
    height = f"{number(whole.peak.value, 2)} per step{_beside(run.attention_over_mlp)}"
    at = whole.peak.step
    if run.is_constant and run.constant is not None:
        often = f"a constant rate with such noise varies as much in {100 * run.constant:.0f} of 100"
        return f"No course is seen: the variation is largest at step {at} ({height}), but {often}."
    if at == whole.series.steps[0]:
        return f"The variation is largest at the first step seen, {at} ({height}): its peak may lie before."
    if at == whole.series.steps[-1]:
        return f"The variation still rises at the last step, {at} ({height}): no second phase has begun."
    return f"Phase I: the variation of the spectra peaks at step {at} ({height})."


def _beside(contrast: ShapeContrast | None) -> str:
    if contrast is None:
        return ""
    given = f"equal relative updates of matrices of these shapes give {number(contrast.of_shapes, 2)}"
    clear = "" if contrast.beyond else ", so no clear difference"
    return f"; attention's peak is {number(contrast.value, 2)} times the MLP's, where {given}{clear}"


def _onset(whole: GroupStability) -> str:
    if whole.onset.step is None:
        return f"No stable phase is seen: {whole.onset.reason}{_hint(whole.onset)}."
    if whole.onset.phase == "rise":
        return f"No stable phase is seen: at step {_where(whole.onset)} the variation bends and {_after(whole.onset)}."
    return f"Phase II: from step {_where(whole.onset)} on the variation {_after(whole.onset)}."


def _hint(onset: Onset) -> str:
    if onset.hint is None:
        return ""
    return f" (without the correction for few points there would be one at step {step(onset.hint)}: a hint, no finding)"


def _where(onset: Onset) -> str:
    if onset.step is None or onset.interval is None:
        return "–"
    rough = ", so it is known only roughly" if onset.interval[1] > WIDE * onset.interval[0] else ""
    return f"{step(onset.step)} (90%: {_span(onset.interval)}{rough})"


def _after(onset: Onset) -> str:
    slope = ""
    if onset.slope is not None and onset.slope_interval is not None:
        low, high = map(hundredths, onset.slope_interval)
        slope = f" (exponent {hundredths(onset.slope)}, 95%: {low} … {high})"
    until = f", until it falls faster from step {step(onset.until)} on" if onset.until is not None else ""
    return f"{AFTER.get(onset.phase or '', 'bends')}{slope}{until}"


def _per_rate(whole: GroupStability) -> Iterator[str]:
    onset = whole.onset_per_lr
    if onset is None:
        return
    if onset.step is None:
        begin = "Nor is one seen per unit" if whole.onset.step is None else "No bend is seen per unit"
        yield f"{begin} of learning rate: {onset.reason}{_hint(onset)}."
    else:
        yield f"Per unit of learning rate it bends at step {_where(onset)} and then {_after(onset)}."


def _floor(whole: GroupStability) -> str:
    times = number(whole.peak.value / whole.floor.value, 2)
    low, high = (number(end, 2) for end in whole.floor.iqr)
    settled = (
        f"below the geometric mean of peak and floor from step {whole.settled} on"
        if whole.settled is not None
        else "never for good below the geometric mean of peak and floor"
    )
    level = f"{number(whole.floor.value, 2)} per step (middle half {low} … {high}), {times} times below the peak"
    return f"Over the last {whole.floor.checkpoints} checkpoints the median variation is {level}; it is {settled}."


def _loss(loss: LossStability) -> Iterator[Finding]:
    name = f"The {loss.kind} loss"
    if loss.onset.step is None:
        yield Finding("loss", f"{name} shows no bend: {loss.onset.reason}{_hint(loss.onset)}.", False)
    else:
        fastest = ""
        if loss.fastest:
            fastest = f"falls fastest from step {step(loss.fastest[0])} to {step(loss.fastest[1])} and "
        then = "bends and then rises again from" if loss.onset.phase == "rise" else "bends into its slow descent at"
        yield Finding("loss", f"{name} {fastest}{then} step {_where(loss.onset)}.")
    if loss.synchrony is not None:
        which = "onset" if loss.synchrony_of == "rate" else "onset per unit of learning rate"
        times = f"{number(loss.synchrony)} times the step of the loss's bend"
        yield Finding("synchrony", f"The spectra's {which} comes at {times}.")
    if loss.spearman is not None and loss.spearman_p is not None:
        together = "go together" if loss.spearman > 0 else "go against each other"
        verdict = together if loss.spearman_p < CHANCE else "are not seen to go together"
        yield Finding(
            "synchrony",
            f"Beyond their trends, variation and fall of the loss {verdict} from checkpoint to checkpoint "
            f"(Spearman's ρ = {hundredths(loss.spearman)}, p = {number(loss.spearman_p, 2)}).",
            loss.spearman_p < CHANCE,
        )


def _response(response: RateResponse) -> str:
    rates = f"from {number(response.lr_before, 2)} to {number(response.lr_after, 2)}"
    if response.floor_before is None or response.floor_after is None:
        return f"The learning rate goes {rates} at step {response.step}, but no checkpoints lie on both sides of it."
    moved = f"the variation from {number(response.floor_before, 2)} to {number(response.floor_after, 2)}"
    if response.kind == "drop":
        what = f"At step {response.step} the learning rate drops {rates}, {moved}"
    else:
        what = f"From step {response.step} to {response.end_step} the learning rate decays {rates}, {moved}"
    if response.elasticity is None or response.interval is None:
        return f"{what}; what it does and what time does cannot be separated."
    low, high = map(hundredths, response.interval)
    return f"{what}: exponent {hundredths(response.elasticity)} (95%: {low} … {high}) beside what time does."


def _decoupling(whole: GroupStability) -> Iterator[str]:
    decoupling = next((pair for pair in whole.decoupling if pair.threshold == CLOSE), None)
    if decoupling is None:
        return
    missing = [
        name for name, at in (("spectra", decoupling.spectrum_step), ("weights", decoupling.weights_step)) if at is None
    ]
    if missing:
        yield f"Not before the checkpoint compared with do {' and '.join(missing)} reach a cosine of {CLOSE} to it."
        return
    spectra = f"Spectra reach a cosine of {CLOSE} to the final ones at step {decoupling.spectrum_step}"
    yield (
        f"{spectra}, weights at step {decoupling.weights_step}; the order is no finding, "
        "for spectra are never further apart than weights."
    )


def _bound(whole: GroupStability) -> Iterator[str]:
    if whole.over_bound:
        over = f"{whole.over_bound} of {whole.pairs} pairs exceed the paper's bound"
        yield f"{over}, which no matrices can: the table is wrong."
    elif whole.pairs and whole.tightness:
        loose = number(1 / whole.tightness, 2)
        yield f"The paper's bound holds on all {whole.pairs} pairs; it is loose, by a median factor of {loose}."
