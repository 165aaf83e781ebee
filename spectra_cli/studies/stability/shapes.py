"""What the shapes of matrices alone make of their variation: attention's against the MLP's, beside what is measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import integrate

from spectra_cli.studies.stability.findings import RATE, ShapeContrast

Array = NDArray[np.float64]

DRAWS = 2000
FEWEST = 4
LEVEL = 0.99
LEAST_BEYOND = 1.25  # updates of rank 4 instead of full rank move what shapes give by a seventh


def variation_of_shape(rows: int, cols: int) -> float:
    """Return the variation of a Gaussian matrix per relative change by another one: 1/(√(rows·cols)·mean √λ).

    λ follows the Marchenko–Pastur law of the shape. To first order σᵢ moves by uᵢᵀEvᵢ, alike for every i.

    >>> round(variation_of_shape(128, 128) / variation_of_shape(512, 128), 2)
    2.28
    """
    short = min(rows, cols) / max(rows, cols)
    low, high = (1 - np.sqrt(short)) ** 2, (1 + np.sqrt(short)) ** 2

    def at(angle: float) -> float:  # λ = middle + half·cos(angle) takes the edges' square roots out
        half = (high - low) / 2
        value = max((high + low) / 2 + half * np.cos(angle), 1e-300)
        return float((half * np.sin(angle)) ** 2 / (2 * np.pi * short * np.sqrt(value)))

    return float(1 / (np.sqrt(rows * cols) * integrate.quad(at, 0, np.pi)[0]))


def attention_over_mlp(attention: pd.DataFrame, mlp: pd.DataFrame) -> ShapeContrast:
    """Return attention's peak over the MLP's, and what equal relative updates of matrices of their shapes give.

    Both are of Run.numbers. Beyond is a ratio at least 1.25 times the other, or below 1/1.25 of it, whose 99% interval,
    from drawing matrices anew, leaves that out; of fewer than four matrices there is no telling.
    """
    peaks, shares = zip(*(_peak(lines) for lines in (attention, mlp)), strict=True)
    value = float(peaks[0][0] / peaks[1][0])
    given = float(shares[0] / shares[1])
    low, high = np.quantile(peaks[0][1:] / peaks[1][1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) / given
    enough = min(lines["matrix"].nunique() for lines in (attention, mlp)) >= FEWEST
    far = enough and abs(np.log(value / given)) > np.log(LEAST_BEYOND)
    return ShapeContrast(value, given, bool(far and not low <= 1 <= high))


def _peak(lines: pd.DataFrame) -> tuple[Array, float]:
    """Return a group's peak, then those of its matrices drawn anew, (1 + DRAWS,); and the mean of what shapes give."""
    names = lines.assign(matrix=lines["matrix"].astype(str))
    rates = np.nan_to_num(names.pivot_table(RATE, "matrix", "order", dropna=False).to_numpy(), posinf=0.0, neginf=0.0)
    count = len(rates)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS) / count
    peaks = np.append(np.full((1, count), 1 / count), drawn, axis=0) @ rates
    shapes = names.drop_duplicates("matrix")[["rows", "cols"]].to_numpy()
    return np.maximum(peaks.max(axis=1), np.finfo(float).tiny), float(
        np.mean([variation_of_shape(int(m), int(n)) for m, n in shapes])
    )
