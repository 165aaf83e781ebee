"""`spectra watch`: what it prints, writes and returns."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from spectra_cli.storage.table import read_metadata

SOON = ("--quiet-period", "0.05s", "--every", "0.02s", "--idle", "0.3s")


def test_it_says_a_line_for_each_checkpoint_and_how_it_ended(kept_run, tmp_path, spectra):
    output = tmp_path / "a.parquet"
    said = spectra("watch", kept_run, "-o", output, *SOON)
    assert (said.code, said.out) == (0, "")
    lines = said.err.splitlines()
    assert lines[0].startswith(f"{kept_run} · step 0, 1 checkpoint · stable rank ")
    assert lines[-2:] == [
        f"{output} · 6 checkpoints · 0 events · nothing new came",
        "the run is not known to be over: the same command goes on from here",
    ]
    assert read_metadata(output)["unfinished"] is True


def test_json_is_one_object_on_standard_output(kept_run, tmp_path, spectra):
    said = spectra("watch", kept_run, "-o", tmp_path / "a.parquet", *SOON, "--json")
    assert (said.code, said.err) == (0, "")
    facts = json.loads(said.out)
    assert (facts["checkpoints"], facts["over"], facts["events"], facts["problems"]) == (6, False, [], [])


def test_a_checkpoint_that_was_never_complete_is_named(kept_run, tmp_path, spectra):
    run = shutil.copytree(kept_run, tmp_path / "run")
    whole = run / "step16" / "model.safetensors"
    whole.write_bytes(whole.read_bytes()[:-1])
    said = spectra("watch", run, "-o", tmp_path / "a.parquet", *SOON, "-q")
    assert said.code == 3
    assert said.err.splitlines() == [
        "spectra: step16 was not complete: a file is missing, too short, or was still changing",
        "  write it again, or remove it; --marker NAME says which file ends a checkpoint",
    ]


def test_a_table_of_another_request_is_not_continued(kept_run, tmp_path, spectra):
    output = tmp_path / "a.parquet"
    assert spectra("watch", kept_run, "-o", output, *SOON, "-q", "--roles", "q").code == 0
    before = output.read_bytes()
    said = spectra("watch", kept_run, "-o", output, *SOON, "-q", "--roles", "k")
    assert (said.code, len(said.err.splitlines())) == (1, 2)
    assert output.read_bytes() == before
    assert spectra("watch", kept_run, "-o", output, *SOON, "-q", "--roles", "k", "--restart").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--share", "0"), ("--share", "1.5"), ("--nice", "20"), ("--idle", "soon"), ("--idle", "0s"),
        ("--marker", "a/b"), ("--steps", "0:10:2"), ("--report", "a.pdf"), ("-o", "a.csv"),
    ],
)  # fmt: skip
def test_what_can_never_be_carried_out_is_a_usage_error(kept_run, tmp_path, spectra, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    said = spectra("watch", kept_run, "-o", "a.parquet", *SOON, *options)
    assert (said.code, len(said.err.splitlines())) == (2, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_page_is_written_with_the_trainers_log_and_says_that_the_run_goes_on(run, tmp_path, spectra):
    history = [{"step": step, "loss": 3 - step / 10, "learning_rate": 1e-3} for step in range(1, 17)]
    state = {"global_step": 16, "max_steps": 20, "log_history": history}
    (run / "step16" / "trainer_state.json").write_text(json.dumps(state))
    page = tmp_path / "a.html"
    assert spectra("watch", run, "-o", tmp_path / "a.parquet", *SOON, "-q", "--report", page).code == 0
    assert "The run is not known to be over; the last checkpoint seen is step 16." in page.read_text()
    assert "a.parquet.loss.jsonl" in page.read_text()


@pytest.mark.slow
def test_it_gives_way_to_other_processes_and_holds_its_table(kept_run, tmp_path, spectra):
    output = tmp_path / "a.parquet"
    command = [sys.executable, "-m", "spectra_cli", "watch", str(kept_run), "-o", str(output), "--nice", "7", "-q"]
    process = subprocess.Popen(command)
    try:
        while not (tmp_path / "a.parquet.parts").exists():
            assert process.poll() is None
            time.sleep(0.02)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 7
        said = spectra("watch", kept_run, "-o", output, *SOON)
        assert (said.code, len(said.err.splitlines())) == (1, 2)
    finally:
        process.kill()
        process.wait()
