"""Means over contiguous blocks of a text with their standard errors, alone and paired. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spectra_cli.evaluation.windowed_loss import BlockLosses

Unit = Literal["nats per token", "bits per byte"]


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error over blocks.

    >>> Estimate(0.3, 0.1).beyond(2)
    True
    """

    value: float
    stderr: float

    def beyond(self, errors: float) -> bool:
        """Whether it is further from zero than so many standard errors."""
        return abs(self.value) > errors * self.stderr


def loss_per_token(losses: BlockLosses) -> Estimate:
    """Return the mean −ln p of a token.

    >>> loss_per_token(BlockLosses(np.array([2.0, 4.0]), np.array([2, 2]), np.array([4, 4])))
    Estimate(value=1.5, stderr=0.5)
    """
    return ratio(losses.nats, losses.tokens)


def bits_per_byte(losses: BlockLosses) -> Estimate:
    """Return the bits that the model needs for a byte of text, which models of different tokenizers share."""
    return ratio(losses.nats / math.log(2), losses.nbytes)


def paired_difference(losses: BlockLosses, against: BlockLosses, unit: Unit = "nats per token") -> Estimate:
    """Return how much more one model needs than another on the same blocks; below zero where it needs less.

    The standard error is that of the difference in each block: what makes a block hard for both has no part in it.
    """
    if unit == "nats per token":
        return ratio(losses.nats - against.nats, losses.tokens)
    return ratio((losses.nats - against.nats) / math.log(2), losses.nbytes)


def ratio(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> Estimate:
    """Return Σ sums / Σ sizes over blocks, with the standard error of a ratio of means.

    stderr = √(B/(B−1) · Σ (sᵢ − ratio·nᵢ)²) / Σn for B blocks; NaN for a single block. Source: Cochran, Sampling
    Techniques, 1977, §6.4.
    """
    count, total = len(sums), float(sizes.sum())
    value = float(sums.sum()) / total
    if count < 2:
        return Estimate(value, math.nan)
    spread = float(np.square(sums - value * sizes).sum())
    return Estimate(value, math.sqrt(count / (count - 1) * spread) / total)
