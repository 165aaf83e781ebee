"""Finds the onset of a series: the last breakpoint that flattens it, with its interval, or the reason for none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.stability import breakpoints
from spectra_cli.studies.stability.coefficient import LEAST_OWN, coefficient, own_share
from spectra_cli.studies.stability.findings import Interval, Onset
from spectra_cli.studies.stability.noise import Noise, chance, noise_of, resample
from spectra_cli.studies.stability.rivals import COURSES, EVIDENCE, Rival, evidence

Array = NDArray[np.float64]

FEWEST = 7  # points that a fit with one breakpoint needs before its criterion is finite
DRAWS = 400
LEVEL = 0.9
CHANCE = 0.02  # how often, at most, a straight line with such noise may gain as much from breakpoints
MOST_KEPT = 0.5  # of the slope before, what a second phase may keep
LEAST_SHARE = 0.2  # of the larger change of slope, what the smaller one must be to be a breakpoint of its own
FLAT = 0.33  # of the slope before, how far the interval of a floor's may reach either way
LEAST_CHANGE = 0.7  # of the gaps' slope over ln step: less is how saves are spread, not how they are planned


def find_onset(
    steps: Array | NDArray[np.int64],
    values: Array,
    *,
    logarithmic: bool = True,
    gaps: Array | NDArray[np.int64] | None = None,
    rivals: Sequence[Rival] = COURSES,
    noun: str = "checkpoints after the peak",
) -> Onset:
    """Return the last breakpoint that flattens a series over ln step.

    A breakpoint counts where it gains more than noise as correlated as this series' gains from a straight line, and
    more than a slope that drifts, turns or swings. steps: (n,) positive, ascending. values: (n,), all of them positive
    where logarithmic (then ln values are fitted). gaps: (n,) steps that each value covers, where it depends on how
    many: if their law changes on the way, their share is fitted too. noun: what the points are, for the reason.
    """
    if len(steps) < FEWEST:
        there = f"only {len(steps)}" if len(steps) else "no"
        return Onset(None, reason=f"there are {there} {noun}, and at least {FEWEST} are needed")
    x, y = np.log(np.asarray(steps, dtype=float)), np.log(values) if logarithmic else np.asarray(values, dtype=float)
    beside = law_of_gaps(x, gaps) if gaps is not None else None
    line = _without_small_bends(breakpoints.fit(x, y, beside=beside), y, beside)
    back: Callable[[Array], Array] = np.exp if logarithmic else np.asarray
    last = _last_flattening(line.slopes)
    if last is None:
        reason, hint = _reason(line, len(steps), noun), _hint(x, y, line, beside)
        return replace(_described(line, back), reason=reason + _hidden(beside), hint=hint)
    doubt = _too_little(line, last) or _doubt(line, y, beside, rivals)
    if doubt is not None:
        return replace(_described(breakpoints.fit(x, y, 0, beside=beside), back), reason=doubt)
    described = _described(line, back)
    draws = _draws(line, last, noise_of(x, y, beside=beside), beside)
    low, high = breakpoints.interval(line, draws, LEVEL)
    low, high = min(low, line.knots[last]), max(high, line.knots[last])
    slope, slope_interval = _slope(line, y, last + 1, beside)
    steeper = line.slopes[last + 2 :] < line.slopes[last + 1]
    return replace(
        described,
        step=float(np.exp(line.knots[last])),
        interval=(float(np.exp(low)), float(np.exp(high))),
        phase=_phase(slope_interval, line.slopes[last]),
        slope=slope,
        slope_interval=slope_interval,
        until=float(np.exp(line.knots[last + 1])) if steeper.any() else None,
        draws=np.exp(draws),
    )


def law_of_gaps(x: Array, gaps: Array | NDArray[np.int64]) -> Array | None:
    """Return ln gap as a broken line over x = ln step, (n,); None where it is one straight line, or none at all.

    A rate depends on the gap that it is taken over. Where gaps are of one length, or of one ratio, that is part of the
    slope. Where they double at first and are constant later, as in Pythia's saves, it makes a bend of its own: spectra
    that only diffuse seemed to enter a second phase in 97 of 100 such series.
    """
    law = breakpoints.fit(x, np.log(np.asarray(gaps, dtype=float)))
    if not len(law.knots) or np.abs(np.diff(law.slopes)).max() < LEAST_CHANGE:
        return None
    return law.values


def _without_small_bends(
    line: breakpoints.PiecewiseLinearFit, y: Array, beside: Array | None
) -> breakpoints.PiecewiseLinearFit:
    """Return the fit with one breakpoint where the smaller of two is none of its own.

    Noise that wanders gives a floor a second piece, whose flattening is the last: of three roles under noise of
    correlation 0.8, V was found to settle before Q and K in 68 of 100, without such bends in 100.
    """
    return line if _own(line.slopes).all() else breakpoints.fit(line.x, y, 1, beside=beside)


def _own(slopes: Array) -> NDArray[np.bool_]:
    """Whether each breakpoint between pieces of some slopes is one of its own."""
    changes = np.abs(np.diff(slopes))
    return np.asarray(changes >= LEAST_SHARE * changes.max(initial=0.0))


def _draws(line: breakpoints.PiecewiseLinearFit, last: int, noise: Noise, beside: Array | None) -> Array:
    """Return where the last flattening is in fits to the line with noise made anew, (DRAWS,).

    Of two knots it need not be the same in each: with the first taken wherever the line's is the first, V was found to
    settle before Q and K in 49 of 60 at 15% noise of correlation 0.3, and by this in 53.
    """
    fits = zip(*resample(line, noise, DRAWS, beside=beside), strict=True)
    chosen = ((knots, _last_flattening(slopes)) for knots, slopes in fits)
    return np.array([knots[last if at is None else at] for knots, at in chosen])


def _too_little(line: breakpoints.PiecewiseLinearFit, last: int) -> str | None:
    """Return why a bend is too shallow to begin a phase; None where it is not."""
    before, after = line.slopes[last : last + 2]
    if after >= MOST_KEPT * before:
        return None
    kept = f"{after / before:.0%}"
    return f"from step {np.exp(line.knots[last]):.0f} on it keeps {kept} of its slope, and a second phase at most half"


def _slope(line: breakpoints.PiecewiseLinearFit, y: Array, piece: int, beside: Array | None) -> tuple[float, Interval]:
    """Return the slope of a piece after a knot and its 95% interval; knot and correlation of the noise are not known.

    Where the knot moves, the line makes a step there, to first order: one is fitted along, unless the points of a short
    piece cannot tell it from the slope. With knots taken as known and noise as independent, a floor whose noise had a
    lag-1 correlation of 0.5 rose in 32 of 100 runs.
    """
    pieces = line.pieces()
    others = [] if beside is None else [beside - beside.mean()]
    columns = np.column_stack([np.ones(len(y)), *np.delete(pieces, piece, axis=1).T, *others, pieces[:, piece]])
    moved = np.column_stack([line.x > line.knots[piece - 1], columns])
    return coefficient(moved if own_share(moved) >= LEAST_OWN else columns, y)


def _doubt(line: breakpoints.PiecewiseLinearFit, y: Array, beside: Array | None, rivals: Sequence[Rival]) -> str | None:
    """Return why a breakpoint is not to be believed; None where it is."""
    where = f"near step {np.exp(line.knots[-1]):.0f}"
    if chance(line.x, y, beside=beside, enough=CHANCE) > CHANCE:
        return f"what looks like a bend {where} is no more than noise from one checkpoint to the next can make"
    for preferred, rival in evidence(line, y, rivals, beside=beside):
        if preferred < min(-EVIDENCE, rival.least):
            return rival.verdict
        if preferred < rival.least:
            return f"it flattens, but whether it bends {where} or {rival.instead} cannot be told"
    return None


def _described(line: breakpoints.PiecewiseLinearFit, back: Callable[[Array], Array]) -> Onset:
    """Return the whole fit, before any breakpoint is judged."""
    vertices = np.array([line.x[0], *line.knots, line.x[-1]])
    points = zip(np.exp(vertices).tolist(), back(line.at(vertices)).tolist(), strict=True)
    return Onset(
        None, breakpoints=tuple(np.exp(line.knots).tolist()), slopes=tuple(line.slopes.tolist()), line=tuple(points)
    )


def _last_flattening(slopes: Array) -> int | None:
    """Return the last knot of its own that leaves at most MOST_KEPT of the slope, or else the last that flattens it."""
    flatter = np.flatnonzero((np.diff(slopes) > 0) & _own(slopes))
    enough = flatter[slopes[flatter + 1] >= MOST_KEPT * slopes[flatter]]
    last = enough if len(enough) else flatter
    return int(last[-1]) if len(last) else None


def _phase(slope: Interval, before: float) -> str:
    """Return what follows a bend. slope: the interval after it. before: the slope before it.

    An interval that merely holds zero is no floor's: at 14 checkpoints slow declines had one in 22 of 100.
    """
    if slope[0] > 0 or slope[1] < 0:
        return "rise" if slope[0] > 0 else "slow decline"
    return "floor" if max(-slope[0], slope[1]) <= FLAT * abs(before) else "flatter"


def _reason(line: breakpoints.PiecewiseLinearFit, points: int, noun: str) -> str:
    if len(line.knots):
        where = " and ".join(f"{np.exp(knot):.0f}" for knot in line.knots)
        return f"it bends only to fall faster, at step {where}"
    return f"the {points} {noun} support no bend"


def _hidden(beside: Array | None) -> str:
    """Return what cannot be seen where the gaps between saves change their law."""
    return (
        "" if beside is None else "; where the gaps between saves change their law, one could not be told from theirs"
    )


def _hint(x: Array, y: Array, line: breakpoints.PiecewiseLinearFit, beside: Array | None) -> float | None:
    """Return the step where plain BIC would see one: worth telling, not worth believing."""
    if len(line.knots):
        return None
    plain = breakpoints.fit(x, y, beside=beside, corrected=False)
    last = _last_flattening(plain.slopes)
    return None if last is None else float(np.exp(plain.knots[last]))
