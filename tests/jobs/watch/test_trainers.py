"""Real training programs beside a real `spectra watch`, both killed: never a wrong row, none missed, none twice."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spectra_cli import read_table
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.jobs.verify import verify_table
from tests.support import runs
from tests.support.processes import CommandLine

pytestmark = pytest.mark.slow
SOON = ("--quiet-period", "0.3s", "--every", "0.05s")
STEPS = tuple(range(12))


@pytest.fixture(scope="module")
def command_line():
    with CommandLine(also=("spectra_cli.jobs.watch", "spectra_cli.views.console.watch")) as prepared:
        yield prepared


def start(*command):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", *map(str, command)], **quiet)


def rows(path):
    """Each row as a text, but those against the run's end, which a scan has and watching has not."""
    table = read_table(path, vectors=True).to_pylist()
    return [json.dumps(row) for row in table if not row["metric"].endswith("_final")]


def as_safetensors(folder):
    pass


def as_shards(folder):
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, weight_map = sorted(whole), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: whole[name] for name in part}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def as_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


class Reader:
    """Reads a table while it grows, and holds that each time it is whole and has no row but true ones."""

    def __init__(self, path: Path, true: list[str]) -> None:
        self.path, self.true, self.times, self.read = path, set(true), 0, 0

    def look(self) -> None:
        if self.path.exists() and (changed := self.path.stat().st_mtime_ns) != self.read:
            found = rows(self.path)
            assert len(found) == len(set(found)), "a row is there twice"
            assert set(found) <= self.true
            self.times, self.read = self.times + 1, changed


@pytest.mark.parametrize("written", [as_safetensors, as_shards, as_pickle])
def test_a_trainer_killed_in_mid_write_a_hundred_times(tmp_path, command_line, written):
    """It writes in place and is killed at random; so is what watches, which is taken up again."""
    source, run, notes, output = tmp_path / "kept" / "run", tmp_path / "run", tmp_path / "notes", tmp_path / "a.parquet"
    runs.write_run(source, STEPS)
    for folder in source.iterdir():
        written(folder)
    scan_checkpoints(source, tmp_path / "scan.parquet")
    true, draw, over = rows(tmp_path / "scan.parquet"), random.Random(0), threading.Event()
    notes.mkdir()
    reader, trainer = Reader(output, true), ("tests.support.trainer_in_place", source, run, notes)

    def watch_and_be_killed():
        while not over.is_set():
            command_line.run("watch", run, "-o", output, *SOON, within=draw.uniform(0.2, 4.0))

    watcher = threading.Thread(target=watch_and_be_killed)
    watcher.start()
    for _ in range(100):
        process = start(*trainer)
        time.sleep(draw.uniform(0.03, 0.4))
        process.kill()
        process.wait()
        reader.look()
    over.set()
    watcher.join()
    assert start(*trainer).wait(60) == 0
    ended = command_line.run("watch", run, "-o", output, *SOON, "--idle", "3s")
    assert (ended.code, ended.err.count("Traceback")) == (0, 0)
    assert rows(output) == true
    assert verify_table(output).findings == ()
    assert reader.times > 1


def test_a_trainer_of_transformers_that_rotates_and_is_killed(tmp_path, command_line):
    run, kept, output = tmp_path / "run", tmp_path / "kept" / "run", tmp_path / "a.parquet"
    trainer, ended = ("tests.support.rotating_trainer", run, kept, 9), []
    watcher = threading.Thread(
        target=lambda: ended.append(command_line.run("watch", run, "-o", output, *SOON, within=200))
    )
    watcher.start()
    process = start(*trainer)
    while not (run / "checkpoint-5").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert start(*trainer).wait(120) == 0
    watcher.join()
    assert (ended[0].code, "the run is over" in ended[0].err) == (0, True), ended[0].err
    assert len(list(run.glob("checkpoint-*"))) == 3
    scan_checkpoints(kept, tmp_path / "scan.parquet")
    assert rows(output) == rows(tmp_path / "scan.parquet")
    assert len({row["step"] for row in read_table(output).to_pylist()}) == 9


def left_beside(output):
    """Names of what lies beside a table."""
    return {
        path.name
        for folder in output.parent.glob(f"{output.name}.*")
        for path in [folder, *folder.rglob("*")]
        if path.is_file()
    }


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_watching_that_is_ended_at_any_moment_goes_on(tmp_path, command_line, number):
    run, output, draw = runs.write_run(tmp_path / "run", STEPS), tmp_path / "a.parquet", random.Random(1)
    scan_checkpoints(run, tmp_path / "scan.parquet")
    true = rows(tmp_path / "scan.parquet")
    reader = Reader(output, true)
    said = (
        f"spectra: stopped by {number.name}\n  {output} holds what was measured: the same command goes on from there\n"
    )
    began = time.monotonic()
    assert command_line.run("watch", run, "-o", tmp_path / "b.parquet", *SOON, "--idle", "1s").code == 0
    usual, softly = time.monotonic() - began, 0
    for _ in range(12):
        ended = command_line.run("watch", run, "-o", output, *SOON, within=draw.uniform(0.05, usual), signal=number)
        if "stopped by" in ended.err:  # else it came before the command began
            assert (ended.code, ended.err[-len(said) :]) == (1, said)
            assert left_beside(output) <= {"lock"}  # one that nobody holds, where it came as the lock was taken
            softly += 1
        reader.look()
    assert command_line.run("watch", run, "-o", output, *SOON, "--idle", "1s").code == 0
    assert rows(output) == true
    assert verify_table(output).findings == ()
    assert softly > 0 or number == signal.SIGKILL
