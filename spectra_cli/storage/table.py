"""The table: its metadata, and how it is written and read. Knows rows, and nothing of how they were made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spectra_cli.budget import bounded, spend_on_json
from spectra_cli.columns import Numbers, in_columns
from spectra_cli.errors import SpectraError
from spectra_cli.records import MatrixRows
from spectra_cli.storage.schema import (
    CATEGORY,
    DAMAGED,
    SCHEMA,
    check_metadata,
    missing_columns,
    normalised,
    raise_refusal,
)

SCHEMA_VERSION = 1
METADATA_KEY = b"spectra"
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": [name for name in SCHEMA.names if name not in ("value", "vector")],
    "store_schema": True,
}
"""How a table is written. Its numbers hardly repeat: with a dictionary of them it was 1.4 times as large."""

ROWS_AT_ONCE = 1 << 16
"""Rows of which a checksum's texts are formed at once: of 700,000 they take 36 MB, and twice that with nulls filled."""

WITHOUT_VECTORS = [name for name in SCHEMA.names if name != "vector"]


def to_arrow(rows: Sequence[MatrixRows]) -> pa.Table:
    """Return the rows of the matrices of one checkpoint as a table of SCHEMA, in the order given."""
    counts = np.array([len(of_matrix.numbers) for of_matrix in rows], dtype=np.int64)
    each = pa.array(np.repeat(np.arange(len(rows)), counts))
    facts: dict[str, list[Any]] = {
        "model": [of_matrix.checkpoint.model for of_matrix in rows],
        "revision": [of_matrix.checkpoint.revision for of_matrix in rows],
        "stage": [of_matrix.checkpoint.stage for of_matrix in rows],
        "step": [of_matrix.checkpoint.step for of_matrix in rows],
        "tokens": [of_matrix.checkpoint.tokens for of_matrix in rows],
        "matrix": [of_matrix.matrix.name for of_matrix in rows],
        "role": [of_matrix.matrix.role for of_matrix in rows],
        "tensor": [of_matrix.matrix.tensor for of_matrix in rows],
        "layer": [of_matrix.matrix.layer for of_matrix in rows],
        "expert": [of_matrix.matrix.expert for of_matrix in rows],
        "rows": [of_matrix.matrix.rows for of_matrix in rows],
        "cols": [of_matrix.matrix.cols for of_matrix in rows],
    }
    columns = {name: _column(values, SCHEMA.field(name).type).take(each) for name, values in facts.items()}
    columns["metric"], columns["value"], columns["vector"] = _numbers([of_matrix.numbers for of_matrix in rows], counts)
    return pa.table(columns, schema=SCHEMA)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == CATEGORY:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind, from_pandas=False)


def _numbers(numbers: Sequence[Numbers], counts: NDArray[np.int64]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the columns of metrics, values and vectors; of the last two each is null where the other is not.

    counts: how many numbers each matrix has.
    """
    codes: dict[str, int] = {}
    ends = np.concatenate([np.zeros(1, np.int64), counts.cumsum()])
    metrics, values = np.empty(ends[-1], np.int32), np.full(ends[-1], np.nan)
    sizes = np.full(ends[-1], -1, np.int32)  # −1: no vector
    vectors = [np.empty(0, np.float32)] * len(numbers)
    for columns, places in in_columns(numbers):
        for offset, (metric, column) in enumerate(columns.items()):
            lines = ends[places] + offset
            metrics[lines] = codes.setdefault(metric, len(codes))
            if column.ndim == 1:
                values[lines] = column
            else:
                sizes[lines] = column.shape[1]
        if of_matrices := [column for column in columns.values() if column.ndim > 1]:
            for at, vector in zip(places, np.concatenate(of_matrices, axis=1), strict=True):
                vectors[at] = vector
    starts = np.concatenate([np.zeros(1, np.int32), np.cumsum(np.maximum(sizes, 0), dtype=np.int32)])
    flat = pa.array(np.concatenate([np.empty(0, np.float32), *vectors]))
    kind, is_number = SCHEMA.field("vector").type, sizes < 0
    lists = pa.ListArray.from_arrays(starts, flat, type=kind, mask=pa.array(is_number))
    named = pa.DictionaryArray.from_arrays(pa.array(metrics), pa.array(list(codes), pa.string()))
    return named, pa.array(values, mask=~is_number, from_pandas=False), lists


def write_table(target: Path | IO[bytes], parts: Iterable[pa.Table], metadata: Mapping[str, Any], **also: str) -> int:
    """Write one row group per part, then the metadata as sorted JSON under METADATA_KEY; return the number of rows.

    The metadata also get the rows and the checksum of every row group, and the checksum of themselves. The same parts
    and metadata give the same bytes. also: what else the file is to say, by key. Raises OSError where the target cannot
    be written.
    """
    groups: list[dict[str, Any]] = []
    with pq.ParquetWriter(target, SCHEMA, **PARQUET) as writer, ThreadPoolExecutor(1) as beside:
        for part in parts:
            if part.num_rows:
                facts = beside.submit(group_facts, part)
                writer.write_table(part, row_group_size=part.num_rows)
                groups.append(facts.result())
        writer.add_key_value_metadata({METADATA_KEY.decode(): facts_text(metadata, groups), **also})
    return sum(group["rows"] for group in groups)


def group_facts(part: pa.Table) -> dict[str, Any]:
    """Return what a table's metadata say of one row group."""
    return {"rows": part.num_rows, "sha256": rows_digest(part)}


def facts_text(metadata: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    """Return the metadata of a table as it holds them. groups: `group_facts` of each of its row groups."""
    facts = {"schema_version": SCHEMA_VERSION, **metadata, "row_groups": list(groups)}
    facts["sha256"] = facts_digest(facts)
    return json.dumps(facts, sort_keys=True, ensure_ascii=True)


def facts_digest(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a table's metadata: of their sorted JSON, without the entry `sha256` itself."""
    text = json.dumps({key: value for key, value in facts.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def rows_digest(part: pa.Table) -> str:
    """Return the SHA-256 of the values in rows, whatever the file's encoding and compression.

    Column after column in the order of SCHEMA: its name, a byte a row that is 1 for null, and the values: numbers
    little-endian with 0 for null; texts in UTF-8 and vectors flat, each after the int32 lengths of all rows.
    """
    total = hashlib.sha256()
    for field in SCHEMA:
        column = part[field.name].combine_chunks()
        total.update(field.name.encode())
        total.update(column.is_null().to_numpy(zero_copy_only=False).data)
        for numbers in _flat(column, field.type):
            total.update(numbers)
    return total.hexdigest()


def _flat(column: pa.Array, kind: pa.DataType) -> Iterator[memoryview | pa.Buffer]:
    if kind == CATEGORY:
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        yield lengths.fill_null(0).cast(pa.int32()).to_numpy(zero_copy_only=False).data
        for start in range(0, len(column), ROWS_AT_ONCE):
            texts = column.slice(start, ROWS_AT_ONCE).cast(pa.string()).fill_null("")
            _, offsets, data = texts.buffers()
            ends = np.frombuffer(offsets, dtype=np.int32)
            first, last = int(ends[texts.offset]), int(ends[texts.offset + len(texts)])
            if data is not None:
                yield data.slice(first, last - first)
    elif pa.types.is_list(kind):
        yield pc.list_value_length(column).fill_null(0).cast(pa.int32()).to_numpy(zero_copy_only=False).data
        yield pc.list_flatten(column).to_numpy(zero_copy_only=False).data
    else:
        yield column.fill_null(0).to_numpy(zero_copy_only=False).data


def read_rows(
    path: str | Path,
    *,
    vectors: bool = False,
    metrics: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return a table that `scan` or `diff` wrote; `.to_pandas()` makes a frame with categories for its names.

    vectors: read the `vector` column too, which holds the spectra. metrics: only the rows of these. columns: only
    these. Rows are chosen a row group at a time, so that the others are never in memory together. Raises SpectraError
    where the file is not there or is no such table.
    """
    wanted = list(columns) if columns is not None else SCHEMA.names if vectors else WITHOUT_VECTORS
    read = wanted if metrics is None else list(dict.fromkeys([*wanted, "metric"]))
    chosen = None if metrics is None else pa.array(list(metrics), pa.string())
    parts = [SCHEMA.empty_table().select(wanted)]
    for group in row_groups(path, read):
        rows = group if chosen is None else group.filter(pc.is_in(group["metric"].cast(pa.string()), chosen))
        parts.append(rows.select(wanted))
    return pa.concat_tables(parts).unify_dictionaries()


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return how a table was made: versions, source, options, reference, what was skipped and why.

    Nothing where another program wrote the file and kept none of it. Raises SpectraError where they are damaged.
    """
    return check_metadata(read_json_of(path, METADATA_KEY, {}), path)


def read_json_of(path: str | Path, key: bytes, default: Any = None) -> Any:
    """Return what a table keeps as JSON under a key; the default where it keeps nothing there.

    Raises SpectraError where that is damaged.
    """
    with _open(path) as file:
        text = (file.metadata.metadata or {}).get(key)
    if text is None:
        return default
    try:
        with bounded(f"the metadata of {path}"):
            spend_on_json(text)
            return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise SpectraError(f"the metadata of {path} are damaged", hint=DAMAGED) from None


def row_groups(path: str | Path, columns: Sequence[str] = SCHEMA.names) -> Iterator[pa.Table]:
    """Yield the table in its parts, each checked and in the types of SCHEMA: a checkpoint each where `scan` wrote it.

    Another program may have put several in one. Raises SpectraError where one cannot be read.
    """
    with _open(path) as file:
        for index in range(file.num_row_groups):
            yield _row_group(file, index, columns, path)


def row_group(path: str | Path, index: int) -> pa.Table:
    """Return one part of the table. Raises SpectraError where it cannot be read."""
    with _open(path) as file:
        return _row_group(file, index, SCHEMA.names, path)


def _row_group(file: pq.ParquetFile, index: int, columns: Sequence[str], path: str | Path) -> pa.Table:
    there = [name for name in columns if name in file.schema_arrow.names]
    try:
        group = file.read_row_group(index, columns=there)
    except (pa.ArrowException, OSError) as error:
        raise_refusal(error)
        raise SpectraError(
            f"part {index + 1} of {file.num_row_groups} of {path} cannot be read", hint=DAMAGED
        ) from None
    return normalised(group, columns, path)


def count_parts(path: str | Path) -> int:
    """Return how many row groups a table has."""
    with _open(path) as file:
        return int(file.num_row_groups)


@contextmanager
def _open(path: str | Path) -> Iterator[pq.ParquetFile]:
    """Open a table as a file: pyarrow takes a name for an address, and refuses one that is no UTF-8.

    Arrow reads it by itself: its threads would wait for the interpreter to read a file of Python's or to let go of it,
    and the process is aborted where that ends first. Python's own says what is in the way of opening it.
    """
    if not Path(path).is_file():
        what = "is no file" if Path(path).exists() else "is not there"
        raise SpectraError(f"{path} {what}", hint="`spectra scan SOURCE -o FILE` writes such a table")
    with open(path, "rb"), pa.OSFile(os.fsencode(path)) as source:
        try:
            file = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            raise_refusal(error)
            raise SpectraError(f"{path} is not a Parquet file", hint="give a table that spectra wrote") from None
        if lacking := missing_columns(file.schema_arrow.names):
            raise SpectraError(
                f"{path} is not a table of spectra: it has no column {lacking[0]}, or two of it",
                hint="give a file that `spectra scan` or `diff` wrote",
            )
        yield file
