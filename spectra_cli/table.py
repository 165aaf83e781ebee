"""The table: its schema, its metadata, and how it is read. Knows rows, and nothing of how they were made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spectra_cli.errors import SpectraError
from spectra_cli.records import Row

SCHEMA_VERSION = 1
METADATA_KEY = b"spectra"
_CATEGORY = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    [
        pa.field("model", _CATEGORY),
        pa.field("revision", _CATEGORY),
        pa.field("stage", _CATEGORY),
        pa.field("step", pa.int64()),
        pa.field("tokens", pa.int64()),
        pa.field("matrix", _CATEGORY),
        pa.field("role", _CATEGORY),
        pa.field("tensor", _CATEGORY),
        pa.field("layer", pa.int32()),
        pa.field("expert", pa.int32()),
        pa.field("rows", pa.int32()),
        pa.field("cols", pa.int32()),
        pa.field("metric", _CATEGORY),
        pa.field("value", pa.float64()),
        pa.field("vector", pa.list_(pa.float32())),
    ]
)
WITHOUT_VECTORS = [name for name in SCHEMA.names if name != "vector"]


def to_arrow(rows: Sequence[Row]) -> pa.Table:
    """Turn the rows of one checkpoint into a table of SCHEMA, in the order given."""
    columns: dict[str, list[Any]] = {
        "model": [row.checkpoint.model for row in rows],
        "revision": [row.checkpoint.revision for row in rows],
        "stage": [row.checkpoint.stage for row in rows],
        "step": [row.checkpoint.step for row in rows],
        "tokens": [row.checkpoint.tokens for row in rows],
        "matrix": [row.matrix.name for row in rows],
        "role": [row.matrix.role for row in rows],
        "tensor": [row.matrix.tensor for row in rows],
        "layer": [row.matrix.layer for row in rows],
        "expert": [row.matrix.expert for row in rows],
        "rows": [row.matrix.rows for row in rows],
        "cols": [row.matrix.cols for row in rows],
        "metric": [row.metric for row in rows],
        "value": [row.value for row in rows],
        "vector": [row.vector for row in rows],
    }
    return pa.table({field.name: _column(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _CATEGORY:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind, from_pandas=False)


def write_table(target: Path | IO[bytes], parts: Iterable[pa.Table], metadata: dict[str, Any]) -> int:
    """Write one row group per part, then the metadata as sorted JSON under METADATA_KEY; give the number of rows.

    The same parts and metadata give the same bytes. Raises OSError where the target cannot be written.
    """
    count = 0
    with pq.ParquetWriter(target, SCHEMA, compression="zstd", store_schema=True) as writer:
        for part in parts:
            if part.num_rows:
                writer.write_table(part, row_group_size=part.num_rows)
            count += part.num_rows
        text = json.dumps({"schema_version": SCHEMA_VERSION, **metadata}, sort_keys=True, ensure_ascii=True)
        writer.add_key_value_metadata({METADATA_KEY.decode(): text})
    return count


def read_table(
    path: str | Path,
    *,
    vectors: bool = False,
    metrics: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read a table that `scan` or `diff` wrote; `.to_pandas()` gives a frame with categories for its names.

    vectors: read the `vector` column too, which holds the spectra. metrics: only the rows of these. columns: only
    these. Raises SpectraError where the file is not there or is no such table.
    """
    wanted = list(columns) if columns is not None else SCHEMA.names if vectors else WITHOUT_VECTORS
    _open(path).close()
    chosen = pc.field("metric").isin(list(metrics)) if metrics is not None else None
    return pq.read_table(path, columns=wanted, filters=chosen, partitioning=None)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read how a table was made: versions, source, options, reference, what was skipped and why."""
    with _open(path) as file:
        return dict(json.loads(file.metadata.metadata[METADATA_KEY]))


def row_groups(path: str | Path) -> Iterator[pa.Table]:
    """Give the table one checkpoint at a time."""
    with _open(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)


def _open(path: str | Path) -> pq.ParquetFile:
    if not Path(path).exists():
        raise SpectraError(f"{path} is not there", hint="`spectra scan SOURCE -o FILE` writes such a table")
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise SpectraError(f"{path} is not a Parquet file", hint="give a table that spectra wrote") from None
    if METADATA_KEY not in (file.metadata.metadata or {}) or file.schema_arrow.names != SCHEMA.names:
        file.close()
        raise SpectraError(f"{path} is not a table of spectra", hint="give a file that `spectra scan` or `diff` wrote")
    return file
