"""A trend over depth in words: one verdict, the interval and the p-value that it rests on. Knows no run."""

from __future__ import annotations

from spectra_cli.studies.lifecycle import CHANCE, Trend
from spectra_cli.studies.lifecycle.gradients import LEVEL
from spectra_cli.views.formatting import number

TURNS = ("inverted U", "U")  # the shapes that turn within the model


def in_short(fit: Trend) -> str:
    """Return slope, interval, p-value and shape, for one of several beside each other."""
    low, high = fit.slope_interval
    flat = ", not significant" if fit.slope_p >= CHANCE else ""
    numbers = f"{number(low, 2)} … {number(high, 2)}; p = {number(fit.slope_p, 2)}{flat}"
    shape = {"inverted U": f", an inverted U with its peak at {number(vertex(fit), 2)}",
             "U": f", a U with its bottom at {number(vertex(fit), 2)}"}.get(shape_of(fit) or "", "")  # fmt: skip
    return f"{number(fit.slope, 2)} ({numbers}){shape}"


def slope_words(last: Trend, unit: str) -> str:
    """Return whether a quantity rises or falls with depth, with interval and p-value."""
    low, high = last.slope_interval
    interval = f"95%: {number(low, 2)} … {number(high, 2)}; p = {number(last.slope_p, 2)}"
    flat = "does not rise or fall significantly with depth" if last.slope_p >= CHANCE else (
        "rises with depth" if last.slope > 0 else "falls with depth"
    )  # fmt: skip
    return f"{flat}, {number(last.slope, 2)}{unit} from first to last ({interval})"


def vertex(fit: Trend) -> float | None:
    """Return the depth at which the parabola turns, which may lie outside of the model; None where there is none."""
    if fit.curvature is None or not fit.curvature:
        return None
    return -fit.terms[1] / (2 * fit.curvature)


def shape_of(fit: Trend) -> str | None:
    """Return what shape a quantity has over depth, beyond chance; None where the layers are too few to tell.

    `inverted U` and `U` turn within the model; `bent down` and `bent up` are curved and do not; else `none`.
    """
    if fit.curvature is None or fit.curvature_p is None:
        return None
    if min(fit.curvature_p, _upwards(fit)) >= CHANCE:
        return "none"
    turns_inside = 0 < (vertex(fit) or 0.0) < 1
    if fit.curvature < 0:
        return "inverted U" if turns_inside else "bent down"
    return "U" if turns_inside else "bent up"


def _upwards(fit: Trend) -> float:
    """Return the one-sided p-value of opening upwards; of several fits, corrected as that of opening downwards is."""
    low = fit.curvature_interval[0] if fit.curvature_interval else 0.0
    if fit.level == LEVEL:
        return 1 - (fit.curvature_p or 0.0)
    return 0.0 if low > 0 else 1.0  # the corrected p-value of the other side says no more


def shape_words(last: Trend) -> str:
    """Return a sentence: what shape a quantity has over depth, with interval and one-sided p-value."""
    shape = shape_of(last)
    if shape is None or last.curvature is None or last.curvature_interval is None:
        return "The layers are too few for its shape."
    low, high = last.curvature_interval
    p = (last.curvature_p or 0.0) if last.curvature < 0 else _upwards(last)
    numbers = f"curvature {number(last.curvature, 2)}, 90%: {number(low, 2)} … {number(high, 2)}; p = {number(p, 2)}"
    return {
        "inverted U": f"It is an inverted U with its peak at depth {number(vertex(last), 2)} ({numbers}).",
        "U": f"It is a U, with its bottom at depth {number(vertex(last), 2)} ({numbers}).",
        "bent down": f"It bends down without a peak inside ({numbers}).",
        "bent up": f"It bends up without a bottom inside ({numbers}).",
        "none": f"It is not shown to be curved ({numbers}).",
    }[shape]
