"""A run as arrays of layers × checkpoints, and their means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


def grids_by_role(numbers: pd.DataFrame, metric: str) -> dict[str, Array]:
    """Return a metric by role as (L, T), NaN where it has no value; of several matrices in a layer the mean."""
    if metric not in numbers or numbers[metric].isna().all():
        return {}
    lines = numbers.assign(role=numbers["role"].astype(str), layer=numbers["layer"].astype(int))
    means = lines.pivot_table(metric, ["role", "layer"], "order", observed=True)
    layers = range(int(lines["layer"].max()) + 1)
    orders = range(int(numbers["order"].max()) + 1)
    return {
        role: part.droplevel(0).reindex(index=layers, columns=orders).to_numpy(np.float64)
        for role, part in means.groupby(level=0, sort=False)
    }


def mean_of(grids: Sequence[Array]) -> Array:
    """Return the mean of several arrays of one shape, over the values that are finite; NaN where none is."""
    stacked = np.stack(grids)
    counts = np.isfinite(stacked).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nansum(stacked, axis=0) / np.where(counts, counts, np.nan))


def over_layers(values: Array) -> Array:
    """Return the mean over layers at each checkpoint, (T,), of values (L, T); NaN where no layer has a value."""
    return mean_of(list(values))
