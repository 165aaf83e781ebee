"""A table as Python has it: Arrow's, with the ways to pandas, Polars and one column a metric. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from spectra_cli.errors import SpectraError
from spectra_cli.records import Summarised
from spectra_cli.storage.table import read_metadata, read_rows
from spectra_cli.storage.wide import FACTS, VALUES, whole_checkpoints, wide_schema, widened

if TYPE_CHECKING:
    import pandas
    import polars


@dataclass(frozen=True, repr=False, eq=False)
class Table(Summarised):
    """The rows of a table that `read_table` read: a row for each number of each matrix of each checkpoint.

    arrow: the rows, a `pyarrow.Table`. path: the file. metadata: how the numbers were made. Whatever a `pyarrow.Table`
    can do this can too, and pandas, Polars and DuckDB take it for one; where a path is asked for, it is its file's.

    >>> table = read_table("run.parquet")
    >>> table.num_rows == len(table), table["metric"].null_count, table.metadata["model"]
    (True, 0, 'run')
    """

    arrow: pa.Table
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def pandas(self) -> pandas.DataFrame:
        """Return the rows as a frame, with categories for names.

        >>> str(read_table("run.parquet").pandas()["role"].dtype)
        'category'
        """
        return self.arrow.to_pandas()

    def polars(self) -> polars.DataFrame:
        """Return the rows as a frame of Polars. Raises SpectraError where it is not installed.

        >>> read_table("run.parquet").polars().height == len(read_table("run.parquet"))
        True
        """
        try:
            import polars
        except ImportError:
            raise SpectraError("Polars is not installed", hint="pip install polars") from None
        return polars.DataFrame(self.arrow)

    def wide(self) -> pa.Table:
        """Return a row for each matrix of a checkpoint, and a column for each metric; null where it has no such number.

        Spectra (`sd`) are left out. Raises SpectraError where the rows of a checkpoint do not stand together, or the
        table was read without a column that this needs.

        >>> table = read_table("run.parquet", metrics=["entropy", "stable_rank"])
        >>> table.num_rows, table.wide().num_rows, table.wide().column_names[-2:]
        (168, 84, ['stable_rank', 'entropy'])
        """
        if lacking := [name for name in (*FACTS, *VALUES) if name not in self.arrow.column_names]:
            raise SpectraError(f"this table was read without its column {lacking[0]}", hint="leave out columns=…")
        parts = list(whole_checkpoints([self.arrow], self.path))
        names = dict.fromkeys(name for part in parts for name in pc.unique(part["metric"]).to_pylist())
        schema = wide_schema(list(names))
        wide = [widened(part, list(names), schema, self.path) for part in parts]
        return pa.concat_tables([schema.empty_table(), *wide])

    def summary(self) -> dict[str, object]:
        """Return how much there is, and of what."""
        return {"rows": self.arrow.num_rows, "columns": self.arrow.column_names, "path": str(self.path)}

    def __getattr__(self, name: str) -> Any:
        """Return what the Arrow table has under a name."""
        if name in ("arrow", "path", "metadata"):  # of an object that is only being made, as by `copy`
            raise AttributeError(name)
        return getattr(self.arrow, name)

    def __getitem__(self, column: str | int) -> pa.ChunkedArray:
        """Return a column."""
        return self.arrow[column]

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.arrow.num_rows)

    def __fspath__(self) -> str:
        """Return the file that it was read from."""
        return str(self.path)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows as other libraries take them: the Arrow C stream interface."""
        return self.arrow.__arrow_c_stream__(requested_schema)


def read_table(
    path: str | Path,
    *,
    vectors: bool = False,
    metrics: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Table:
    """Read a table that `scan`, `diff` or `watch` wrote.

    vectors: read the column `vector` too, which holds the spectra. metrics: only the rows of these. columns: only
    these. Rows are chosen a checkpoint at a time, so that the others are never in memory together. Raises SpectraError
    where the file is not there or is no such table.

    >>> table = read_table("run.parquet", metrics=["stable_rank"], columns=["step", "matrix", "value"])
    >>> table.num_rows, table.column_names
    (84, ['step', 'matrix', 'value'])
    """
    return Table(read_rows(path, vectors=vectors, metrics=metrics, columns=columns), Path(path), read_metadata(path))
