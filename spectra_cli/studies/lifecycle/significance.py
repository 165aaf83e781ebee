"""What counts as chance: p-values corrected for the tests beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

Array = NDArray[np.float64]

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
