"""Watching a run: the rows of a scan to the bit, each once, whatever a training program does to its files meanwhile."""

import json
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest
import torch

from spectra_cli import read_table
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.jobs.verify import verify_table
from spectra_cli.jobs.watch import Conditions, OnChange, watch_run
from spectra_cli.jobs.watch.completeness import Completeness
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint
from spectra_cli.sources.changes import fingerprint, last_change
from spectra_cli.storage.table import read_metadata
from tests.support import models, run_writers, runs

SOON = {"quiet": 0.05, "poll": 0.02, "idle": 0.4}


def watch(run, output, *, options=None, **conditions):
    return watch_run(run, output, conditions=Conditions(**{**SOON, **conditions}), **(options or {}))


def rows(path):
    """All rows but those against the run's end, which a scan has and watching has not."""
    table = read_table(path, vectors=True)
    return table.filter(pc.invert(pc.ends_with(table["metric"].cast("string"), "_final"))).to_pylist()


def same_as_scan(output, run, tmp_path):
    scan_checkpoints(run, tmp_path / "scan.parquet")
    return rows(output) == rows(tmp_path / "scan.parquet")


def test_the_rows_are_those_of_a_scan_to_the_bit(kept_run, table_path, tmp_path):
    watched = watch(kept_run, tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == rows(table_path)
    assert (watched.checkpoints, watched.problems, watched.over) == (6, (), False)
    assert verify_table(tmp_path / "a.parquet").findings == ()
    metadata = read_metadata(tmp_path / "a.parquet")
    assert metadata["unfinished"] is True
    assert metadata["reference"] is None
    assert [line[0] for line in metadata["checkpoints"]] == [f"step{step}" for step in runs.STEPS]


@pytest.mark.slow
def test_it_takes_up_a_table_and_measures_what_is_new(kept_run, table_path, tmp_path):
    run, output, seen = tmp_path / kept_run.name, tmp_path / "a.parquet", []
    for step in runs.STEPS:
        shutil.copytree(kept_run / f"step{step}", run / f"step{step}")
        if step in (1, 4, 16):
            changes = OnChange(measured=lambda m, seconds: seen.append(m.revision) if seconds else None)
            watch_run(run, output, conditions=Conditions(**SOON), on_change=changes)
    assert seen == [f"step{step}" for step in runs.STEPS]
    assert rows(output) == rows(table_path)


def test_each_checkpoint_may_be_deleted_once_it_was_measured(kept_run, table_path, tmp_path):
    run = shutil.copytree(kept_run, tmp_path / kept_run.name)
    changes = OnChange(measured=lambda measurement, _: shutil.rmtree(run / measurement.revision))
    watch_run(run, tmp_path / "a.parquet", conditions=Conditions(**SOON), on_change=changes)
    assert rows(tmp_path / "a.parquet") == rows(table_path)


@pytest.mark.slow
def test_a_checkpoint_without_the_one_before_is_measured_and_not_compared(kept_run, tmp_path):
    run, output = shutil.copytree(kept_run, tmp_path / kept_run.name), tmp_path / "a.parquet"
    for step in runs.STEPS[3:]:
        shutil.rmtree(run / f"step{step}")
    watch(run, output)
    shutil.rmtree(run / "step2")
    shutil.copytree(kept_run / "step8", run / "step8")
    watched = watch(run, output)
    assert [problem.message for problem in watched.problems] == [
        "step8 is not compared with step2, whose files were gone when watching was taken up again"
    ]
    assert not [row for row in rows(output) if row["revision"] == "step8" and row["metric"].endswith("_prev")]


@pytest.mark.slow
def test_a_run_that_was_resumed_and_writes_a_checkpoint_anew_is_measured_anew_from_there(kept_run, tmp_path):
    run, output = shutil.copytree(kept_run, tmp_path / "run"), tmp_path / "a.parquet"
    watch(run, output)
    shutil.rmtree(run / "step8")
    runs.write_checkpoint(run / "step8", runs.neox_tensors(9))
    dropped = []
    conditions = Conditions(**SOON)
    watched = watch_run(run, output, conditions=conditions, on_change=OnChange(dropped=dropped.append))
    assert dropped == [8]
    assert watched.checkpoints == 6
    assert same_as_scan(output, run, tmp_path)


@pytest.mark.slow
def test_a_checkpoint_that_comes_late_takes_its_own_turn(kept_run, tmp_path):
    run, output = shutil.copytree(kept_run, tmp_path / "run"), tmp_path / "a.parquet"
    shutil.move(run / "step4", tmp_path / "later")
    watch(run, output)
    shutil.move(tmp_path / "later", run / "step4")
    watch(run, output)
    assert same_as_scan(output, run, tmp_path)


@pytest.mark.slow
def test_one_that_comes_late_is_named_where_later_ones_are_gone(kept_run, tmp_path):
    run, output = shutil.copytree(kept_run, tmp_path / "run"), tmp_path / "a.parquet"
    shutil.move(run / "step4", tmp_path / "later")
    watch(run, output)
    before = rows(output)
    shutil.rmtree(run / "step8")
    shutil.move(tmp_path / "later", run / "step4")
    watched = watch(run, output)
    assert "came after later checkpoints were measured" in watched.problems[0].message
    assert rows(output) == before


@pytest.mark.slow
def test_one_that_cannot_be_measured_is_tried_again_and_named_and_the_others_are_measured(kept_run, tmp_path):
    run, output, tries = shutil.copytree(kept_run, tmp_path / "run"), tmp_path / "a.parquet", []
    (run / "step4" / "config.json").write_text(json.dumps({**runs.CONFIG, "num_attention_heads": 5}))
    conditions = Conditions(**{**SOON, "quiet": 0.01, "idle": 2.5}, tries=2)
    watched = watch_run(run, output, conditions=conditions, on_change=OnChange(failed=tries.append))
    assert len(tries) >= 2
    assert watched.checkpoints == 5
    assert any("step4" in problem.message for problem in watched.problems)
    shutil.rmtree(run / "step4")
    assert same_as_scan(output, run, tmp_path)


def test_the_trainers_last_step_ends_it(kept_run, tmp_path):
    run = shutil.copytree(kept_run, tmp_path / "run")
    for step in runs.STEPS:
        state = {"global_step": step, "max_steps": 16, "log_history": [{"step": step, "loss": 2.0}]}
        (run / f"step{step}" / "trainer_state.json").write_text(json.dumps(state))
    watched = watch(run, tmp_path / "a.parquet", idle=None, quiet=60.0)
    assert watched.over
    assert read_metadata(tmp_path / "a.parquet")["unfinished"] is False
    assert (tmp_path / "a.parquet.loss.jsonl").exists()


def test_the_users_markers_say_what_is_complete_and_when_it_ends(kept_run, tmp_path):
    run = shutil.copytree(kept_run, tmp_path / "run")
    for step in runs.STEPS[:-1]:
        (run / f"step{step}" / "DONE").touch()
    watched = watch(run, tmp_path / "a.parquet", marker="DONE")
    assert watched.checkpoints == 5
    assert "step16 was not complete" in watched.problems[0].message
    (run / "step16" / "DONE").touch()
    (run / "OVER").touch()
    assert watch(run, tmp_path / "a.parquet", marker="DONE", done_marker="OVER", idle=None).over


def test_a_checkpoint_is_measured_once_its_files_have_rested_however_seldom_it_is_looked(kept_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(kept_run / "step0", run / "step0")
    (run / "OVER").touch()
    began = time.monotonic()
    assert watch(run, tmp_path / "a.parquet", poll=300, idle=None, done_marker="OVER").checkpoints == 1
    assert time.monotonic() - began < 100


@pytest.mark.slow
def test_a_run_may_begin_after_it_is_watched(kept_run, tmp_path):
    run, output = tmp_path / "not yet" / kept_run.name, tmp_path / "a.parquet"
    with pytest.raises(SpectraError, match="is not there"):
        watch(run, output)
    copying = threading.Timer(0.3, lambda: shutil.copytree(kept_run, run))
    copying.start()
    assert watch(run, output, idle=1.5).checkpoints == 6


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_checkpoint_cut_short_anywhere_is_never_complete(tmp_path, name):
    whole = runs.write_checkpoint(tmp_path / "whole", runs.neox_tensors(1)) / "model.safetensors"
    if name.endswith(".bin"):
        whole.unlink()
        whole = whole.with_name(name)
        torch.save(runs.neox_tensors(1), whole)
    data, draw = whole.read_bytes(), random.Random(0)
    folder = tmp_path / "run" / "step1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(runs.CONFIG))
    checkpoint = Checkpoint("run", "step1", folder, 1)
    looks = Completeness(Request(str(folder.parent)), Conditions(quiet=0.0))
    for _ in range(100):
        (folder / name).write_bytes(data[: draw.randrange(len(data))])
        assert looks.complete(checkpoint) is None
    (folder / name).write_bytes(data)
    assert looks.complete(checkpoint) is not None


def test_what_still_changes_is_not_complete_until_it_has_rested(tmp_path):
    folder = runs.write_checkpoint(tmp_path / "run" / "step1", runs.neox_tensors(1))
    checkpoint, now = Checkpoint("run", "step1", folder, 1), [0.0]
    looks = Completeness(Request(str(folder.parent)), Conditions(quiet=10.0), clock=lambda: now[0])
    assert looks.complete(checkpoint) is None
    now[0] = 9.0
    os.utime(folder / "model.safetensors", (1, 1))
    assert looks.complete(checkpoint) is None
    now[0] = 18.0
    assert looks.complete(checkpoint) is None
    now[0] = 19.0
    assert looks.complete(checkpoint) is not None


def test_a_checkpoint_may_be_removed_and_written_again_while_it_is_looked_at(tmp_path):
    whole = runs.write_checkpoint(tmp_path / "whole", runs.neox_tensors(1))
    (whole / "trainer_state.json").write_text('{"global_step": 1}')
    for name in ("a", "b"):
        (whole / name).mkdir()
        (whole / name / "rng_state.pth").touch()
    folder, over = tmp_path / "run" / "step1", threading.Event()
    looks = Completeness(Request(str(folder.parent)), Conditions(quiet=60.0))

    def rotate():
        while not over.is_set():
            shutil.copytree(whole, folder)
            shutil.rmtree(folder)

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        for _ in range(500):
            looks.complete(Checkpoint("run", "step1", folder, 1))
            fingerprint(folder)
            last_change(folder)
    finally:
        over.set()
        rotating.join()


def test_a_trainers_state_older_than_the_weights_says_nothing(tmp_path):
    folder = runs.write_checkpoint(tmp_path / "run" / "step1", runs.neox_tensors(1))
    checkpoint = Checkpoint("run", "step1", folder, 1)
    looks = Completeness(Request(str(folder.parent)), Conditions(quiet=60.0))
    (folder / "trainer_state.json").write_text('{"global_step": 1}')
    assert looks.complete(checkpoint) is not None
    later = time.time() + 5
    os.utime(folder / "model.safetensors", (later, later))
    assert looks.complete(checkpoint) is None


def test_metadata_of_a_distributed_checkpoint_older_than_its_shards_says_nothing(tmp_path):
    run_writers.torchtitan(tmp_path / "run", 20, models.gated(20))
    folder = tmp_path / "run" / "step-20"
    checkpoint = Checkpoint("run", "step-20", folder, 20)
    looks = Completeness(Request(str(folder.parent)), Conditions(quiet=60.0))
    assert looks.complete(checkpoint) is not None
    later = time.time() + 5
    os.utime(next(folder.glob("*.distcp")), (later, later))
    assert looks.complete(checkpoint) is None


@pytest.mark.parametrize("said", ["DONE", "trainer_state.json"])
def test_what_is_being_removed_is_not_measured_without_its_configuration(tmp_path, said):
    folder = runs.write_checkpoint(tmp_path / "run" / "step1", runs.neox_tensors(1))
    checkpoint, now = Checkpoint("run", "step1", folder, 1), [0.0]
    conditions = Conditions(quiet=10.0, marker="DONE" if said == "DONE" else None)
    looks = Completeness(Request(str(folder.parent)), conditions, clock=lambda: now[0])
    (folder / said).write_text('{"global_step": 1}')
    assert looks.complete(checkpoint) is not None
    (folder / "config.json").unlink()
    now[0] = 9.0
    assert looks.complete(checkpoint) is None


@pytest.mark.slow
def test_what_is_added_after_a_checkpoint_was_measured_leaves_its_rows(kept_run, tmp_path):
    """Results of an evaluation, states of other ranks, and the run's own configuration, all while training rotates."""
    run, output = shutil.copytree(kept_run, tmp_path / kept_run.name), tmp_path / "a.parquet"
    watch(run, output)
    before = rows(output)
    for name in ("eval_results.json", "rng_state_3.pth", "README.md", "../config.json"):
        (run / "step8" / name).write_text("{}")
    shutil.rmtree(run / "step16")
    watched = watch_run(run, output, conditions=Conditions(**SOON), on_change=OnChange(dropped=pytest.fail))
    assert watched.checkpoints == 6
    assert rows(output) == before


@pytest.mark.slow
def test_files_that_change_while_they_are_measured_give_no_row(kept_run, tmp_path):
    """The weights are replaced again and again while the checkpoint is measured for the first time."""
    run, output, replaced = shutil.copytree(kept_run, tmp_path / "run"), tmp_path / "a.parquet", []

    def measured(measurement, _):
        if measurement.revision == "step2" and not replaced:
            replaced.append(threading.Thread(target=replace))
            replaced[0].start()

    def replace():
        for _ in range(40):
            runs.edit(run / "step4", embed_out__weight=torch.randn(runs.TOKENS, runs.WIDTH).half())
            time.sleep(0.01)

    changes = OnChange(measured=measured)
    watch_run(run, output, conditions=Conditions(**{**SOON, "quiet": 0.0, "idle": 1.0}), on_change=changes)
    replaced[0].join()
    assert watch(run, output).checkpoints == 6
    assert same_as_scan(output, run, tmp_path)


@pytest.mark.parametrize(
    ("conditions", "options", "words"),
    [
        ({"share": 0.0}, {}, "no share"),
        ({"marker": "a/b"}, {}, "no name of a file"),
        ({}, {"steps": "0:100:2"}, "counts from the last"),
    ],
)
def test_what_can_never_be_carried_out_is_refused_at_once(kept_run, tmp_path, conditions, options, words):
    with pytest.raises(SpectraError, match=words):
        watch(kept_run, tmp_path / "a.parquet", options=options, **conditions)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_share_of_the_time_is_kept(kept_run, tmp_path):
    began, measuring = time.monotonic(), []
    changes = OnChange(measured=lambda _, seconds: measuring.append(seconds))
    watch_run(kept_run, tmp_path / "a.parquet", conditions=Conditions(**SOON, share=0.5), on_change=changes)
    assert time.monotonic() - began >= 2 * sum(measuring)


def test_a_hostile_name_is_one_checkpoint_like_any_other(tmp_path):
    run = runs.write_run(Path(tmp_path / "run"), steps=(0, 1))
    (run / "step1").rename(run / "step1-\x1b[31m")
    assert watch(run, tmp_path / "a.parquet").checkpoints == 2
