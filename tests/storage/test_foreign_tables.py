"""Tables that others wrote: what pandas and its like make of one is read as it was, and damage is named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.verify import verify_table
from spectra_cli.storage.schema import SCHEMA
from spectra_cli.storage.table import read_metadata, row_groups
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.summary import summarise
from spectra_cli.views.report.report import report

TEXTS = ("model", "revision", "stage", "matrix", "role", "tensor", "metric")


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(TEXTS, object))


def as_arrow(path, kind: pa.DataType) -> pa.Table:
    """The table with its names as another type of text."""
    table = pq.read_table(path)
    fields = [field.with_type(kind) if field.name in TEXTS else field for field in table.schema]
    return pa.table([column.cast(f.type) for column, f in zip(table.columns, fields, strict=True)], pa.schema(fields))


FOREIGN = {
    "pandas": lambda path, out: pd.read_parquet(path).to_parquet(out),
    "pandas with texts": lambda path, out: plain(pd.read_parquet(path)).to_parquet(out),
    "pandas after a filter": lambda path, out: plain(pd.read_parquet(path).query("value == value or vector.notna()"))
    .to_parquet(out),
    "pandas with an index": lambda path, out: pd.read_parquet(path).set_index("matrix").reset_index().to_parquet(out),
    "pandas without vectors": lambda path, out: pd.read_parquet(path).drop(columns=["vector", "tensor"])
    .to_parquet(out),
    "floating layers and steps": lambda path, out: plain(pd.read_parquet(path))
    .astype({"layer": float, "step": float, "rows": float}).to_parquet(out),
    "large texts, as Polars": lambda path, out: pq.write_table(as_arrow(path, pa.large_string()), out),
    "texts, as DuckDB": lambda path, out: pq.write_table(as_arrow(path, pa.string()), out),
    "another dictionary": lambda path, out: pq.write_table(as_arrow(path, pa.dictionary(pa.int16(), pa.string())), out),
}  # fmt: skip


@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN)
def test_a_table_that_went_through_another_program_gives_the_same_numbers(table_path, tmp_path, write):
    out = tmp_path / "other.parquet"
    write(table_path, out)
    own, other = (pq.ParquetFile(path).read(["revision", "matrix", "metric", "value"]) for path in (table_path, out))
    keys = ["revision", "matrix", "metric"]
    numbers = [t.to_pandas().astype(dict.fromkeys(keys, str)).set_index(keys)["value"].dropna() for t in (own, other)]
    assert len(numbers[0]) == len(numbers[1]) > 100  # an oracle of its own: pandas alone
    assert read_table(out).schema.equals(pa.schema([f for f in SCHEMA if f.name != "vector"]))
    ours, theirs = (read_inputs([path], None)[0].run.numbers for path in (table_path, out))
    pd.testing.assert_frame_equal(ours, theirs, check_categorical=False)
    assert summarise(table_path) == summarise(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pandas with texts", "texts, as DuckDB", "large texts, as Polars"])
def test_the_page_of_such_a_table_holds_the_same_spectra(table_path, tmp_path, name):
    from spectra_cli.views.report.page_data import read_thinned

    out = tmp_path / "other.parquet"
    FOREIGN[name](table_path, out)
    assert report([out], str(tmp_path / "r.html"))
    runs = [read_inputs([path], None)[0].run for path in (table_path, out)]
    names = runs[0].numbers.drop_duplicates("matrix")["matrix"].astype(str).tolist()
    ours, theirs = (read_thinned(path, run, names) for path, run in zip((table_path, out), runs, strict=True))
    assert np.isfinite(ours[0]).any()
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_a_table_with_texts_and_its_metadata_is_verified_by_its_values(table_path, tmp_path):
    out = tmp_path / "other.parquet"
    with pq.ParquetFile(table_path) as file, pq.ParquetWriter(out, as_arrow(table_path, pa.string()).schema) as writer:
        for index in range(file.num_row_groups):
            group = file.read_row_group(index)
            group = group.cast(pa.schema([f.with_type(pa.string()) if f.name in TEXTS else f for f in group.schema]))
            writer.write_table(group, row_group_size=group.num_rows)
        writer.add_key_value_metadata({"spectra": file.metadata.metadata[b"spectra"].decode()})
    assert verify_table(out).findings == ()
    assert read_metadata(out) == read_metadata(table_path)


def test_a_table_without_metadata_says_so_when_it_is_verified(table_path, tmp_path):
    pd.read_parquet(table_path).to_parquet(tmp_path / "other.parquet")
    assert "another program wrote it" in verify_table(tmp_path / "other.parquet").findings[0].message


def with_column(table: pa.Table, name: str, values: object, kind: pa.DataType) -> pa.Table:
    column = pa.array(values(table[name].to_pylist()) if callable(values) else [values] * table.num_rows, kind)
    return table.set_column(table.column_names.index(name), name, column)


DAMAGE = {
    "steps as text": ("step", lambda old: [str(step) for step in old], pa.string()),
    "steps beyond int64": ("step", 2**64 - 1, pa.uint64()),
    "steps with fractions": ("step", 1.5, pa.float64()),
    "steps as dates": ("step", 0, pa.timestamp("ns")),
    "layers as text": ("layer", "3", pa.string()),
    "negative layers": ("layer", -2, pa.int32()),
    "values as text": ("value", "1.0", pa.string()),
    "values as lists": ("value", [1.0], pa.list_(pa.float64())),
    "vectors as numbers": ("vector", 1.0, pa.float64()),
    "vectors of text": ("vector", ["a"], pa.list_(pa.string())),
    "no rows": ("rows", None, pa.int32()),
    "rows as yes and no": ("rows", True, pa.bool_()),
    "no shape": ("cols", 0, pa.int32()),
    "no revision": ("revision", None, pa.string()),
    "no matrix": ("matrix", None, pa.null()),
    "no metric": ("metric", None, pa.string()),
    "no role": ("role", None, pa.string()),
    "names as bytes": ("matrix", b"a\xff", pa.binary()),
    "names as numbers": ("matrix", 7, pa.int64()),
    "a name of megabytes": ("matrix", "x" * 100_000, pa.string()),
    "structures": ("model", {"a": 1}, pa.struct({"a": pa.int64()})),
}


SLOW = {"a name of megabytes"}  # 5 s: every command prints it


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [pytest.param(*damage, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, damage in DAMAGE.items()],
)
def test_a_column_of_another_kind_is_named_by_whatever_reads_it(table_path, tmp_path, name, values, kind):
    out = tmp_path / "other.parquet"
    table = pq.read_table(table_path)
    pq.write_table(with_column(table, name, values, kind), out)
    readers = {
        "read": lambda: read_table(out, vectors=True),
        "groups": lambda: list(row_groups(out)),
        "report": lambda: report([out], str(tmp_path / "r.html")),
    }
    for read in readers.values():
        with pytest.raises(SpectraError, match=name) as caught:
            read()
        assert caught.value.hint
    assert any(name in finding.message for finding in verify_table(out).findings)


@pytest.mark.parametrize("layer", [2**31 - 1, 999_999, 10_000])
def test_a_layer_that_no_model_has_is_named_by_studies_and_read_by_all_else(table_path, tmp_path, layer):
    out = tmp_path / "other.parquet"
    pq.write_table(with_column(pq.read_table(table_path), "layer", layer, pa.int32()), out)
    assert read_table(out).num_rows
    assert summarise(out)
    with pytest.raises(SpectraError, match=f"layer {layer:,}"):
        read_inputs([out], None)


def test_texts_that_are_no_utf8_are_damage(table_path, tmp_path):
    table = pq.read_table(table_path)
    bad = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    column = pa.StringArray.from_buffers(table.num_rows, bad.buffers()[1], bad.buffers()[2])
    pq.write_table(table.set_column(table.column_names.index("matrix"), "matrix", column), tmp_path / "x.parquet")
    with pytest.raises(SpectraError, match="damaged"):
        read_table(tmp_path / "x.parquet")


METADATA = {
    "no JSON": b"not json", "nothing": b"", "a list": b"[1, 2]", "null": b"null", "deep": b"[" * 100_000,
    "no UTF-8": b'{"a": "\xff\xfe"}', "a number of 5,000 digits": b'{"schema_version": ' + b"9" * 5000 + b"}",
    "packages": b"{\"packages\": [1, 2]}",
    "skipped": b'{"skipped": [[1, 2, 3]]}', "pairs": b'{"skipped": [["a", ["b"]]]}',
    "checkpoints": b'{"checkpoints": [[1]]}', "unhashable": b'{"checkpoints": [[["x"], {}, 1, 2]]}',
    "groups": b'{"row_groups": null}', "digests": b'{"row_groups": [{}]}', "options": b'{"options": [1]}',
    "reference": b'{"reference": {"a": 1}}', "device": b'{"device": {"a": ["b"]}}', "source": b'{"source": 7}',
    "model": json.dumps({"model": "x" * 30_000_000}).encode(), "unread": b'{"unread": "abc"}',
}  # fmt: skip


@pytest.mark.parametrize("text", METADATA.values(), ids=METADATA)
def test_metadata_of_another_form_are_named(table_path, tmp_path, text):
    out = tmp_path / "other.parquet"
    table = pq.read_table(table_path)
    pq.write_table(table.replace_schema_metadata({b"spectra": text}), out)
    for read in (read_metadata, verify_table, lambda path: read_inputs([path], None)):
        with pytest.raises(SpectraError, match="metadata") as caught:
            read(out)
        assert len(caught.value.message) < 1000


@pytest.mark.parametrize("what", ["a folder", "a pipe"])
def test_what_is_no_file_is_not_opened(tmp_path, what):
    import os

    path = tmp_path / "x.parquet"
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(SpectraError, match="is no file"):
        read_table(path)
