"""Curves without a breakpoint that a series may follow instead: a slope that drifts, a swing, a power law, a sigmoid.

Knows points (x, y), x the logarithm of a step, and judges by the criterion of `breakpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from spectra_cli.studies.stability.autocorrelation import CORRELATIONS, cost, whitened
from spectra_cli.studies.stability.breakpoints import PiecewiseLinearFit, criterion

Array = NDArray[np.float64]

EVIDENCE = 2.0  # by how much the criterion must prefer one to be believed
FLAT = 20.0  # of a shape's logarithm: further out, a curve is a constant or a step
BEST_STARTS = 3  # of the places where a fit is begun, those that it is carried on from
SWELLS = (2.0, 8.0, 0.25)  # least and most from end to end, and how finely tried: one alone is nearly a hinge
PER_SWELL = 4  # points, at least


@dataclass(frozen=True)
class Rival:
    """A curve. columns: (x, y) → (n, k), whose best linear combination it is. parameters: all that were chosen.

    verdict: what a series does that it fits better than breakpoints do. instead: the same, after "or". least: by how
    much the criterion must prefer breakpoints to it.
    """

    verdict: str
    instead: str
    columns: Callable[[Array, Array], Array]
    parameters: int
    least: float = EVIDENCE


def evidence(
    line: PiecewiseLinearFit, y: Array, rivals: Sequence[Rival], *, beside: Array | None = None
) -> list[tuple[float, Rival]]:
    """Return by how much the criterion prefers breakpoints to each rival, below 0 where that is better; the best first.

    Both may have noise that is correlated from one point to the next, each that which suits it best.
    """
    others = [] if beside is None else [beside]
    hinges = (np.maximum(line.x - knot, 0.0) for knot in line.knots)
    bent = np.column_stack([np.ones(len(y)), line.x, *hinges, *others])
    broken = _criterion(bent, y, line.terms + 2 * len(line.knots))
    curves = [
        _criterion(np.column_stack([rival.columns(line.x, y), *others]), y, rival.parameters + len(others))
        for rival in rivals
    ]
    preferred = [(curve - broken, rival) for curve, rival in zip(curves, rivals, strict=True)]
    return sorted(preferred, key=lambda each: each[0])


def _criterion(columns: Array, y: Array, parameters: int) -> float:
    """Return the criterion of a linear fit with the correlation of its noise that suits it best."""
    values = []
    for correlation in CORRELATIONS:
        rest = _left(whitened(columns, correlation), whitened(y, correlation))
        values.append(float(criterion(float(rest @ rest), len(y), parameters)) + cost(correlation))
    return min(values)


def _left(columns: Array, y: Array) -> Array:
    return np.asarray(y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0], dtype=np.float64)


def _drift(x: Array, y: Array) -> Array:
    """Return the columns of a parabola whose slope drifts, to zero at most: one that falls does not rise again."""
    columns = _parabola(x, y)
    _, first, second = np.linalg.lstsq(columns, y, rcond=None)[0]
    slopes = first + 2 * second * x[[0, -1]]
    return np.column_stack([np.ones(len(x)), (x - x[-1]) ** 2]) if slopes[0] < 0 < slopes[1] else columns


def _parabola(x: Array, _: Array) -> Array:
    return np.column_stack([np.ones(len(x)), x, x**2])


def _swing(x: Array, y: Array) -> Array:
    """Return the columns of a straight line with the sinusoid about it that suits y best."""
    least, most, fineness = SWELLS
    counts = np.arange(least, max(least, min(most, len(x) / PER_SWELL)) + fineness / 2, fineness)
    turns = 2 * np.pi * np.outer((x - x[0]) / (x[-1] - x[0]), counts)
    curves = (np.column_stack([np.ones(len(x)), x, np.sin(turn), np.cos(turn)]) for turn in turns.T)
    return min(curves, key=lambda columns: float(np.sum(_left(columns, y) ** 2)))


def _fitted(
    curve: Callable[[Array, Array], Array], grids: Callable[[Array], tuple[Array, Array]]
) -> Callable[[Array, Array], Array]:
    """Return what fits a curve's two shape parameters to a series, begun at the best places of a grid."""

    def columns(x: Array, y: Array) -> Array:
        def shape(at: Array) -> Array:
            return np.column_stack([np.ones(len(x)), curve(x, at)])

        starts = sorted(
            (np.array(at) for at in product(*grids(x))), key=lambda at: float(np.sum(_left(shape(at), y) ** 2))
        )
        fits = [optimize.least_squares(lambda at: _left(shape(at), y), at, max_nfev=200) for at in starts[:BEST_STARTS]]
        return shape(min(fits, key=lambda fit: float(fit.cost)).x)

    return columns


def _power(x: Array, at: Array) -> Array:
    """Return ((t + t₀)/(t₁ + t₀))^−a with x = ln t and at = (ln a, ln t₀)."""
    return np.asarray(
        np.exp(-np.exp(np.clip(at[0], -FLAT, FLAT)) * (np.logaddexp(x, at[1]) - np.logaddexp(x[0], at[1])))
    )


def _sigmoid(x: Array, at: Array) -> Array:
    """Return 1/(1 + exp((x − m)/w)) with at = (m, ln w)."""
    return np.asarray(1 / (1 + np.exp(np.clip((x - at[0]) / np.exp(np.clip(at[1], -FLAT, FLAT)), -500, 500))))


def with_power_of(rates: Array) -> Rival:
    """Return a power of the step times one of the learning rate: what dividing by it leaves unless that is the first.

    rates: (n,) the learning rates. Where the rate of spectra ignores them and they follow a cosine, the quotient seemed
    to bend in 100 of 100.
    """
    logs = np.log(rates)
    return Rival(
        "it only follows the learning rate by another power than the first",
        "only follows the learning rate by another power than the first",
        lambda x, _: np.column_stack([np.ones(len(x)), x, logs]),
        3,
    )


GRADUAL = "it flattens gradually, without a step at which it bends", "does so gradually"
DRIFT = Rival(*GRADUAL, _drift, 3)
TURN = Rival(  # nearly a hinge: were it to be worse by EVIDENCE, 27 of 100 floors from 14 checkpoints were doubted
    "it falls and rises again gradually, without a step at which it bends", "turns", _parabola, 3, least=-2 * EVIDENCE
)
SWING = Rival("it swings about a straight fall", "only swings about a straight fall", _swing, 5)
COURSES = (DRIFT, TURN, SWING)  # of the rate of spectra
POWER_LAW = Rival(  # E + A·(t + t₀)^−a
    *GRADUAL,
    _fitted(_power, lambda x: (np.log([0.03, 0.1, 0.3, 1.0, 2.5]), np.append(x[0] - 6, np.linspace(x[0], x[-1], 5)))),
    4,
)
SIGMOID = Rival(  # in ln t
    *GRADUAL, _fitted(_sigmoid, lambda x: (np.linspace(x[0] - 2, x[-1], 8), np.log([0.2, 0.7, 2.0]))), 4
)
