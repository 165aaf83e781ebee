"""Sequences that have no direction of their own, with the steps of a given one: what its share is judged against.

A walk has steps of the run's own lengths in independent directions; a persistent walk turns from each step to the next
by the run's own lag-1 cosine. Both are drawn in as many dimensions as the run's steps are independent in: a walk in
few dimensions has a larger share, and one that spreads more. The lag-1 cosine is itself an estimate: each walk is drawn
with one within its error. Pure functions of Gram matrices and a random generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.gram import update_gram

Array = NDArray[np.float64]

MOST_PERSISTENT = 0.999
FEWEST_DIMENSIONS = 16  # of a null: a walk in fewer directions is of low dimension by itself
MOST_DIMENSIONS = 1e9


@dataclass(frozen=True, eq=False)
class Steps:
    """What a null keeps of a run's steps.

    lengths: (n,). cosine: mean of neighbouring ones'. dimensions: in how many directions they are independent.
    """

    lengths: Array
    cosine: float
    dimensions: float


@dataclass(frozen=True, eq=False)
class Walks:
    """Drawn walks, each summarised. shares: by window, (draws,) of the first component. halves: (draws,) cosines."""

    shares: tuple[Array, ...]
    halves: Array


def steps_of(gram: Array) -> Steps:
    """Return what a null keeps of a sequence of four checkpoints or more, none of which equals its neighbour.

    The dimensions are one over the variance of the cosines between innovations, the part of each step that its lag-1
    cosine does not explain, about their mean at each lag: that is the participation ratio of a walk's covariance.

    >>> walk = np.minimum(*np.indices((6, 6))).astype(float)  # Brownian motion in endless dimensions
    >>> steps_of(walk).lengths, steps_of(walk).cosine, steps_of(walk).dimensions > 1e8
    (array([1., 1., 1., 1., 1.]), 0.0, True)
    """
    updates = update_gram(gram)
    lengths = np.sqrt(np.maximum(np.diagonal(updates), 0.0))
    units = updates / np.outer(lengths, lengths)
    cosine = float(np.clip(np.diagonal(units, 1).mean(), -MOST_PERSISTENT, MOST_PERSISTENT))
    innovations = np.eye(len(units))[1:] - cosine * np.eye(len(units))[:-1]
    rest = innovations @ units @ innovations.T
    scale = np.sqrt(np.maximum(np.diagonal(rest), np.finfo(np.float64).tiny))
    by_lag = [np.diagonal(rest / np.outer(scale, scale), lag) for lag in range(1, len(rest))]
    freedom = sum(len(cosines) - 1 for cosines in by_lag)
    variance = sum(float(((cosines - cosines.mean()) ** 2).sum()) for cosines in by_lag) / max(1, freedom)
    return Steps(lengths, cosine, 1.0 / max(variance, 1.0 / MOST_DIMENSIONS))


def draw_walks(
    steps: Steps, weights: Sequence[Array], *, persistent: bool, draws: int, random: np.random.Generator
) -> Walks:
    """Draw walks with a run's steps and return the shares of their merged sequences, and the cosines of their halves.

    weights: (M, N) of each merging, as `gram.merged` takes them. persistent: turn by the run's lag-1 cosine.
    """
    dimensions = max(FEWEST_DIMENSIONS, steps.dimensions)
    moves = _directions(len(steps.lengths), dimensions, draws, random)
    if persistent:
        error = np.sqrt((1 - steps.cosine**2) / (dimensions * len(steps.lengths)))
        drawn = steps.cosine + error * random.normal(size=(draws, 1))
        kept = np.clip(drawn, -MOST_PERSISTENT, MOST_PERSISTENT)
        for step in range(1, moves.shape[1]):
            moves[:, step] = kept * moves[:, step - 1] + np.sqrt(1 - kept**2) * moves[:, step]
    moves *= steps.lengths[:, None] / np.linalg.norm(moves, axis=2, keepdims=True)
    points = np.concatenate([np.zeros_like(moves[:, :1]), moves.cumsum(axis=1)], axis=1)
    return Walks(tuple(first_shares(weight @ points) for weight in weights), halves_cosine(points))


def _directions(count: int, dimensions: float, draws: int, random: np.random.Generator) -> Array:
    """Return `count` independent normal vectors a draw, in coordinates of the space that they span.

    In more dimensions than vectors these are the rows of Bartlett's triangular factor of their inner products, which
    costs the same in whatever many dimensions.
    """
    whole = round(dimensions)
    if whole <= count:
        return random.normal(size=(draws, count, whole))
    triangle = np.tril(random.normal(size=(draws, count, count)), -1)
    diagonal = np.sqrt(random.chisquare(whole - np.arange(count), size=(draws, count)))
    triangle[:, np.arange(count), np.arange(count)] = diagonal
    return triangle


def first_shares(points: Array) -> Array:
    """Return the first component's share of the variance of each sequence. points: (draws, N, dimensions)."""
    centred = points - points.mean(axis=1, keepdims=True)
    grams = centred @ centred.swapaxes(1, 2)
    return np.asarray(np.linalg.eigvalsh(grams)[:, -1] / np.trace(grams, axis1=1, axis2=2))


def middle(count: int) -> int:
    """Return the index of the checkpoint that parts a run's halves.

    >>> middle(5), middle(6)
    (2, 2)
    """
    return (count - 1) // 2


def halves_cosine(points: Array) -> Array:
    """Return the cosine between the displacements of the first and of the second half of each sequence."""
    half = points[:, middle(points.shape[1])]
    first, second = half - points[:, 0], points[:, -1] - half
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / lengths)
