"""A table that grows: whole at any moment, the same rows as one written at once, whatever ends its writer."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.verify import verify_table
from spectra_cli.records import Checkpoint, Matrix, MatrixRows, Spectrum
from spectra_cli.storage.appended import AppendedCheckpoint, AppendedTable
from spectra_cli.storage.manifest import CheckpointNotes, LayoutNotes
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import read_metadata, read_rows, row_groups, to_arrow, write_table

SETTINGS = {"options": {"metrics": ["sd", "stable_rank"]}}


def describe(entries):
    checkpoints = [[entry.checkpoint.revision, None, entry.checkpoint.step, entry.notes.matrices] for entry in entries]
    return {"tool": "spectra", "model": "run", "checkpoints": checkpoints}


def entry(step):
    notes = CheckpointNotes(LayoutNotes("llama", (("norm", "vector"),)), 3, unmoved=("a",) if step else ())
    return AppendedCheckpoint(Checkpoint("run", f"step{step}", Path("x"), step), notes, f"files of {step}")


def rows_of(step):
    checkpoint, rows = entry(step).checkpoint, []
    for name in "abc":
        spectrum = Spectrum.of(*(1 + step + ord(name) + index for index in range(4)))
        matrix = Matrix(name, "q", name, 4, 4)
        distribution = (spectrum.sigma / spectrum.sigma.sum()).astype("float32")
        rows.append(MatrixRows(checkpoint, matrix, {"sd": distribution, "stable_rank": 1 + step / 1000}))
    return to_arrow(rows)


def grown(path, steps, **options):
    with AppendedTable(path, SETTINGS, describe, **options) as table:
        for step in steps:
            table.append(entry(step), rows_of(step))
    return path


def test_it_holds_what_a_table_written_at_once_holds(tmp_path):
    path = grown(tmp_path / "a.parquet", range(5))
    write_table(tmp_path / "b.parquet", map(rows_of, range(5)), describe([entry(step) for step in range(5)]))
    assert read_rows(path, vectors=True).equals(read_rows(tmp_path / "b.parquet", vectors=True))
    assert read_metadata(path) == read_metadata(tmp_path / "b.parquet")
    assert verify_table(path).findings == ()
    assert {*os.listdir(tmp_path)} == {"a.parquet", "b.parquet"}


def test_its_bytes_do_not_say_how_often_it_was_opened(tmp_path):
    path = tmp_path / "a.parquet"
    for step in range(4):
        grown(path, [step])
    assert path.read_bytes() == grown(tmp_path / "b.parquet", range(4)).read_bytes()


def test_what_an_earlier_process_left_comes_back(tmp_path):
    path = grown(tmp_path / "a.parquet", range(3))
    with AppendedTable(path, SETTINGS, describe) as table:
        shown = [(left.checkpoint.step, left.notes, left.fingerprint) for left in table.checkpoints]
    assert shown == [(step, entry(step).notes, entry(step).fingerprint) for step in range(3)]


def test_the_last_checkpoints_can_be_dropped(tmp_path):
    path = grown(tmp_path / "a.parquet", range(5))
    with AppendedTable(path, SETTINGS, describe) as table:
        table.keep(2)
        table.append(entry(9), rows_of(9))
    assert [group["step"][0].as_py() for group in row_groups(path)] == [0, 1, 9]
    assert verify_table(path).findings == ()
    with AppendedTable(path, SETTINGS, describe) as table:
        table.keep(0)
    assert not path.exists()


def test_metadata_can_change_without_a_new_checkpoint(tmp_path):
    path = grown(tmp_path / "a.parquet", range(2))
    before = read_rows(path, vectors=True)
    with AppendedTable(path, SETTINGS, lambda entries: {**describe(entries), "unread": [["x", "y"]]}) as table:
        table.describe_again()
    assert read_metadata(path)["unread"] == [["x", "y"]]
    assert read_rows(path, vectors=True).equals(before)


def test_a_reader_finds_a_whole_table_at_any_moment(tmp_path):
    path, over, failures, seen = grown(tmp_path / "a.parquet", [0]), threading.Event(), [], []

    def read():
        while not over.is_set():
            try:
                seen.append(read_rows(path).num_rows)
            except SpectraError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    grown(path, range(1, 40))
    over.set()
    reader.join()
    assert not failures
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_table_that_is_continued(tmp_path):
    path, steps = tmp_path / "a.parquet", 200
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from tests.storage.test_appended import *\n"
        "with AppendedTable(pathlib.Path(sys.argv[1]), SETTINGS, describe) as table:\n"
        "    print('open', flush=True)\n"
        f"    for step in range(len(table.checkpoints), {steps}): table.append(entry(step), rows_of(step))\n"
    )
    root, draw, kills = str(Path(__file__).parents[2]), random.Random(0), 0
    while kills < 6:
        process = subprocess.Popen([sys.executable, "-c", script, path, root], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"open\n"
        try:
            process.wait(timeout=draw.uniform(0, 0.3))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            process.stdout.close()
            kills += 1
        if path.exists():
            assert verify_table(path).findings == ()
    with AppendedTable(path, SETTINGS, describe) as table:
        for step in range(len(table.checkpoints), steps):
            table.append(entry(step), rows_of(step))
    assert read_rows(path, vectors=True).equals(read_rows(grown(tmp_path / "b.parquet", range(steps)), vectors=True))
    assert {*os.listdir(tmp_path)} == {"a.parquet", "b.parquet"}


def refusal(path, settings=SETTINGS):
    with pytest.raises(SpectraError) as caught, AppendedTable(path, settings, describe):
        pass
    return f"{caught.value.message}\n{caught.value.hint}"


def test_what_is_no_such_table_is_left_as_it_is(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, [rows_of(0)], {})
    assert "not a table that grows" in refusal(path)
    assert "options metrics" in refusal(grown(tmp_path / "b.parquet", [0]), {"options": {"metrics": ["alpha"]}})
    assert read_rows(grown(path, [1], restart=True)).num_rows == rows_of(1).num_rows


def test_a_damaged_one_is_named(tmp_path):
    path = grown(tmp_path / "a.parquet", range(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:400] + whole[-(len(whole) - 4000) :])
    assert "Parquet" in refusal(path) or "damaged" in refusal(path)
    assert path.with_name("a.parquet.parts").exists() is False


def test_one_process_writes_it_and_no_scan_meanwhile(tmp_path):
    path = tmp_path / "a.parquet"
    with AppendedTable(path, SETTINGS, describe):
        assert "is being written by process" in refusal(path)
        with pytest.raises(SpectraError, match="is being written by process"):
            Parts(path, None).__enter__()
    (tmp_path / "a.parquet.parts").mkdir()
    (tmp_path / "a.parquet.parts" / "manifest.json").write_text("{}")
    assert "interrupted scan" in refusal(path)
    assert (tmp_path / "a.parquet.parts" / "manifest.json").exists()


def test_its_metadata_stay_json_beside_other_keys(tmp_path):
    import pyarrow.parquet as pq

    keys = pq.read_metadata(grown(tmp_path / "a.parquet", [0])).metadata
    assert json.loads(keys[b"spectra.appended"])["settings"] == SETTINGS
    assert b"ARROW:schema" in keys
