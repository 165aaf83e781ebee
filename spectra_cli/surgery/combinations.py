"""How much of each checkpoint a merge takes: coefficients that sum to one. Pure functions of counts and products.

Every merged checkpoint is Σ cᵢ Wᵢ over a run's checkpoints, oldest first. A window of averaging lags behind the last
checkpoint; the *lead* of a combination is how many saves it stands ahead of the last one, Σ cᵢ·i − (N−1), below zero
where it lags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError, printable
from spectra_cli.gram import components, merged, moving_average

Array = NDArray[np.float64]

METHODS = ("mean", "linear", "sqrt", "ema", "extra")
DIRECTIONS = ("secant", "pc1")
FEWEST_MERGED = 3  # two merged checkpoints have one direction, whatever they are
NUMBER = re.compile(r"\s*[-+−]?\d{1,6}(\.\d{1,9})?\s*")


@dataclass(frozen=True, eq=False)
class Line:
    """Merged checkpoints along a direction. base, direction: (N,) coefficients; base sums to one, direction to zero."""

    base: Array
    direction: Array

    def at(self, c: float) -> Array:
        """Return the coefficients of W(c) = base + c · direction."""
        return self.base + c * self.direction

    def lead(self, c: float) -> float:
        """Return how many saves W(c) stands ahead of the last checkpoint.

        >>> [secant(6, 5).lead(c) for c in (0, 1, 2, 3)]
        [-2.0, -1.0, 0.0, 1.0]
        """
        places = np.arange(len(self.base))
        return float(round(float(self.at(c) @ places) - places[-1], 9))

    def default_grid(self) -> tuple[float, ...]:
        """Return the c that take back none, half and all of the lag, and that which leads by one save.

        >>> secant(6, 5).default_grid()
        (0.0, 1.0, 2.0, 3.0)
        """
        lag, saves = -self.lead(0.0), float(self.direction @ np.arange(len(self.base)))
        return tuple(float(round(step / saves, 9)) for step in (0.0, lag / 2, lag, lag + 1))


def window_weights(method: str, window: int) -> Array:
    """Return the weights of a window's checkpoints, oldest first.

    linear, sqrt: what a learning rate gives that decays over the window by this shape: were the update between
    checkpoints i − 1 and i scaled by wᵢ, the result would be Σ cᵢ Wᵢ with cᵢ = wᵢ − wᵢ₊₁ (WSM, arXiv 2507.17634),
    where w₀ = 1, wᵢ = 1 − i/w or 1 − √(i/w), and w_w = 0. A linear decay to zero is the mean. ema: weights that fall
    by (w − 1)/(w + 1) a save, which lags as much as the mean of a window of w where the run is long.

    >>> window_weights("mean", 4), window_weights("linear", 4)
    (array([0.25, 0.25, 0.25, 0.25]), array([0.25, 0.25, 0.25, 0.25]))
    >>> window_weights("sqrt", 4).round(3)
    array([0.5  , 0.207, 0.159, 0.134])
    >>> window_weights("ema", 3).round(3)
    array([0.143, 0.286, 0.571])
    """
    if method == "sqrt":
        return np.diff(np.sqrt(np.arange(window + 1) / window))
    if method == "ema":
        falling = ((window - 1) / (window + 1)) ** np.arange(window)[::-1]
        return np.asarray(falling / falling.sum())
    return np.full(window, 1.0 / window)


def window_line(method: str, count: int, window: int) -> Line:
    """Return the merge of the last `window` of `count` checkpoints, with no direction to go."""
    return Line(np.append(np.zeros(count - window), window_weights(method, window)), np.zeros(count))


def secant(count: int, window: int) -> Line:
    """Return the means of windows, continued along the last of them less the one before: M_T + c (M_T − M_{T−1}).

    >>> secant(3, 2).direction
    array([-0.5,  0. ,  0.5])
    """
    means = moving_average(count, window)
    return Line(means[-1], means[-1] - means[-2])


def principal(gram: Array, window: int) -> Line:
    """Return the means of windows, continued along the first principal component of their centred sequence.

    The direction is the projection of the last mean on it: that mean, less the mean of all, along the component. gram:
    (N, N) inner products of the raw checkpoints about any origin. Raises SpectraError where they do not move.
    """
    means = moving_average(len(gram), window)
    parts = components(merged(gram, means))
    along = parts.directions[:, 0] * parts.coordinates[-1, 0]
    line = Line(means[-1], along @ means)
    if not np.isfinite(gram).all() or not (line.direction @ np.arange(len(gram))) > 0:
        raise SpectraError(
            "the merged checkpoints have no principal component that leads from the first to the last",
            hint="give --direction secant",
        )
    return line


def parse_coefficients(text: str) -> tuple[float, ...]:
    """Read `0,0.5,1`. Raises SpectraError, code 2, for what is no list of numbers.

    >>> parse_coefficients("0, 1.5")
    (0.0, 1.5)
    """
    pieces = text.split(",")
    if not all(NUMBER.fullmatch(piece) for piece in pieces):
        raise SpectraError(
            f"--coefficients '{printable(text)}' are no numbers", hint="write them as in 0,1,2.5", code=2
        )
    return tuple(dict.fromkeys(float(piece.replace("−", "-")) for piece in pieces))
