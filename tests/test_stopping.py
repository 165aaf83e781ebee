"""A scan that is stopped by a signal, a kill, a full disk, a read-only folder: nothing that was finished is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spectra_cli import scan_checkpoints
from tests import runs

COMMAND = [sys.executable, "-m", "spectra_cli.cli"]
GOES_ON = "the same command goes on from there"


def start(*arguments, **options):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process):
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for(condition, process, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


def parts_of(target):
    return list(Path(f"{target}.parts").glob("[0-9a-f]*.parquet"))


def assert_clean(folder, *, allowed=("a.parquet",)):
    assert sorted(path.name for path in folder.iterdir()) == sorted(allowed)


@pytest.fixture(scope="module")
def large_run(tmp_path_factory):
    """A small checkpoint, and one with a matrix that takes many seconds: the scan is in it when the signal comes."""
    folder = tmp_path_factory.mktemp("large") / "run"
    generator = torch.Generator().manual_seed(0)
    for step, side in ((0, 16), (1, 6000)):
        weight = torch.randn(side, side, generator=generator)
        runs.write_checkpoint(folder / f"step{step}", {"a.weight": weight}, {})
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_scan_within_two_seconds_in_the_midst_of_a_large_matrix(large_run, tmp_path, number):
    target = tmp_path / "a.parquet"
    process = start("scan", large_run, "-o", target, "-q", "--metrics", "stable_rank", "--reference", "step0")
    wait_for(lambda: parts_of(target), process)
    time.sleep(0.3)
    process.send_signal(number)
    began = time.monotonic()
    code, out, err = finish(process)
    assert time.monotonic() - began < 2
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == f"spectra: stopped by {number.name}"
    assert GOES_ON in err.splitlines()[1]
    assert len(err.splitlines()) == 2
    assert len(parts_of(target)) == 1


def test_a_signal_in_a_scan_to_standard_output_leaves_nothing_and_says_so(large_run, tmp_path):
    process = start("scan", large_run, "-o", "-", "-q", env={**os.environ, "TMPDIR": str(tmp_path)})
    wait_for(lambda: any(tmp_path.glob("spectra-*/scan.parquet.parts/manifest.json")), process)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert (code, out) == (1, "")
    assert "nothing is kept" in err
    assert_clean(tmp_path, allowed=())


def test_a_stopped_scan_with_restart_does_not_advise_to_discard_again(large_run, tmp_path):
    target = tmp_path / "a.parquet"
    process = start("scan", large_run, "-o", target, "-q", "--restart", "--reference", "step0")
    wait_for(lambda: parts_of(target), process)
    process.send_signal(signal.SIGINT)
    assert "the same command, without --restart, goes on" in finish(process)[2]


# Imports once, and then forks for every scan that is asked for, so that a hundred of them take a minute or two.
SCANNER = """
import os, sys, time
import torch, pyarrow.parquet, scipy.linalg, spectra_cli.scan, spectra_cli.studies.summary, spectra_cli.views.console
from spectra_cli.cli import main
print("ready", flush=True)
for line in sys.stdin:
    *arguments, seconds = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        os._exit(main(arguments))
    if seconds:
        time.sleep(float(seconds))
        os.kill(pid, 9)  # where it is done, it is still ours to wait for
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Scanner:
    """Real scans in processes of their own, each from `main` on."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.server = subprocess.Popen(
            [sys.executable, "-c", SCANNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout.readline() == "ready\n"

    def scan(self, kill_after=None):
        """Scan; give the exit code, which is that of SIGKILL where it was killed after so many seconds."""
        self.server.stdin.write("\t".join(map(str, [*self.arguments, kill_after or ""])) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(30)
        self.server.stdout.close()


@pytest.fixture(scope="module")
def dozen(tmp_path_factory):
    """A run of a dozen checkpoints, and the bytes of its table."""
    folder = tmp_path_factory.mktemp("dozen")
    run = runs.write_run(folder / "run", range(12))
    return run, scan_checkpoints(run, folder / "whole.parquet").output.read_bytes()


@pytest.mark.slow
def test_kills_at_random_instants_lose_no_part_no_byte_and_leave_no_file(dozen, tmp_path):
    (run, whole), target = dozen, tmp_path / "a.parquet"
    instants, kills, killed = random.Random(8), int(os.environ.get("SPECTRA_KILLS", "12")), 0
    with Scanner("scan", run, "-o", target, "-q", "--threads", "1") as scanner:
        began = time.monotonic()
        assert scanner.scan() == 0
        usual = time.monotonic() - began
        target.unlink()
        while killed < kills:
            before = {path.name: path.stat().st_mtime_ns for path in parts_of(target)}
            killed += scanner.scan(kill_after=instants.uniform(0, usual)) == -signal.SIGKILL
            after = {path.name: path.stat().st_mtime_ns for path in parts_of(target)}
            if target.exists():
                assert target.read_bytes() == whole
            else:
                assert before.items() <= after.items(), "a part that was finished is lost"
            if instants.random() < 0.25 or target.exists():  # go on to the end, and begin anew
                assert scanner.scan() == 0
                assert target.read_bytes() == whole
                assert_clean(tmp_path)
                target.unlink()
        assert scanner.scan() == 0
    assert target.read_bytes() == whole
    assert_clean(tmp_path)
