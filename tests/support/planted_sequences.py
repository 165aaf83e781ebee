"""Sequences of checkpoints whose truth is known, as points (N, dimensions): lines that oscillate, and what drifts."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator


def gram_of(points: Array) -> Array:
    differences = points - points[0]
    return np.asarray(differences @ differences.T)


def walk(random: Random, count: int, dimensions: int = 500, persistence: float = 0.0, decay: float = 0.0) -> Array:
    """decay: of the power law of the covariance's eigenvalues."""
    moves = random.normal(size=(count - 1, dimensions))
    for step in range(1, count - 1):
        moves[step] = persistence * moves[step - 1] + np.sqrt(1 - persistence**2) * moves[step]
    moves *= np.arange(1.0, dimensions + 1) ** (-decay / 2)
    return np.vstack([np.zeros(dimensions), moves.cumsum(axis=0)])


def noise(random: Random, count: int, dimensions: int = 500) -> Array:
    return random.normal(size=(count, dimensions))


def line(random: Random, count: int, share: float, dimensions: int = 500, oscillation: str = "noise") -> Array:
    """A line with so large a share of all variance; the oscillation across it takes the rest exactly."""
    direction = np.zeros(dimensions)
    direction[0] = 1
    across = np.zeros((count, dimensions))
    if oscillation == "noise":
        across[:, 1:] = random.normal(size=(count, dimensions - 1))
    elif oscillation == "alternating":
        across[:, 1] = (-1.0) ** np.arange(count)
    else:
        across[:, 1] = np.sin(random.uniform(0.8, 2.8) * np.arange(count) + random.uniform(0, 2 * np.pi))
    along = np.arange(count) - (count - 1) / 2
    across -= across.mean(axis=0)
    across -= np.outer(along, along @ across) / (along @ along)
    length = np.sqrt(share / (1 - share) * (across**2).sum() / (along @ along))
    return np.asarray(length * np.outer(along, direction) + across)
