"""The wide form of a table: a row for each matrix of a checkpoint, a column for each metric. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError, printable
from spectra_cli.storage.schema import CATEGORY, SCHEMA
from spectra_cli.storage.table import WITHOUT_VECTORS

VALUES = ("metric", "value")
FACTS = [name for name in WITHOUT_VECTORS if name not in VALUES]
VECTOR = "sd"  # the one metric without a value


def plain_schema(names: Sequence[str]) -> pa.Schema:
    """Return the types of columns as programs other than Arrow know them: texts for categories."""
    fields = (SCHEMA.field(name) for name in names)
    return pa.schema([pa.field(field.name, pa.string() if field.type == CATEGORY else field.type) for field in fields])


def wide_schema(metrics: Sequence[str]) -> pa.Schema:
    """Return the columns of the wide form: those that name a matrix, then a number for each metric.

    Raises SpectraError where a metric has the name of another column.
    """
    if taken := sorted(set(metrics) & set(FACTS)):
        raise SpectraError(f"a metric of the table is named {taken[0]}, as a column is", hint="export it with --long")
    return pa.schema([*plain_schema(FACTS), *(pa.field(name, pa.float64()) for name in metrics)])


def widened(rows: pa.Table, metrics: Sequence[str], schema: pa.Schema, where: object) -> pa.Table:
    """Return the wide form of one checkpoint's rows, matrices in their order; null where a matrix has no such number.

    schema: of the result. where: the file, as errors name it. Raises SpectraError where a number is there twice.
    """
    matrices, lines = _numbered(rows["matrix"])
    first = np.unique(lines, return_index=True)[1]
    names, columns = _numbered(rows["metric"])
    values = rows["value"].to_numpy()
    arrays = [rows[name].take(pa.array(first)).cast(schema.field(name).type).combine_chunks() for name in FACTS]
    for metric in metrics:
        chosen = columns == names.index(metric) if metric in names else np.zeros(len(rows), bool)
        if (counts := np.bincount(lines[chosen], minlength=len(first))).max(initial=0) > 1:
            raise SpectraError(
                f"{where} holds {printable(metric)} of {printable(matrices[int(counts.argmax())])} twice",
                hint="`spectra verify` names all that is wrong with it; scan again",
            )
        numbers = np.full(len(first), np.nan)
        numbers[lines[chosen]] = values[chosen]
        arrays.append(pa.array(numbers, mask=counts == 0))
    return pa.Table.from_arrays(arrays, schema=schema)


def _numbered(names: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names in the order in which they first appear, and the number of each row's."""
    coded = names.cast(pa.string()).combine_chunks().dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)


def whole_checkpoints(groups: Iterable[pa.Table], path: str | Path) -> Iterator[pa.Table]:
    """Yield rows, those of `sd` left out, a checkpoint at a time, however another program has parted them.

    groups: of the table's rows, in their order. path: the table, as errors name it. Raises SpectraError where those of
    one checkpoint do not stand together, as they do in what a scan writes.
    """
    held: pa.Table | None = None
    done: set[tuple[str, str | None]] = set()
    for group in groups:
        for rows in _parted(group.filter(pc.not_equal(group["metric"].cast(pa.string()), VECTOR))):
            if held is not None and _checkpoint(held) != _checkpoint(rows):
                done.add(_checkpoint(held))
                yield held
                held = None
            if _checkpoint(rows) in done:
                raise SpectraError(
                    f"the rows of {printable(_checkpoint(rows)[0])} do not stand together in {path}",
                    hint="sort the table by step, stage and revision",
                )
            held = rows if held is None else pa.concat_tables([held, rows]).unify_dictionaries()
    if held is not None:
        yield held


def _parted(group: pa.Table) -> Iterator[pa.Table]:
    """Yield the stretches of rows that are of one checkpoint."""
    if not len(group):
        return
    codes = [_numbered(group[name].cast(pa.string()).fill_null("\0"))[1] for name in ("revision", "stage")]
    changes = np.flatnonzero(np.any(np.diff(codes, axis=1) != 0, axis=0)) + 1
    for start, stop in zip([0, *changes], [*changes, len(group)], strict=True):
        yield group.slice(start, stop - start)


def _checkpoint(rows: pa.Table) -> tuple[str, str | None]:
    return rows["revision"][0].as_py(), rows["stage"][0].as_py()
