"""Finds the onset of a series: the last breakpoint that flattens it, with its interval, or the reason for none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability import breakpoints
from spectra_cli.studies.stability.findings import Interval, Onset

Array = NDArray[np.float64]

FEWEST = 7  # points that a fit with one breakpoint needs before its criterion is finite
DRAWS = 400
LEVEL = 0.9


def find_onset(
    steps: Array | NDArray[np.int64],
    values: Array,
    *,
    logarithmic: bool = True,
    noun: str = "checkpoints after the peak",
) -> Onset:
    """Return the last breakpoint that flattens a series over ln step.

    steps: (n,) positive, ascending. values: (n,), all of them positive where logarithmic (then ln values are fitted).
    noun: what the points are, for the reason.
    """
    if len(steps) < FEWEST:
        there = f"only {len(steps)}" if len(steps) else "no"
        return Onset(None, reason=f"there are {there} {noun}, and at least {FEWEST} are needed")
    x, y = np.log(np.asarray(steps, dtype=float)), np.log(values) if logarithmic else np.asarray(values, dtype=float)
    line = breakpoints.fit(x, y)
    back: Callable[[Array], Array] = np.exp if logarithmic else np.asarray
    described = _described(line, back)
    last = _last_flattening(line)
    if last is None:
        return replace(described, reason=_reason(line, len(steps), noun), hint=_hint(x, y, line))
    draws = breakpoints.resample(line, DRAWS)[:, last]
    low, high = breakpoints.interval(line, draws, LEVEL)
    low, high = min(low, line.knots[last]), max(high, line.knots[last])
    slope_interval = line.slope_interval(last + 1)
    after = line.knots[last + 1 :]
    return replace(
        described,
        step=float(np.exp(line.knots[last])),
        interval=(float(np.exp(low)), float(np.exp(high))),
        phase=_phase(slope_interval),
        slope=float(line.slopes[last + 1]),
        slope_interval=slope_interval,
        until=float(np.exp(after[0])) if len(after) else None,
        draws=np.exp(draws),
    )


def _described(line: breakpoints.PiecewiseLinearFit, back: Callable[[Array], Array]) -> Onset:
    """Return the whole fit, before any breakpoint is judged."""
    vertices = np.array([line.x[0], *line.knots, line.x[-1]])
    points = zip(np.exp(vertices).tolist(), back(line.at(vertices)).tolist(), strict=True)
    return Onset(
        None, breakpoints=tuple(np.exp(line.knots).tolist()), slopes=tuple(line.slopes.tolist()), line=tuple(points)
    )


def _last_flattening(line: breakpoints.PiecewiseLinearFit) -> int | None:
    flatter = np.flatnonzero(np.diff(line.slopes) > 0)
    return int(flatter[-1]) if len(flatter) else None


def _phase(slope: Interval) -> str:
    if slope[0] <= 0 <= slope[1]:
        return "floor"
    return "slow decline" if slope[1] < 0 else "rise"


def _reason(line: breakpoints.PiecewiseLinearFit, points: int, noun: str) -> str:
    if len(line.knots):
        where = " and ".join(f"{np.exp(knot):.0f}" for knot in line.knots)
        return f"it bends only to fall faster, at step {where}"
    return f"the {points} {noun} support no bend"


def _hint(x: Array, y: Array, line: breakpoints.PiecewiseLinearFit) -> float | None:
    """Return the step where plain BIC would see one: worth telling, not worth believing."""
    if len(line.knots):
        return None
    plain = breakpoints.fit(x, y, corrected=False)
    last = _last_flattening(plain)
    return None if last is None else float(np.exp(plain.knots[last]))
