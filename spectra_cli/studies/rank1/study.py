"""Whether a run's checkpoints, raw or merged, lie on a line beyond what any drift does. Knows Gram matrices alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.gram import components, merged, moving_average, update_gram
from spectra_cli.studies.rank1.findings import (
    Beside,
    GroupFindings,
    Halves,
    SequenceFindings,
    StepParts,
    verdict_of,
)
from spectra_cli.studies.rank1.nulls import draw_walks, middle, steps_of

Array = NDArray[np.float64]

DRAWS = 400
SEED = 0
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class Group:
    """A group of matrices with the inner products of its weights between checkpoints: (N, N) about any of them."""

    name: str
    gram: Array
    elements: int
    role: str | None = None
    layer: int | None = None


def study_group(group: Group, window: int, *, draws: int = DRAWS, seed: int = SEED) -> GroupFindings:
    """Return the findings on one group: shares raw and merged beside both nulls, and what its steps are made of.

    window: how many neighbouring checkpoints are averaged; at least two fewer than there are. draws: walks of each
    null. No checkpoint may equal its neighbour. The same seed gives the same findings.

    >>> line = np.outer(np.arange(12.0), np.arange(12.0)) + 0.1 * np.eye(12)  # a line, with noise in endless directions
    >>> found = study_group(Group("all", line, 1000), window=3)
    >>> round(found.raw.shares[0], 3), found.merged.verdict
    (0.993, 'one-dimensional')
    """
    random = np.random.default_rng(seed)
    steps = steps_of(group.gram)
    weights = (np.eye(len(group.gram)), moving_average(len(group.gram), window))
    walks = tuple(
        draw_walks(steps, weights, persistent=persistent, draws=draws, random=random) for persistent in (False, True)
    )
    cosine = _halves_cosine(group.gram)
    halves = Halves(cosine, *(beside(walk.halves, cosine) for walk in walks))
    raw, averaged = (
        _sequence(group.gram, weight, tuple(walk.shares[index] for walk in walks), halves)
        for index, weight in enumerate(weights)
    )
    return GroupFindings(
        group.name, group.role, group.layer, group.elements, raw, averaged, halves,
        _step_parts(group.gram, weights[1]), steps.dimensions,
    )  # fmt: skip


def _sequence(gram: Array, weights: Array, drawn: tuple[Array, ...], halves: Halves) -> SequenceFindings:
    points = components(merged(gram, weights))
    share = float(points.shares[0])
    walk, persistent = (beside(shares, share) for shares in drawn)
    updates = update_gram(merged(gram, weights))
    lengths = np.sqrt(np.maximum(np.diagonal(updates), 0.0))
    cosines = np.diagonal(updates, 1) / (lengths[1:] * lengths[:-1]) if len(updates) > 1 else np.array([np.nan])
    last = [int(np.flatnonzero(row)[-1]) for row in weights]
    return SequenceFindings(
        tuple(float(part) for part in points.shares if part >= SMALLEST_SHARE),
        walk, persistent, float(np.mean(cosines)),
        verdict_of(len(weights), share, (walk, persistent), halves),
        tuple((index, float(x), float(y)) for index, (x, y) in zip(last, points.coordinates[:, :2], strict=True)),
    )  # fmt: skip


def beside(drawn: Array, value: float) -> Beside:
    """Return what a null gives beside a number. drawn: (draws,) from the null.

    >>> beside(np.array([0.25, 0.5, 0.75]), 2.0)
    Beside(share=0.5, interval=(0.2625, 0.7375), p=0.5)
    """
    low, high = np.quantile(drawn, (0.025, 0.975))
    tail = min(int((drawn >= value).sum()), int((drawn <= value).sum()))
    p = min(1.0, 2 * (1 + tail) / (1 + len(drawn)))
    return Beside(float(drawn.mean()), (float(low), float(high)), p)


def _halves_cosine(gram: Array) -> float:
    count = len(gram)
    first, second = np.zeros(count), np.zeros(count)
    first[middle(count)], first[0] = 1, -1
    second[-1], second[middle(count)] = 1, -1
    lengths = np.sqrt((first @ gram @ first) * (second @ gram @ second))
    return float(first @ gram @ second / lengths)


def _step_parts(gram: Array, weights: Array) -> StepParts:
    """Return what raw steps are made of. weights: of the merged checkpoints, whose first direction is taken."""
    direction = weights.T @ components(merged(gram, weights)).directions[:, 0]
    along = np.diff(gram @ direction)
    squares = float(np.trace(update_gram(gram)))
    progress = float(along.mean() ** 2 * len(along) / squares)
    total = float((along**2).sum() / squares)
    return StepParts(progress, total - progress, 1 - total)
