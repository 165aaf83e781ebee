"""What a lifecycle study found over training and depth, in whole sentences that are safe to print."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE, FIRST, Gradient, Lifecycle, Timescales, Trend, is_inverted_u
from spectra_cli.studies.lifecycle.timescales import EVIDENCE, LEAST_R2
from spectra_cli.views.formatting import count, number
from spectra_cli.views.sentences.finding import Finding


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
        *_asymmetry_findings(run),
        Finding("timescales", timescale_verdict(run), run.timescales.two_clocks),
        Finding("limits", tested),
    ]  # fmt: skip


def _has_trend(gradient: Gradient | None) -> bool:
    """Whether a quantity rises or falls with depth at the end, or is an inverted U over it."""
    last = gradient.last if gradient else None
    return last is not None and (last.slope_p < CHANCE or is_inverted_u(last, last.curvature_p))


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
    turned = f"; its slope turned at step {', '.join(number(at, 3) for at in gradient.turns)}" if gradient.turns else ""
    return f"{printable(name)} {_slope(last, unit)}, spread {number(last.spread, 2)}{unit}{turned}. {_shape(last)}"


def role_verdicts(run: Lifecycle) -> list[str]:
    """Return the gradients of the exponent in each role at the end: q's, which the paper draws, then the others'."""
    trends = {role: of.last for role, of in run.alpha_by_role.items() if of.last}
    first, sentences = trends.pop(FIRST, None), []
    if first:
        sentences.append(f"{printable(run.alpha)} of {FIRST} {_slope(first, '')}. {_shape(first)}")
    if trends:
        level = next(iter(trends.values())).level
        shown = "; ".join(f"{printable(role)} {_in_short(fit)}" for role, fit in trends.items())
        sentences.append(
            f"{printable(run.alpha)} of the other roles, from first to last, with intervals that hold all at once "
            f"({number(100 * level, 3)}% each): {shown}."
        )
    return sentences


def _in_short(fit: Trend) -> str:
    low, high = fit.slope_interval
    flat = ", not significant" if fit.slope_p >= CHANCE else ""
    peak = f", an inverted U with its peak at {number(fit.peak, 2)}" if is_inverted_u(fit, fit.curvature_p) else ""
    return f"{number(fit.slope, 2)} ({number(low, 2)} … {number(high, 2)}{flat}){peak}"


def _slope(last: Trend, unit: str) -> str:
    low, high = last.slope_interval
    numbers = f"{number(last.slope, 2)}{unit} from first to last (95%: {number(low, 2)} … {number(high, 2)})"
    flat = "does not rise or fall significantly with depth" if last.slope_p >= CHANCE else (
        "rises with depth" if last.slope > 0 else "falls with depth"
    )  # fmt: skip
    return f"{flat}, {numbers}"


def _shape(last: Trend) -> str:
    if last.curvature is None or last.curvature_interval is None:
        return "The layers are too few for its shape."
    low, high = last.curvature_interval
    numbers = f"curvature {number(last.curvature, 2)} (90%: {number(low, 2)} … {number(high, 2)})"
    if is_inverted_u(last, last.curvature_p) and last.peak is not None:
        return f"It is an inverted U with its peak at depth {number(last.peak, 2)} ({numbers})."
    return f"It is no inverted U ({numbers})."


def asymmetry_verdicts(run: Lifecycle) -> list[str]:
    """Return a sentence a quantity: how much farther q and k spread over depth than v and o."""
    if not run.asymmetry:
        return ["Q/K against V/O: the table has not all four roles."]
    sentences = []
    for asymmetry in run.asymmetry:
        sure = "" if asymmetry.spread.p < CHANCE else ", no significant difference"
        ratio, (low, high) = number(asymmetry.spread.ratio, 2), asymmetry.spread.interval
        sentences.append(
            f"Over depth, {printable(asymmetry.quantity)} of q and k spreads {ratio} times as far as "
            f"of v and o (95%: {number(low, 2)} … {number(high, 2)}; p = {number(asymmetry.spread.p, 2)}{sure})."
        )
    return sentences


def timescale_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether rank compresses faster than α settles."""
    scales = run.timescales
    if scales.rank is None or scales.alpha is None or scales.ratio is None or scales.ratio_interval is None:
        lacking = "the stable rank" if scales.rank is None else printable(run.alpha)
        return f"Two timescales: {lacking} does not approach an end exponentially within this run."
    low, high = scales.ratio_interval
    return (
        f"τ is {number(scales.rank.tau, 2)} steps for the stable rank (R² {number(scales.rank.r2, 3)}) and"
        f" {number(scales.alpha.tau, 2)} for {printable(run.alpha)} (R² {number(scales.alpha.r2, 3)}):"
        f" {_clocks(run.alpha, scales, scales.ratio)} (ratio {number(scales.ratio, 2)}, 90%: {number(low, 2)} …"
        f" {number(high, 2)}){_of_layers(run)}."
    )


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
    if min(fit.r2 for fit in (scales.rank, scales.alpha) if fit) < LEAST_R2:
        return "they are not compared, for not both are an exponential approach"
    return "neither is sure to be faster"


def _of_layers(run: Lifecycle) -> str:
    taus = [decay.tau for decay in run.timescales.by_layer if decay]
    if not taus:
        return ""
    return (
        f"; layer by layer, τ of {printable(run.alpha)} is {number(min(taus), 2)} … {number(max(taus), 2)}"
        f" in the {len(taus)} of {run.layers} that have one"
    )
