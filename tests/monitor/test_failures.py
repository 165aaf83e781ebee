"""What goes wrong in a monitor is said once, in two lines, and does not stop training."""

import errno
import logging
import os
import resource

import pytest
import torch

from spectra_cli.errors import SpectraError
from spectra_cli.monitor import SpectralMonitor
from spectra_cli.storage.table import read_metadata
from spectra_cli.studies.events import Event
from tests.support.training import rows_of


def small_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))


def test_a_matrix_of_nan_is_named_once_and_has_rows_of_nan(tmp_path, caplog):
    model, events = small_model(), []
    with SpectralMonitor(model, every=1, out=tmp_path / "run.parquet", on_event=events.append) as monitor:
        for step in range(4):
            if step == 1:
                with torch.no_grad():
                    model[0].weight[0, 0] = float("nan")
            monitor.step(step)
    rows = rows_of(tmp_path / "run.parquet")
    broken = rows[(rows["metric"] == "stable_rank") & rows["value"].isna()]
    assert [*zip(broken["step"], broken["tensor"], strict=True)] == [(step, "0.weight") for step in (1, 2, 3)]
    warned = [record.getMessage() for record in caplog.records]
    assert warned[0] == (
        "spectra: step1: 0.weight holds NaN or Inf\n  the rows of 0 at this checkpoint are NaN; the table's metadata "
        "name all of them"
    )
    assert warned[1:] == ["spectra: broken at step 1: 0 (NaN or Inf)"]
    assert [(event.kind, event.step, event.matrices) for event in events] == [("broken", 1, ("0",))]
    written = (tmp_path / "run.parquet.events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Event.from_line(line) for line in written] == events


def limited_to(size):
    """Let no file of this process grow beyond so many bytes: what a full disk does, as far as a program can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    return before


def test_a_full_disk_is_named_once_and_training_goes_on(tmp_path, caplog):
    model = small_model()
    with SpectralMonitor(model, every=1, out=tmp_path / "run.parquet") as monitor:
        monitor.step(0)
        before = limited_to(20_000)
        try:
            for step in range(1, 8):
                monitor.step(step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        monitor.step(8)
    first, stopped = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"spectra: step 1 was not measured: {tmp_path / 'run.parquet'} cannot be written: ")
    assert os.strerror(errno.EFBIG) in first
    assert stopped.startswith("spectra: the monitor measures nothing more; training goes on\n")
    assert set(rows_of(tmp_path / "run.parquet")["step"]) == {0}


def test_it_goes_on_once_there_is_room_again(tmp_path, caplog):
    model = small_model()
    with SpectralMonitor(model, every=1, out=tmp_path / "run.parquet") as monitor:
        monitor.step(0)
        before = limited_to(20_000)
        try:
            monitor.step(1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        monitor.step(2)
    assert len(caplog.records) == 1
    rows = rows_of(tmp_path / "run.parquet")
    assert set(rows["step"]) == {0, 2}
    moved = rows[(rows["metric"] == "update_norm_prev") & (rows["step"] == 2)]
    assert list(moved["value"]) == [0.0, 0.0]  # against the last step that was measured


def test_the_user_may_have_it_raised(tmp_path):
    monitor = SpectralMonitor(small_model(), every=1, out=tmp_path / "run.parquet", strict=True)
    before = limited_to(20_000)
    try:
        with pytest.raises(SpectraError, match="step 0 was not measured"):
            monitor.step(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        monitor.close()


def test_a_tracker_that_fails_is_named_once(tmp_path, caplog):
    def refuse(*_):
        raise ConnectionError("no network")

    with SpectralMonitor(small_model(), every=1, out=tmp_path / "run.parquet", writers=[refuse]) as monitor:
        for step in range(3):
            monitor.step(step)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "a tracker refuses the scalars: ConnectionError" in caplog.text
    assert set(rows_of(tmp_path / "run.parquet")["step"]) == {0, 1, 2}


def test_another_model_than_at_the_start_is_named(tmp_path, caplog):
    model = small_model()
    with SpectralMonitor(model, every=1, out=tmp_path / "run.parquet") as monitor:
        model.append(torch.nn.Linear(64, 2))
        monitor.step(0)
    assert "the model has other tensors than when the monitor was made" in caplog.text


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"every": 0}, "every=0 is too few"),
        ({"budget": 2.0}, "budget=2.0 is no share"),
        ({"metrics": ("alhpa",)}, "there is no metric 'alhpa'"),
        ({"metric": ("alpha",)}, "there is no option metric"),
        ({"roles": ("q",)}, "has no matrix that was asked for"),
        ({"out": "missing/run.parquet"}, "missing is not there|cannot be written"),
        ({"config": 3}, "config is a int"),
    ],
)
def test_mistakes_are_told_before_training_begins(tmp_path, monkeypatch, options, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpectraError, match=what):
        SpectralMonitor(small_model(), **options)


def test_a_table_that_is_there_is_not_overwritten(tmp_path):
    table = tmp_path / "run.parquet"
    with SpectralMonitor(small_model(), every=1, out=table) as monitor:
        monitor.step(0)
    with pytest.raises(SpectraError, match=r"run\.parquet is there already"):
        SpectralMonitor(small_model(), out=table)


def test_a_resumed_run_goes_on_with_its_table(tmp_path):
    model, table = small_model(), tmp_path / "run.parquet"
    with SpectralMonitor(model, every=1, out=table) as monitor:
        for step in range(4):
            monitor.step(step)
    with SpectralMonitor(model, every=1, out=table, resume=True) as monitor:  # its checkpoint was of step 2
        for step in range(2, 5):
            monitor.step(step)
    rows = rows_of(table)
    assert [line[2] for line in read_metadata(table)["checkpoints"]] == [0, 1, 2, 3, 4]
    moved = rows[rows["metric"] == "update_norm_prev"]
    assert list(moved["step"]) == [1, 1, 2, 2, 3, 3, 4, 4]
    with SpectralMonitor(model, every=1, out=table, restart=True) as monitor:
        monitor.step(7)
    assert set(rows_of(table)["step"]) == {7}


def test_a_resumed_run_reports_an_event_once_and_drops_those_of_steps_that_come_again(tmp_path):
    model, table, events = small_model(), tmp_path / "run.parquet", []

    def watch(steps, ruined, resume):
        with SpectralMonitor(model, every=1, out=table, on_event=events.append, resume=resume) as monitor:
            for step in steps:
                if step in ruined:
                    with torch.no_grad():
                        model[ruined[step]].weight.fill_(torch.nan)
                monitor.step(step)

    def not_numbers(events):
        return [(event.step, event.matrices) for event in events if event.numbers.get("what") == "NaN or Inf"]

    watch(range(5), {1: 0, 4: 1}, resume=False)
    assert not_numbers(events) == [(1, ("0",)), (4, ("1",))]
    torch.nn.init.ones_(model[1].weight)
    events.clear()
    watch(range(2, 6), {5: 1}, resume=True)  # its checkpoint was of step 2
    assert not_numbers(events) == [(5, ("1",))]
    written = (tmp_path / "run.parquet.events.jsonl").read_text(encoding="utf-8").splitlines()
    assert not_numbers(map(Event.from_line, written)) == [(1, ("0",)), (5, ("1",))]
