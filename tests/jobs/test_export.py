"""Other forms of a table hold its numbers, each read by the program that it is for."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.export import export_table
from spectra_cli.storage.table import read_metadata, row_groups, write_table

LINE = ["revision", "matrix"]


@pytest.fixture(scope="module")
def wanted(table_path) -> pd.DataFrame:
    """The wide form by pandas, from the whole table at once."""
    frame = read_table(table_path).to_pandas().astype(dict.fromkeys((*LINE, "metric"), str))
    return frame[frame["metric"] != "sd"].pivot(index=LINE, columns="metric", values="value").sort_index()


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    found = found.set_index(LINE).sort_index()
    assert found.index.equals(wanted.index)
    for metric in wanted.columns:
        np.testing.assert_array_equal(found[metric].astype(float), wanted[metric].astype(float))


def test_parquet_has_a_column_for_each_metric_and_keeps_how_it_was_made(table_path, tmp_path, wanted):
    written = export_table(table_path, tmp_path / "wide.parquet")
    found = pq.read_table(written.output)
    same(found.to_pandas(), wanted)
    assert written.rows == len(found)
    assert json.loads(found.schema.metadata[b"spectra"]) == read_metadata(table_path)
    assert found["layer"].type == pa.int32()
    assert polars.read_parquet(written.output).height == len(found)


def test_csv_is_the_same_and_says_that_it_lacks_the_metadata(spectra, table_path, tmp_path, wanted):
    said = spectra("export", table_path, "-o", tmp_path / "wide.csv")
    assert (said.code, said.out) == (0, "")
    assert "keep the table beside it" in said.err
    same(pd.read_csv(tmp_path / "wide.csv"), wanted)


def test_the_long_form_has_the_rows_of_the_table(table_path, tmp_path):
    written = export_table(table_path, tmp_path / "long.csv", long=True)
    table = read_table(table_path).to_pandas()
    table = table[table["metric"] != "sd"]
    found = pd.read_csv(written.output)
    assert len(found) == len(table) == written.rows
    np.testing.assert_array_equal(found["value"], table["value"])
    assert (found["metric"].to_numpy() == table["metric"].astype(str).to_numpy()).all()


def test_duckdb_answers_in_sql(spectra, table_path, tmp_path, wanted):
    duckdb = pytest.importorskip("duckdb")
    said = spectra("export", table_path, "-o", tmp_path / "a.duckdb", "--json")
    assert json.loads(said.out)["rows"] == len(wanted)
    with duckdb.connect(tmp_path / "a.duckdb", read_only=True) as database:
        same(database.sql("SELECT * FROM spectra").df(), wanted)
        (facts,) = database.sql("SELECT spectra FROM metadata").fetchall()[0]
    assert json.loads(facts) == read_metadata(table_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]


@pytest.mark.slow
def test_a_folder_is_loaded_by_datasets_and_has_a_card(table_path, tmp_path, wanted):
    datasets = pytest.importorskip("datasets")
    export_table(table_path, f"{tmp_path / 'set'}/")
    loaded = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"), split="train")
    same(loaded.to_pandas(), wanted)
    assert f"{len(wanted):,} rows" in (tmp_path / "set" / "README.md").read_text()


def test_a_table_that_another_program_parted_otherwise_gives_the_same(table_path, tmp_path):
    frame = read_table(table_path).to_pandas()
    frame.to_parquet(tmp_path / "pandas.parquet", row_group_size=1000)
    export_table(table_path, tmp_path / "a.csv")
    export_table(tmp_path / "pandas.parquet", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    frame.sort_values("metric").to_parquet(tmp_path / "sorted.parquet")
    with pytest.raises(SpectraError, match="do not stand together"):
        export_table(tmp_path / "sorted.parquet", tmp_path / "c.csv")


def test_a_number_that_is_there_twice_is_refused(table_path, tmp_path):
    groups = [pa.concat_tables([group, group.slice(3, 1)]).unify_dictionaries() for group in row_groups(table_path)]
    write_table(tmp_path / "a.parquet", groups, read_metadata(table_path))
    with pytest.raises(SpectraError, match="twice"):
        export_table(tmp_path / "a.parquet", tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()


def test_a_metric_with_the_name_of_a_column_is_refused_and_the_way_out_works(spectra, table_path, tmp_path):
    frame = read_table(table_path).to_pandas()
    frame["metric"] = frame["metric"].astype(str).replace("entropy", "layer")
    frame.to_parquet(tmp_path / "a.parquet")
    said = spectra("export", tmp_path / "a.parquet", "-o", tmp_path / "b.csv")
    assert said.code == 1
    assert "--long" in said.err
    assert spectra("export", tmp_path / "a.parquet", "-o", tmp_path / "b.csv", "--long").code == 0


@pytest.mark.parametrize(("output", "code"), [("a.xlsx", 2), (".csv", 2), ("small.parquet", 2), ("full/", 1)])
def test_what_cannot_be_written_is_said_in_two_lines(spectra, table_path, tmp_path, output, code):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "small.parquet").symlink_to(table_path)
    said = spectra("export", table_path, "-o", f"{tmp_path}/{output}")
    assert (said.code, len(said.err.splitlines())) == (code, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"full", "small.parquet"}


def test_tensorboard_has_the_means_over_each_role(table_path, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = export_table(table_path, tmp_path / "small.tensorboard")
    found = EventAccumulator(str(written.output)).Reload()
    means = means_of(table_path)
    events = found.Scalars("spectra/stable_rank/q")
    assert [event.step for event in events] == list(means.index)
    np.testing.assert_allclose([event.value for event in events], means, rtol=1e-6)
    tags = found.Tags()["scalars"]
    assert written.rows == sum(len(found.Scalars(tag)) for tag in tags)
    assert not written.metadata_kept


def records_of(content):
    """The records of a log as LevelDB and Weights & Biases write it: blocks of 32 KB, each record in pieces of them."""
    at, whole = 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        if left < 7 or kind == 0:
            at += left
            continue
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole one, or the last piece
            yield whole
            whole = b""


def means_of(table_path, metric="stable_rank", role="q"):
    table = read_table(table_path).pandas()
    rows = table[(table["metric"] == metric) & (table["role"] == role)]
    return rows.groupby("step")["value"].mean()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what is not ours
def test_mlflow_has_the_means_over_each_role(table_path, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    written = export_table(table_path, tmp_path / "small.mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{written.output / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("spectra").experiment_id])
    history = client.get_metric_history(run.info.run_id, "spectra/stable_rank/q")
    assert {point.step: point.value for point in history} == dict(means_of(table_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what is not ours
def test_weights_and_biases_keeps_the_run_offline(table_path, tmp_path):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    written = export_table(table_path, tmp_path / "small.wandb")
    (path,) = written.output.rglob("run-*.wandb")
    logged = {}
    for data in records_of(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        if "spectra/step" in items:
            logged[items["spectra/step"]] = items["spectra/stable_rank/q"]
    assert logged == dict(means_of(table_path))


@pytest.mark.slow
def test_what_the_docs_ask_the_table_itself_is_answered(table_path, tmp_path):
    shutil.copy(table_path, tmp_path / "mine.parquet")
    page = (Path(__file__).parents[2] / "docs" / "table.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("python -c")]
    assert len(lines) == 2
    for line in lines:
        arguments = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "step" in done.stdout


def test_without_duckdb_the_command_says_what_to_install(table_path, tmp_path):
    script = "import sys; sys.modules['duckdb'] = None; from spectra_cli.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "export", str(table_path), "-o", str(tmp_path / "a.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[1]) == (1, "  pip install duckdb")


def test_names_are_plain_text_on_the_card(table_path, tmp_path):
    write_table(
        tmp_path / "a.parquet", row_groups(table_path), read_metadata(table_path) | {"source": "x\n# [y](z) <b>"}
    )
    export_table(tmp_path / "a.parquet", f"{tmp_path / 'set'}/")
    card = (tmp_path / "set" / "README.md").read_text()
    assert "\n# [y]" not in card
    assert "\\<b\\>" in card
