"""What a lifecycle study found over training and depth, in whole sentences that are safe to print."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE, Gradient, Lifecycle, Trend
from spectra_cli.views.formatting import count, number


def lifecycle_sentences(run: Lifecycle) -> list[str]:
    """Return all findings on one run."""
    return [
        compression_verdict(run), wave_verdict(run), gradient_verdict("compression", run.gradient, "%"),
        *([gradient_verdict(run.alpha, run.alpha_gradient, "")] if run.alpha_gradient else []),
        *([gradient_verdict("entropy", run.entropy_gradient, " nats")] if run.entropy_gradient else []),
        *asymmetry_verdicts(run), timescale_verdict(run),
        f"{run.tests} tests were made; every p is corrected for those made beside it (Benjamini–Hochberg).",
    ]  # fmt: skip


def compression_verdict(run: Lifecycle) -> str:
    """Return a sentence: how much of the stable rank is gone at the end, and of which roles."""
    ends = sorted(((role, float(values[-1])) for role, values in run.by_role.items()), key=lambda end: -end[1])
    roles = ", ".join(f"{role} {value:.0f}%" for role, value in ends)
    low, high = run.interval
    return (
        f"The stable rank fell by {np.nanmean(run.compressed[:, -1]):.0f}% of its start, mean over layers "
        f"(95%: {low:.0f} … {high:.0f}): {printable(roles)}."
    )


def wave_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether compression goes through the depth as a wave."""
    wave = run.wave
    if wave.n < 3 or math.isnan(wave.rho):
        return f"Compression arrives at {count(wave.n, 'layer')} only: no wave can be told."
    numbers = f"Spearman's ρ = {number(wave.rho, 2)}, p = {number(run.wave_p, 2)}, {wave.n} layers"
    if run.wave_p >= CHANCE:
        least = "; four layers can never be sure" if wave.n <= 4 else ""
        return f"No wave: the order in which layers compress does not go with their depth ({numbers}{least})."
    way = "from the first layer to the last" if wave.rho > 0 else "from the last layer to the first"
    low, high = sorted(math.copysign(1, wave.rho) * end for end in wave.velocity_interval)
    speed = f"{number(abs(wave.velocity), 2)} layers a step (90%: {number(low, 2)} … {number(high, 2)})"
    return f"Compression goes through the depth as a wave, {way}, {speed} ({numbers})."


def gradient_verdict(name: str, gradient: Gradient, unit: str) -> str:
    """Return two sentences: how a quantity runs over depth at the end and when its slope turned; its shape."""
    last = gradient.last
    if last is None:
        return f"{printable(name)}: too few layers with a value for a gradient over depth."
    p = float(gradient.slope_p[-1])
    low, high = last.slope_interval
    numbers = f"{number(last.slope, 2)}{unit} from first to last (95%: {number(low, 2)} … {number(high, 2)})"
    flat = "does not rise or fall significantly with depth" if p >= CHANCE else (
        "rises with depth" if last.slope > 0 else "falls with depth"
    )  # fmt: skip
    turned = f"; its slope turned at step {', '.join(number(at, 3) for at in gradient.turns)}" if gradient.turns else ""
    return (
        f"{printable(name)} {flat}, {numbers}, spread {number(last.spread, 2)}{unit}{turned}. {_shape(gradient, last)}"
    )


def _shape(gradient: Gradient, last: Trend) -> str:
    if gradient.inverted_u is None or last.curvature is None or last.curvature_interval is None:
        return "The layers are too few for its shape."
    low, high = last.curvature_interval
    numbers = f"curvature {number(last.curvature, 2)} (95%: {number(low, 2)} … {number(high, 2)})"
    if gradient.inverted_u and last.peak is not None:
        return f"It is an inverted U with its peak at depth {number(last.peak, 2)} ({numbers})."
    return f"It is no inverted U ({numbers})."


def asymmetry_verdicts(run: Lifecycle) -> list[str]:
    """Return a sentence a quantity: how much farther q and k spread over depth than v and o."""
    if not run.asymmetry:
        return ["Q/K against V/O: the table has not all four roles."]
    sentences = []
    for asymmetry in run.asymmetry:
        sure = "" if asymmetry.p < CHANCE else ", no significant difference"
        ratio, (low, high) = number(asymmetry.spread.ratio, 2), asymmetry.spread.interval
        sentences.append(
            f"Over depth, {printable(asymmetry.quantity)} of q and k spreads {ratio} times as far as "
            f"of v and o (95%: {number(low, 2)} … {number(high, 2)}; p = {number(asymmetry.p, 2)}{sure})."
        )
    return sentences


def timescale_verdict(run: Lifecycle) -> str:
    """Return a sentence: whether rank compresses faster than α settles."""
    scales = run.timescales
    if scales.rank is None or scales.alpha is None or scales.ratio is None or scales.ratio_interval is None:
        lacking = "the stable rank" if scales.rank is None else printable(run.alpha)
        return f"Two timescales: {lacking} does not approach an end exponentially within this run."
    low, high = scales.ratio_interval
    verdict = (
        "rank compresses faster than the shape settles" if low > 1
        else "the shape settles faster than rank compresses" if high < 1
        else "neither is sure to be faster"
    )  # fmt: skip
    return (
        f"τ is {number(scales.rank.tau, 2)} steps for the stable rank (R² {number(scales.rank.r2, 3)}) and"
        f" {number(scales.alpha.tau, 2)} for {printable(run.alpha)} (R² {number(scales.alpha.r2, 3)}): {verdict}"
        f" (ratio {number(scales.ratio, 2)}, 98%: {number(low, 2)} … {number(high, 2)}){_of_layers(run)}."
    )


def _of_layers(run: Lifecycle) -> str:
    taus = [decay.tau for decay in run.timescales.by_layer if decay]
    if not taus:
        return ""
    return (
        f"; layer by layer, τ of {printable(run.alpha)} is {number(min(taus), 2)} … {number(max(taus), 2)}"
        f" in the {len(taus)} of {run.layers} that have one"
    )
