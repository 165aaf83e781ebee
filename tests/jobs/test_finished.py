"""A table that is complete is not computed again, unless what it was made of is another, or --restart asks."""

import os
import shutil
import time

import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support import runs


@pytest.fixture
def scanned(tmp_path):
    """A run of three checkpoints and its table."""
    run = runs.write_run(tmp_path / "run", (0, 1, 2))
    return run, scan_checkpoints(run, tmp_path / "a.parquet").output


def again(run, table, **options):
    """Whether the same scan computes anything."""
    measured = []
    scan = scan_checkpoints(run, table, on_done=lambda *done: measured.append(done), **options)
    assert bool(measured) == scan.computed
    return scan.computed


def test_a_complete_table_is_left_as_it_is(scanned, spectra):
    run, table = scanned
    before = table.stat().st_mtime_ns, table.read_bytes()
    result = spectra("scan", run, "-o", table)
    assert result.code == 0
    assert "complete already" in result.err
    assert (table.stat().st_mtime_ns, table.read_bytes()) == before
    assert again(run, table, restart=True)
    assert table.read_bytes() == before[1]


@pytest.mark.parametrize("options", [{"metrics": "stable_rank"}, {"steps": "0:1"}, {"reference": "1"}, {"fused": True}])
def test_other_options_compute(scanned, options):
    assert again(*scanned, **options)


def test_a_checkpoint_that_was_written_anew_is_measured(scanned):
    run, table = scanned
    time.sleep(0.02)
    (run / "step1" / "model.safetensors").touch()
    assert again(run, table)
    assert not again(run, table)


def test_another_run_of_the_same_name_and_older_times_is_measured(scanned):
    run, table = scanned
    shutil.rmtree(run)
    runs.write_checkpoint(run / "step0", runs.neox_tensors(7))
    for step in (1, 2):
        shutil.copytree(run / "step0", run / f"step{step}")
    os.utime(table, ns=(time.time_ns() + 10**9,) * 2)
    assert again(run, table)


def test_what_could_not_be_read_is_tried_again(scanned):
    run, table = scanned
    weights = run / "step1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:2000])
    assert again(run, table)
    assert again(run, table)
    weights.write_bytes(whole)
    assert again(run, table)


def test_a_damaged_table_is_written_anew(scanned):
    run, table = scanned
    table.write_bytes(table.read_bytes()[:-9])
    assert again(run, table)


@pytest.mark.parametrize("command", ["scan", "rank1", "diff"])
def test_a_name_that_promises_another_form_is_refused_before_anything_is_read(spectra, tmp_path, command):
    sources = ["nowhere"] * (2 if command == "diff" else 1)
    result = spectra(command, *sources, "-o", tmp_path / "x.csv")
    assert result.code == 2
    assert f"give -o {tmp_path / 'x.parquet'}" in result.err
