"""Lets a metric of one spectrum take plain singular values too: an array, a list. Knows no metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from spectra_cli.errors import SpectraError
from spectra_cli.records import Spectrum

Others = ParamSpec("Others")
Result = TypeVar("Result")


def takes_arrays(
    metric: Callable[Concatenate[Spectrum, Others], Result],
) -> Callable[Concatenate[Spectrum | ArrayLike, Others], Result]:
    """Return a metric that takes `as_spectrum` of what it is given."""

    @wraps(metric)
    def function(spectrum: Spectrum | ArrayLike, /, *others: Others.args, **named: Others.kwargs) -> Result:
        return metric(as_spectrum(spectrum), *others, **named)

    return function


def as_spectrum(values: Spectrum | ArrayLike) -> Spectrum:
    """Return singular values as a spectrum, descending: of an r × r matrix of float64, where no Spectrum says more.

    values: a Spectrum, which is returned as it is, or (r,) numbers of at least 0 in any order, in the unit of the
    entries; NaN makes every metric NaN. Raises SpectraError for anything else, such as the matrix itself.

    >>> as_spectrum([1.0, 2.0]).sigma
    array([2., 1.])
    """
    if isinstance(values, Spectrum):
        return values
    try:
        sigma = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpectraError("singular values must be real numbers", hint="give them as an array of float64") from None
    if sigma.ndim != 1:
        raise SpectraError(
            f"an array of shape {sigma.shape} holds no singular values in a row",
            hint="`spectra_cli.singular_values(matrix)` are those of a matrix",
        )
    if (sigma < 0).any():
        raise SpectraError("singular values are not below 0", hint="give σ, and not eigenvalues or logarithms")
    return Spectrum.of(*sigma)
