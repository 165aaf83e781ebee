"""Numbers of several matrices as columns by metric, and those of one of them as a row of these. Knows no metric.

A mapping of each matrix's own, with an object for each of its 35 numbers, took 2 kB more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Numbers = Mapping[str, float | NDArray[np.float32]]


class ColumnsRow(Mapping[str, float | NDArray[np.float32]]):
    """The numbers of one matrix by metric: a row of columns that it shares with others.

    columns: (b,) float64 by metric, or (b, n) float32 of a distribution. index: which row.

    >>> dict(ColumnsRow({"entropy": np.array([0.5, 0.25])}, 1))
    {'entropy': 0.25}
    """

    __slots__ = ("columns", "index")

    def __init__(self, columns: Columns, index: int) -> None:
        """Copy nothing."""
        self.columns, self.index = columns, index

    def __getitem__(self, metric: str) -> float | NDArray[np.float32]:
        """Return the number of a metric; a distribution shares the memory of its column."""
        column = self.columns[metric]
        return column[self.index] if column.ndim > 1 else float(column[self.index])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the metrics, in their order."""
        return iter(self.columns)

    def __len__(self) -> int:
        """How many metrics there are."""
        return len(self.columns)


def as_rows(columns: Columns, count: int) -> list[Numbers]:
    """Return so many rows of columns.

    >>> [row["entropy"] for row in as_rows({"entropy": np.array([0.5, 0.25])}, 2)]
    [0.5, 0.25]
    """
    return [ColumnsRow(columns, index) for index in range(count)]


def merged(first: Sequence[Numbers], second: Sequence[Numbers]) -> list[Numbers]:
    """Return the numbers of each matrix from two sequences, which have an entry for each; the second's count."""
    columns, others = _shared(first), _shared(second)
    if columns is not None and others is not None:
        return as_rows({**columns, **others}, len(first))
    return [{**row, **other} for row, other in zip(first, second, strict=True)]


def _shared(numbers: Sequence[Numbers]) -> Columns | None:
    """Return the columns of which some numbers are all rows, from the first on; None where they are not."""
    columns = numbers[0].columns if numbers and isinstance(numbers[0], ColumnsRow) else None
    for index, row in enumerate(numbers):
        if not isinstance(row, ColumnsRow) or row.columns is not columns or row.index != index:
            return None
    return columns


def in_columns(numbers: Sequence[Numbers]) -> Iterator[tuple[Columns, NDArray[np.int64]]]:
    """Yield columns with the places of those whose numbers they hold, in the order of their first places.

    >>> rows = as_rows({"entropy": np.array([0.5, 0.25, 1.0])}, 3)
    >>> [(columns["entropy"].tolist(), at.tolist()) for columns, at in in_columns([rows[2], {"entropy": 2.0}, rows[0]])]
    [([1.0, 0.5], [0, 2]), ([2.0], [1])]
    """
    rows: dict[int, list[tuple[int, ColumnsRow]]] = {}
    mappings: dict[tuple[tuple[str, int | None], ...], list[int]] = {}
    for at, row in enumerate(numbers):
        if isinstance(row, ColumnsRow):
            rows.setdefault(id(row.columns), []).append((at, row))
        else:
            kind = tuple((metric, len(own) if isinstance(own, np.ndarray) else None) for metric, own in row.items())
            mappings.setdefault(kind, []).append(at)
    groups: list[tuple[Columns, list[int]]] = []
    for some in rows.values():
        indices = [row.index for _, row in some]
        groups.append(({metric: own[indices] for metric, own in some[0][1].columns.items()}, [at for at, _ in some]))
    for kind, places in mappings.items():
        groups.append(({metric: np.array([numbers[at][metric] for at in places]) for metric, _ in kind}, places))
    for columns, places in sorted(groups, key=lambda group: group[1][0]):
        yield columns, np.array(places)
