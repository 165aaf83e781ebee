"""Says what the Lifecycle study found over training and depth, in whole sentences that are safe to print."""

from __future__ import annotations

import math

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import CHANCE, Gradient, Lifecycle, Trend
from spectra_cli.views.formatting import count, number


def lifecycle_sentences(run: Lifecycle) -> list[str]:
    """Say what was found, as whole sentences that are safe to print."""
    return [
        compression_verdict(run), wave_verdict(run), gradient_verdict("compression", run.gradient, "%"),
        *([gradient_verdict(run.alpha, run.alpha_gradient, "")] if run.alpha_gradient else []),
        *([gradient_verdict("entropy", run.entropy_gradient, " nats")] if run.entropy_gradient else []),
        *asymmetry_verdicts(run), timescale_verdict(run),
        f"{run.tests} tests were made; every p is corrected for those made beside it (Benjamini–Hochberg).",
    ]  # fmt: skip


def compression_verdict(run: Lifecycle) -> str:
    """Say how much of the stable rank is gone at the end, and of which roles."""
    ends = sorted(((role, float(course[-1])) for role, course in run.by_role.items()), key=lambda one: -one[1])
    roles = ", ".join(f"{role} {value:.0f}%" for role, value in ends)
    low, high = run.interval
    return (
        f"The stable rank fell by {np.nanmean(run.compressed[:, -1]):.0f}% of its start, mean over layers "
        f"(95%: {low:.0f} … {high:.0f}): {printable(roles)}."
    )


def wave_verdict(run: Lifecycle) -> str:
    """Say whether compression goes through the depth as a wave."""
    one = run.wave
    if one.n < 3 or math.isnan(one.rho):
        return f"Compression arrives at {count(one.n, 'layer')} only: no wave can be told."
    numbers = f"Spearman's ρ = {number(one.rho, 2)}, p = {number(run.wave_p, 2)}, {one.n} layers"
    if run.wave_p >= CHANCE:
        least = "; four layers can never be sure" if one.n <= 4 else ""
        return f"No wave: the order in which layers compress does not go with their depth ({numbers}{least})."
    way = "from the first layer to the last" if one.rho > 0 else "from the last layer to the first"
    low, high = sorted(math.copysign(1, one.rho) * end for end in one.velocity_interval)
    speed = f"{number(abs(one.velocity), 2)} layers a step (90%: {number(low, 2)} … {number(high, 2)})"
    return f"Compression goes through the depth as a wave, {way}, {speed} ({numbers})."


def gradient_verdict(name: str, one: Gradient, unit: str) -> str:
    """Say how a quantity runs over depth at the last checkpoint, and when its slope turned."""
    last = one.last
    if last is None:
        return f"{printable(name)}: too few layers with a value for a gradient over depth."
    p = float(one.slope_p[-1])
    low, high = last.slope_interval
    numbers = f"{number(last.slope, 2)}{unit} from first to last (95%: {number(low, 2)} … {number(high, 2)})"
    flat = "does not rise or fall significantly with depth" if p >= CHANCE else (
        "rises with depth" if last.slope > 0 else "falls with depth"
    )  # fmt: skip
    turned = f"; its slope turned at step {', '.join(number(at, 3) for at in one.turns)}" if one.turns else ""
    return f"{printable(name)} {flat}, {numbers}, spread {number(last.spread, 2)}{unit}{turned}. {_shape(one, last)}"


def _shape(one: Gradient, last: Trend) -> str:
    if one.inverted_u is None or last.curvature is None or last.curvature_interval is None:
        return "The layers are too few for its shape."
    low, high = last.curvature_interval
    numbers = f"curvature {number(last.curvature, 2)} (95%: {number(low, 2)} … {number(high, 2)})"
    if one.inverted_u and last.peak is not None:
        return f"It is an inverted U with its peak at depth {number(last.peak, 2)} ({numbers})."
    return f"It is no inverted U ({numbers})."


def asymmetry_verdicts(run: Lifecycle) -> list[str]:
    """Say how much farther q and k spread over depth than v and o."""
    if not run.asymmetry:
        return ["Q/K against V/O: the table has not all four roles."]
    said = []
    for one in run.asymmetry:
        sure = "" if one.p < CHANCE else ", no significant difference"
        low, high = one.spread.interval
        said.append(
            f"Over depth, {printable(one.quantity)} of q and k spreads {number(one.spread.ratio, 2)} times as far as "
            f"of v and o (95%: {number(low, 2)} … {number(high, 2)}; p = {number(one.p, 2)}{sure})."
        )
    return said


def timescale_verdict(run: Lifecycle) -> str:
    """Say whether rank compresses faster than α settles."""
    found = run.timescales
    if found.rank is None or found.alpha is None or found.ratio is None or found.ratio_interval is None:
        lacking = "the stable rank" if found.rank is None else printable(run.alpha)
        return f"Two timescales: {lacking} does not approach an end exponentially within this run."
    low, high = found.ratio_interval
    verdict = (
        "rank compresses faster than the shape settles" if low > 1
        else "the shape settles faster than rank compresses" if high < 1
        else "neither is sure to be faster"
    )  # fmt: skip
    return (
        f"τ is {number(found.rank.tau, 2)} steps for the stable rank (R² {number(found.rank.r2, 3)}) and"
        f" {number(found.alpha.tau, 2)} for {printable(run.alpha)} (R² {number(found.alpha.r2, 3)}): {verdict}"
        f" (ratio {number(found.ratio, 2)}, 98%: {number(low, 2)} … {number(high, 2)}){_of_layers(run)}."
    )


def _of_layers(run: Lifecycle) -> str:
    taus = [one.tau for one in run.timescales.by_layer if one]
    if not taus:
        return ""
    return (
        f"; layer by layer, τ of {printable(run.alpha)} is {number(min(taus), 2)} … {number(max(taus), 2)}"
        f" in the {len(taus)} of {run.layers} that have one"
    )
