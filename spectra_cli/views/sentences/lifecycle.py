"""What a lifecycle study found over training and depth, in whole sentences that are safe to print."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE, FIRST, Decay, Gradient, Lifecycle, Timescales
from spectra_cli.studies.lifecycle.timescales import EVIDENCE, LEAST_R2
from spectra_cli.views.formatting import count, number, span_of_ratio
from spectra_cli.views.sentences.finding import Finding
from spectra_cli.views.sentences.trends import TURNS, in_short, shape_of, shape_words, slope_words

MISSED = 0.25  # of a series' range: by so much a fit may miss its start, and the series may turn back


def lifecycle_sentences(run: Lifecycle) -> list[str]:
    """Return all findings on one run."""
    return [finding.sentence for finding in lifecycle_findings(run)]


def lifecycle_findings(run: Lifecycle) -> list[Finding]:
    """Return what was found of each claim."""
    wave, alphas = run.wave, run.alpha_gradient
    tested = (
        f"{run.tests} claims were tested, each by itself at the last checkpoint: one in twenty may hold by chance."
        " Layers and checkpoints are taken to share with their neighbours what chance did to them."
    )
    in_a_role = any(map(_has_trend, run.alpha_by_role.values()))
    return [
        Finding("compression", compression_verdict(run)),
        Finding("wave", wave_verdict(run), wave.n >= 3 and wave.p < CHANCE),
        Finding("gradient", gradient_verdict("compression", run.gradient, "%"), _has_trend(run.gradient)),
        *([Finding("alpha", gradient_verdict(run.alpha, alphas, ""), _has_trend(alphas))] if alphas else []),
        *(Finding("alpha", sentence, in_a_role) for sentence in role_verdicts(run)),
        *(
            [Finding("entropy", gradient_verdict("entropy", of, " nats"), _has_trend(of))]
            if (of := run.entropy_gradient) else []
        ),
        *([Finding("dissociation", dissociation_verdict(run), parts.claimed)] if (parts := run.dissociation) else []),
        *_asymmetry_findings(run),
        Finding("timescales", timescale_verdict(run), run.timescales.two_clocks),
        *([Finding("alpha_loss", loss_verdict(run), run.loss.claimed)] if run.loss else []),
        Finding("limits", tested),
    ]  # fmt: skip


def _has_trend(gradient: Gradient | None) -> bool:
    """Whether a quantity rises or falls with depth at the end, or is a U over it, whichever way up."""
    last = gradient.last if gradient else None
    return last is not None and (last.slope_p < CHANCE or shape_of(last) in TURNS)


def _asymmetry_findings(run: Lifecycle) -> list[Finding]:
    if not run.asymmetry:
        return [Finding("asymmetry", asymmetry_verdicts(run)[0], False)]
    verdicts = zip(run.asymmetry, asymmetry_verdicts(run), strict=True)
    return [Finding("asymmetry", sentence, asymmetry.spread.p < CHANCE) for asymmetry, sentence in verdicts]


def compression_verdict(run: Lifecycle) -> str:
    """Return a sentence: how much of the stable rank is gone at the end, and of which roles."""
    ends = sorted(((role, float(values[-1])) for role, values in run.by_role.items()), key=lambda end: -end[1])
    roles = ", ".join(f"{role} {value:.0f}%" for role, value in ends)
    low, high = run.span
    return (
        f"The stable rank fell by {np.nanmean(run.compressed[:, -1]):.0f}% of its start, mean over layers, which lie "
        f"between {low:.0f} and {high:.0f}: {printable(roles)}."
    )


def wave_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether compression goes through the depth as a wave."""
    wave = run.wave
    if wave.n < 3 or math.isnan(wave.rho):
        return f"Compression arrives at {count(wave.n, 'layer')} only: no wave can be told."
    numbers = f"Spearman's ρ = {number(wave.rho, 2)}, p = {number(wave.p, 2)}, {wave.n} layers"
    if wave.p >= CHANCE:
        least = "; four layers can never be sure" if wave.n <= 4 else ""
        return f"No wave is shown: layers like their neighbours may compress in such an order ({numbers}{least})."
    way = "from the first layer to the last" if wave.rho > 0 else "from the last layer to the first"
    low, high = sorted(math.copysign(1, wave.rho) * end for end in wave.velocity_interval)
    speed = f"{number(abs(wave.velocity), 2)} layers a step (90%: {number(low, 2)} … {number(high, 2)})"
    return f"Compression goes through the depth as a wave, {way}, {speed} ({numbers})."


def gradient_verdict(name: str, gradient: Gradient, unit: str) -> str:
    """Return two sentences: how a quantity runs over depth at the end and when its slope turned; its shape."""
    last = gradient.last
    if last is None:
        return f"{printable(name)}: too few layers with a value for a gradient over depth."
    turned = f"; its slope {_turned(gradient.turns)}" if gradient.turns else ""
    slope = f"{printable(name)} {slope_words(last, unit)}, spread {number(last.spread, 2)}{unit}{turned}"
    return f"{slope}. {shape_words(last)}"


def role_verdicts(run: Lifecycle) -> list[str]:
    """Return the gradients of the exponent in each role at the end: q's, which the paper draws, then the others'."""
    trends = {role: of.last for role, of in run.alpha_by_role.items() if of.last}
    first, sentences = trends.pop(FIRST, None), []
    if first:
        sentences.append(f"{printable(run.alpha)} of {FIRST} {slope_words(first, '')}. {shape_words(first)}")
    if trends:
        level = next(iter(trends.values())).level
        shown = "; ".join(f"{printable(role)} {in_short(fit)}" for role, fit in trends.items())
        sentences.append(
            f"{printable(run.alpha)} of the other roles, from first to last, with intervals that hold all at once "
            f"({number(100 * level, 3)}% each): {shown}."
        )
    return sentences


def dissociation_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether compression's slope over depth turned while the exponent's stayed."""
    parts, alpha = run.dissociation, printable(run.alpha)
    if parts is None:
        return "Rank and shape: the table has no exponent over depth."
    rank = f"compression's slope {_turned(parts.rank_turns) or 'did not turn'}"
    stayed = "is not significant at the end" if parts.stays_from is None else (
        f"kept its sign from step {number(parts.stays_from, 3)} on"
    )  # fmt: skip
    shape = f"{alpha}'s {_turned(parts.shape_turns) or stayed}"
    head = "Rank and shape part over depth" if parts.claimed else "Rank and shape are not shown to part over depth"
    return f"{head}: {rank}, {shape}."


def _turned(turns: Sequence[float]) -> str:
    return f"turned at step {', '.join(number(at, 3) for at in turns)}" if turns else ""


def asymmetry_verdicts(run: Lifecycle) -> list[str]:
    """Return a sentence a quantity: how much farther q and k spread over depth than v and o."""
    if not run.asymmetry:
        return ["Q/K against V/O: the table has not all four roles."]
    sentences = []
    for asymmetry in run.asymmetry:
        sure = "" if asymmetry.spread.p < CHANCE else ", no significant difference"
        ratio, span = number(asymmetry.spread.ratio, 2), span_of_ratio(*asymmetry.spread.interval)
        sentences.append(
            f"Over depth, {printable(asymmetry.quantity)} of q and k spreads {ratio} times as far as "
            f"of v and o (95%: {span}; p = {number(asymmetry.spread.p, 2)}{sure})."
        )
    return sentences


def timescale_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether rank compresses faster than α settles; no τ where a fit misses its data."""
    scales = run.timescales
    both = (("the stable rank", scales.rank, scales.rank_series), (run.alpha, scales.alpha, scales.alpha_series))
    missed = [f"{printable(name)} {why}" for name, fit, values in both if (why := _missed(fit, run.steps, values))]
    if missed or scales.rank is None or scales.alpha is None or scales.ratio is None or scales.ratio_interval is None:
        return f"Two timescales are not told: {'; '.join(missed)}."
    return (
        f"τ is {number(scales.rank.tau, 2)} steps for the stable rank (R² {number(scales.rank.r2, 3)}) and"
        f" {number(scales.alpha.tau, 2)} for {printable(run.alpha)} (R² {number(scales.alpha.r2, 3)}):"
        f" {_clocks(run.alpha, scales, scales.ratio)} (ratio {number(scales.ratio, 2)}, 90%:"
        f" {span_of_ratio(*scales.ratio_interval)}){_of_layers(run)}."
    )


def loss_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether the exponent and the loss go together from checkpoint to checkpoint."""
    alpha, beside = printable(run.alpha), run.loss
    if beside is None or beside.rho is None or beside.p is None:
        return f"Whether {alpha} and the loss go together cannot be told from so few checkpoints with a loss."
    seen = "go together" if beside.claimed else "are not seen to go together"
    numbers = f"Spearman's ρ = {number(beside.rho, 2)}, p = {number(beside.p, 2)}, {beside.n} checkpoints"
    return f"Beyond their trends, {alpha} and the loss {seen} from checkpoint to checkpoint ({numbers})."


def _missed(fit: Decay | None, steps: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    """Return why an exponential approach does not describe a series; nothing where it does."""
    known = np.isfinite(values)
    y = values[known]
    if fit is None:
        return "does not approach an end exponentially within this run"
    if fit.r2 < LEAST_R2:
        return f"is no exponential approach (R² {number(fit.r2, 2)})"
    begin = float(fit.at(steps[known][:1].astype(float))[0])
    if abs(begin - y[0]) > MISSED * float(np.ptp(y)):
        return f"starts at {number(float(y[0]), 2)}, where an exponential approach would start at {number(begin, 2)}"
    way = math.copysign(1.0, y[-1] - y[0])
    back = float(np.max(np.maximum.accumulate(way * y) - way * y))
    if back > MISSED * float(np.ptp(y)):
        return f"turns back by {number(back, 2)} on its way, of a range of {number(float(np.ptp(y)), 2)}"
    return ""


def _clocks(alpha: str, scales: Timescales, ratio: float) -> str:
    """Return what the two timescales say, and whether the exponent follows the rank instead of a clock of its own."""
    if scales.two_clocks:
        return "rank compresses faster than the shape settles" if ratio > 1 else (
            "the shape settles faster than rank compresses"
        )  # fmt: skip
    if scales.told_apart and scales.gain is not None and scales.gain < EVIDENCE:
        return (
            f"one clock is enough, for {printable(alpha)} follows the stable rank along one curve as well"
            f" (R² {number(scales.curve_r2, 3)}), whatever the step"
        )
    if scales.told_apart:
        return "but the logarithm of the stable rank is about as slow, and one clock may be enough"
    return "neither is sure to be faster"


def _of_layers(run: Lifecycle) -> str:
    taus = [decay.tau for decay in run.timescales.by_layer if decay]
    if not taus:
        return ""
    return (
        f"; layer by layer, τ of {printable(run.alpha)} is {number(min(taus), 2)} … {number(max(taus), 2)}"
        f" in the {len(taus)} of {run.layers} that have one"
    )
