"""What the inner products of checkpoints say of their sequence, raw or merged: updates, means, principal components.

A sequence is its Gram matrix: merged checkpoints are linear in the raw ones, so theirs follows from that of the raw
ones, and so does every direction in the space of weights, as coefficients of the checkpoints. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of a centred sequence of N points.

    variances: (N,) sums of squared coordinates, descending. coordinates: (N, N), a point a row, a component a column;
    the first is oriented along the sequence's net displacement. directions: (N, N), a component a column: the unit
    vector in the space of weights is Σ directions[i] · Wᵢ, and its coefficients sum to 0; 0 where there is no variance.
    """

    variances: Array
    coordinates: Array
    directions: Array

    @property
    def shares(self) -> Array:
        """Each component's share of the variance, (N,); NaN where all points are equal."""
        total = self.variances.sum()
        return self.variances / total if total > 0 else np.full_like(self.variances, np.nan)


def components(gram: Array) -> Components:
    """Return the principal components of a sequence. gram: (N, N) inner products about any origin.

    >>> line = np.outer([0.0, 1, 2, 3], [0.0, 1, 2, 3])
    >>> components(line).shares.round(12)[:2], components(line).coordinates[:, 0].round(12)
    (array([1., 0.]), array([-1.5, -0.5,  0.5,  1.5]))
    """
    count = len(gram)
    centring = np.eye(count) - 1.0 / count
    centred = centring @ gram @ centring
    variances, vectors = np.linalg.eigh((centred + centred.T) / 2)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    noise = variances[0] * count * np.finfo(np.float64).eps
    lengths = np.sqrt(np.where(variances > noise, variances, 0.0))
    coordinates = vectors * lengths
    turned = np.where(coordinates[-1] < coordinates[0], -1.0, 1.0)
    directions = centring @ vectors * turned / np.where(lengths > 0, lengths, np.inf)
    return Components(variances, coordinates * turned, directions)


def moving_average(count: int, window: int) -> Array:
    """Return the weights of means over windows of neighbours, (count − window + 1, count).

    >>> moving_average(3, 2)
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]])
    """
    weights = np.zeros((count - window + 1, count))
    for row in range(len(weights)):
        weights[row, row : row + window] = 1.0 / window
    return weights


def merged(gram: Array, weights: Array) -> Array:
    """Return the Gram matrix of merged checkpoints. weights: (M, N), each row the weights of one, which sum to 1."""
    return np.asarray(weights @ gram @ weights.T)


def origin_at(gram: Array, index: int) -> Array:
    """Return the Gram matrix about one of the points instead: ⟨Wᵢ − W_index, Wⱼ − W_index⟩."""
    return np.asarray(gram - gram[index][None, :] - gram[:, index][:, None] + gram[index, index])


def update_gram(gram: Array) -> Array:
    """Return the inner products of neighbouring differences, (N − 1, N − 1): ⟨Wᵢ₊₁ − Wᵢ, Wⱼ₊₁ − Wⱼ⟩."""
    return np.asarray(np.diff(np.diff(gram, axis=0), axis=1))


def distances(gram: Array) -> Array:
    """Return ‖Wᵢ − Wⱼ‖, (N, N)."""
    squares = np.diagonal(gram)
    return np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0.0))
