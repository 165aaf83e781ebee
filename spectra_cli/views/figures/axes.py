"""The axes: names of quantities with their units, scales of steps and of quantities, and how panels are laid out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.colours import ACCENT

QUANTITIES: dict[str, tuple[str, str]] = {
    "sd_variation_rate": ("variation of the singular distribution", "per step"),
    "sd_variation_prev": ("variation of the singular distribution", "since the last checkpoint"),
    "sd_variation_final": ("distance of the singular distribution", "from the reference"),
    "cos_spectrum_final": ("cosine of spectra to the reference", ""),
    "cos_weights_final": ("cosine of weights to the reference", ""),
    "stable_rank": ("stable rank", "directions"),
    "effective_rank": ("effective rank", "directions"),
    "participation_ratio": ("participation ratio", "directions"),
    "entropy": ("entropy of the singular distribution", "nats"),
    "entropy_energy": ("entropy of the energy", "nats"),
    "alpha": ("α, rank–size exponent", ""),
    "sd": ("share of the spectrum, σᵢ/Σσ", ""),
    "sigma": ("singular value σᵢ", ""),
}
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
POWER, FACTOR = "floor(log(datum.value)/LN10+1e-9)", "format(datum.value/pow(10,{power}),'.3~g')"
POWERS = "datum.label===''?'':({factor}=='1'?'':{factor}+'·')+'10'+{raised}[{power}+30]".format(
    factor=FACTOR.format(power=POWER), power=POWER, raised=[str(power).translate(RAISED) for power in range(-30, 31)]
)  # how an axis writes what spans many powers of ten: 10⁻³, 2·10⁻³; an expression of Vega's
WIDE = 20.0  # from such a ratio of largest to smallest on, a positive quantity is drawn on a logarithmic axis


def titled(metric: str) -> str:
    """Return a metric's name with its unit, for an axis.

    >>> titled("entropy"), titled("alpha_hill")
    ('entropy of the singular distribution (nats)', 'alpha_hill')
    """
    name, unit = QUANTITIES.get(metric, (printable(metric), ""))
    return f"{name} ({unit})" if unit else name


def is_wide(values: Iterable[float]) -> bool:
    """Whether values are positive and span more than WIDE, so that a logarithmic axis shows them better.

    >>> is_wide([1e-5, 1e-3]), is_wide([0.0, 1.0]), is_wide([3.0, 4.0])
    (True, False, False)
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    return bool(len(finite) and finite.min() > 0 and finite.max() > WIDE * finite.min())


def step_scale(steps: Sequence[int], are_steps: bool = True) -> dict[str, Any]:
    """Return title, scale and axis for steps: logarithmic; with step 0, of log(1 + step), on which 0 can stand.

    are_steps: where `steps` are but numbers of checkpoints, the axis is linear and its title tells so.
    """
    low, high = min(steps), max(steps)
    if not are_steps:
        return {"title": "checkpoint, by its place in the table", "scale": {"zero": False}, "axis": {"tickMinStep": 1}}
    domain = [low, high if high > low else low + 1]
    if low > 0:
        axis = {"values": _decades(low, high)} if high >= 10 * low else {}
        return {"title": "step", "scale": {"type": "log", "domain": domain, "nice": False}, "axis": axis}
    scale = {"type": "symlog", "constant": 1, "domain": domain, "nice": False}
    ticks = [0, *_decades(1, high)] if high >= 1 else [0]  # a checkpoint of step 0 alone
    return {"title": "step, spaced by log(1 + step)", "scale": scale, "axis": {"values": ticks}}


def _decades(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten where few of them fit, else powers of ten only.

    >>> _decades(1, 300), _decades(1e-7, 1e-3)
    ([1, 2, 5, 10, 20, 50, 100, 200], [1e-07, 1e-06, 1e-05, 0.0001, 0.001])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [float(f"1e{power}") if power < 0 else 10**power for power in powers]
    tens = [ten for ten in tens if low * 0.999 <= ten <= high * 1.001]
    if len(tens) > 3:
        return tens
    fine = [float(f"{times}e{power}") if power < 0 else times * 10**power for power in powers for times in (1, 2, 5)]
    return [tick for tick in fine if low <= tick <= high]


def round_ticks(values: Sequence[float], *, log: bool) -> list[float]:
    """Return round numbers between the least and the largest value; the ends where there are no two.

    >>> round_ticks([0.031, 0.38], log=False), round_ticks([2e-5, 3e-1], log=True)
    ([0.1, 0.2, 0.3], [0.0001, 0.001, 0.01, 0.1])
    """
    low, high = min(values), max(values)
    ticks = _decades(low, high) if log else []
    if len(ticks) < 2 and high > low:
        power = 10.0 ** math.floor(math.log10((high - low) / 2))
        size = max(power * times for times in (1, 2, 5) if power * times <= (high - low) / 2)
        ticks = [round(index * size, 12) for index in range(math.ceil(low / size), math.floor(high / size) + 1)]
    return ticks if len(ticks) > 1 else [low, high] if high > low else [low]


def quantity_axis(values: Iterable[float], *, log: bool | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return scale and axis for a quantity, with ticks at round numbers. log: None decides by `is_wide`."""
    finite = [value for value in values if math.isfinite(value)]
    if not (is_wide(finite) if log is None else log) or not finite:
        return {"zero": False}, {}
    low, high = min(finite) / 1.15, max(finite) * 1.15
    ticks = _decades(low, high)
    small: dict[str, Any] = {"labelExpr": POWERS} if high < 1e-2 or low < 1e-3 else {"format": "~r"}
    return {"type": "log", "domain": [low, high], "nice": False}, {"values": ticks, **small}


def step_x(steps: dict[str, Any], *, labelled: bool = True, grid: bool = True) -> Any:
    """Return the encoding of steps along x. steps: of `step_scale`. grid: whether lines go through the picture."""
    import altair as alt

    hidden = {} if labelled else {"labels": False, "ticks": False}
    plain = {} if grid else {"grid": False}
    axis = alt.Axis(**{"labelOverlap": "parity", **steps["axis"], **hidden, **plain})
    return alt.X("step:Q", title=steps["title"] if labelled else None, scale=alt.Scale(**steps["scale"]), axis=axis)


def zero_line() -> Any:
    """Return a line at y = 0."""
    import altair as alt
    import pandas as pd

    return alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeWidth=1, aria=False).encode(y=alt.datum(0))


def cursor(steps: dict[str, Any], *, labelled: bool = True) -> Any:
    """Return the line at the step that a page's slider chooses; nothing is drawn before the page fills `cursor`."""
    import altair as alt

    line = alt.Chart(alt.NamedData("cursor")).mark_rule(color=ACCENT, strokeWidth=2, aria=False)
    return line.encode(x=step_x(steps, labelled=labelled))


def panel_columns(panels: int, most: int = 4) -> int:
    """Return how many panels stand side by side, so that the last row is full where that is possible.

    >>> [panel_columns(count) for count in (1, 4, 6, 7, 8)]
    [1, 4, 3, 4, 4]
    """
    if panels <= most:
        return max(1, panels)
    return next((columns for columns in (most, most - 1) if panels % columns == 0), most)
