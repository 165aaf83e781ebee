"""Which matrix each element of a stored tensor belongs to, without reading it. Knows no family and no file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spectra_cli.records import Index, Matrix

EVERYTHING = slice(None)


def element_owners(shape: Sequence[int], groups: Sequence[tuple[Matrix, int]]) -> tuple[NDArray[np.int32], int]:
    """Return the group of each run of elements of a tensor, and how many elements a run has.

    shape: of the stored tensor. groups: the matrices that are cut out of it, each with the number of its group.
    Returns marks and inner: the element at position p, row by row, is of the group marks[p // inner], −1 where no
    matrix holds it.

    >>> query = Matrix("layers.0.attn.q", "q", "qkv", 2, 2, view=(2, 3, 2), index=(slice(None), 0))
    >>> element_owners((6, 2), [(query, 5)])
    (array([ 5, -1, -1,  5, -1, -1], dtype=int32), 2)
    """
    cuts = [(matrix.view or tuple(shape), _without_whole_axes(matrix.index), group) for matrix, group in groups]
    inner = math.gcd(*(math.prod(view[len(index) :]) for view, index, _ in cuts))
    marks = np.full(math.prod(shape) // inner, -1, np.int32)
    for view, index, group in cuts:
        outer = view[: len(index)]
        marks.reshape(*outer, marks.size // math.prod(outer))[index] = group
    return marks, inner


def _without_whole_axes(index: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return an index without the axes at its end that it takes whole."""
    while index and index[-1] == EVERYTHING:
        index = index[:-1]
    return index
