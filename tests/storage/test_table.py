"""The table as a file: schema, order, metadata, and what pandas makes of it."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.storage.schema import SCHEMA
from spectra_cli.storage.table import read_metadata
from tests.support import runs


def test_the_file_has_the_schema(table_path):
    assert pq.read_schema(table_path).remove_metadata() == SCHEMA


def test_there_is_a_row_group_for_each_checkpoint_in_step_order(table_path):
    file = pq.ParquetFile(table_path)
    steps = [file.read_row_group(i, ["step"])["step"].unique().to_pylist() for i in range(file.num_row_groups)]
    assert steps == [[step] for step in runs.STEPS]


def test_pandas_reads_names_as_categories(table_path):
    frame = pd.read_parquet(table_path)
    names = ["model", "revision", "stage", "matrix", "role", "tensor", "metric"]
    assert all(isinstance(frame[name].dtype, pd.CategoricalDtype) for name in names)


def test_vectors_are_read_only_when_asked_for(table_path):
    assert "vector" not in read_table(table_path).column_names
    spectra = read_table(table_path, vectors=True, metrics=["sd"]).to_pandas()
    assert spectra["value"].isna().all()
    assert all(abs(vector.sum() - 1) < 1e-5 for vector in spectra["vector"])


def test_only_sd_has_a_vector(table_path):
    frame = pd.read_parquet(table_path)
    assert set(frame.loc[frame["vector"].notna(), "metric"]) == {"sd"}


def test_the_metadata_says_how_the_numbers_were_made(table_path):
    facts = read_metadata(table_path)
    assert facts["reference"] == "step16"
    assert facts["device"] == "cpu"
    assert facts["schema_version"] == 1
    assert "torch" in facts["packages"]
    reasons = dict(facts["skipped"])
    assert set(reasons) == {
        f"gpt_neox.layers.{layer}.attention.{name}" for layer in (0, 1) for name in ("bias", "query_key_value.bias")
    }
    text = pq.read_metadata(table_path).metadata[b"spectra"].decode()
    assert text == json.dumps(json.loads(text), sort_keys=True)


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"a,b\n1,2\n"])
def test_what_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(SpectraError, match=r"x\.parquet is not a Parquet file"):
        read_table(path)


def test_a_parquet_file_of_something_else_is_named(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(SpectraError, match="not a table of spectra"):
        read_table(tmp_path / "x.parquet")
