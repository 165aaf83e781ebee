"""What counts as chance: p-values corrected for the tests beside them, and the interval of a mean.

Every p-value that is compared with CHANCE was corrected (Benjamini and Hochberg).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

Array = NDArray[np.float64]
Interval = tuple[float, float]

CHANCE = 0.05


def correct(p_values: Sequence[float]) -> Array:
    """Return Benjamini–Hochberg p-values; NaN stays NaN and is not counted.

    >>> correct([0.01, float("nan"), 0.04]).round(3)
    array([0.02,  nan, 0.04])
    """
    corrected = np.array(p_values, dtype=np.float64)
    known = np.isfinite(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], method="fdr_bh")[1]
    return corrected


def mean_interval(values: Array) -> Interval:
    """Return the 95% interval of the mean of independent values, by Student's t; NaN for fewer than two.

    >>> [round(end, 3) for end in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return np.nan, np.nan
    middle, reach = float(known.mean()), float(stats.t.ppf(0.975, len(known) - 1) * stats.sem(known))
    return middle - reach, middle + reach
