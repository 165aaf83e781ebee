"""A scan that is stopped by a signal, a kill, a full disk, a read-only folder: nothing that was finished is lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from tests.support import runs
from tests.support.processes import CommandLine

COMMAND = [sys.executable, "-m", "spectra_cli"]
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


def finished(target):
    """The parts that the manifest counts, with when they were written; one that was not yet counted is in flight."""
    manifest = Path(f"{target}.parts/manifest.json")
    entries = json.loads(manifest.read_text())["parts"].values() if manifest.exists() else ()
    return {part["file"]: (manifest.parent / part["file"]).stat().st_mtime_ns for part in entries}


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


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_scan_within_two_seconds_in_the_midst_of_a_large_matrix(large_run, tmp_path, number):
    seconds = []
    while len(seconds) < 3 and min(seconds, default=2) >= 2:  # what else runs on the machine only adds to them
        target = tmp_path / str(len(seconds)) / "a.parquet"
        target.parent.mkdir()
        process = start("scan", large_run, "-o", target, "-q", "--metrics", "stable_rank", "--reference", "step0")
        wait_for(lambda target=target: parts_of(target), process)
        time.sleep(0.3)
        process.send_signal(number)
        began = time.monotonic()
        code, out, err = finish(process)
        seconds.append(time.monotonic() - began)
        assert (code, out) == (1, "")
        assert err.splitlines()[0] == f"spectra: stopped by {number.name}"
        assert GOES_ON in err.splitlines()[1]
        assert len(err.splitlines()) == 2
        assert len(parts_of(target)) == 1
    assert min(seconds) < 2


@pytest.mark.slow
def test_a_signal_in_a_scan_to_standard_output_leaves_nothing_and_says_so(large_run, tmp_path):
    process = start("scan", large_run, "-o", "-", "-q", env={**os.environ, "TMPDIR": str(tmp_path)})
    wait_for(lambda: any(tmp_path.glob("spectra-*/scan.parquet.parts/manifest.json")), process)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert (code, out) == (1, "")
    assert "nothing is kept" in err
    assert_clean(tmp_path, allowed=())


@pytest.mark.slow
def test_a_stopped_scan_with_restart_does_not_advise_to_discard_again(large_run, tmp_path):
    target = tmp_path / "a.parquet"
    process = start("scan", large_run, "-o", target, "-q", "--restart", "--reference", "step0")
    wait_for(lambda: parts_of(target), process)
    process.send_signal(signal.SIGINT)
    assert "the same command, without --restart, goes on" in finish(process)[2]


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
    scan = ("scan", run, "-o", target, "-q", "--threads", "1")
    with CommandLine() as command_line:
        began = time.monotonic()
        assert command_line.run(*scan).code == 0
        usual = time.monotonic() - began
        target.unlink()
        while killed < kills:
            before = finished(target)
            killed += command_line.run(*scan, within=instants.uniform(0, usual)).code == -signal.SIGKILL
            after = finished(target)
            if target.exists():
                assert target.read_bytes() == whole
            else:
                assert before.items() <= after.items(), "a part that was finished is lost"
            if instants.random() < 0.25 or target.exists():  # go on to the end, and begin anew
                assert command_line.run(*scan).code == 0
                assert target.read_bytes() == whole
                assert_clean(tmp_path)
                target.unlink()
        assert command_line.run(*scan).code == 0
    assert target.read_bytes() == whole
    assert_clean(tmp_path)


def in_small_disk(kilobytes, script, *arguments):
    """Run a shell script where $DISK is a file system of so many kB that goes with it; skip where none may be made."""
    make = f"mount -t tmpfs -o size={kilobytes}k,nr_inodes=200 tmpfs $DISK"
    for unshare in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
        ):
            command = [*unshare, "sh", "-c", f"{make} || exit 99; {script}", "sh", *map(str, arguments)]
            result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=small_disk())
            if result.returncode != 99:
                return result
    return pytest.skip("this user may not mount a file system")


def small_disk():
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / "spectra-small-disk"
    folder.mkdir(exist_ok=True)
    return {**os.environ, "DISK": str(folder), "PYTHON": sys.executable}


FILL_AND_GO_ON = """
"$PYTHON" -m spectra_cli scan "$1" -o $DISK/a.parquet -q --threads 1; echo "code $?" >&2
ls -A $DISK/a.parquet.parts >&2 || ls -A $DISK >&2
mount -o remount,size=20m $DISK
"$PYTHON" -m spectra_cli scan "$1" -o $DISK/a.parquet -q --threads 1; echo "code $?" >&2
ls -A $DISK >&2
cmp $DISK/a.parquet "$2" && echo same >&2
"""


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 60, 140])
def test_a_full_disk_stops_the_scan_and_room_lets_it_go_on(dozen, tmp_path, kilobytes):
    """From a disk where not even the manifest fits to one where the parts fit and the table does not."""
    run, whole = dozen
    (tmp_path / "whole.parquet").write_bytes(whole)
    result = in_small_disk(kilobytes, FILL_AND_GO_ON, run, tmp_path / "whole.parquet").stderr
    lines = result.splitlines()
    assert "Traceback" not in result
    assert lines[0].startswith("spectra: ")
    assert "cannot be written: No space left on device" in lines[0]
    assert lines[1].startswith("  ")
    assert lines[2] == "code 1"
    assert ".writing" not in result
    assert lines[-3:] == ["code 0", "a.parquet", "same"]


@pytest.mark.slow
def test_a_full_disk_says_how_much_is_kept(dozen):
    run, _ = dozen
    result = in_small_disk(60, '"$PYTHON" -m spectra_cli scan "$1" -o $DISK/a.parquet -q; exit 0', run).stderr
    assert "kept: make room, and the same command goes on from there" in result


@pytest.mark.slow
def test_a_read_only_file_system_is_said_and_nothing_is_tried_further(kept_run):
    script = 'mount -o remount,ro $DISK; "$PYTHON" -m spectra_cli scan "$1" -o $DISK/a.parquet -q; echo $? >&2'
    what, todo, code = in_small_disk(100, script, kept_run).stderr.splitlines()
    assert "a.parquet cannot be written: Read-only file system" in what
    assert "permissions" in todo
    assert code == "1"


LIMITED = """
import resource, sys
import torch, pyarrow.parquet, scipy.linalg, spectra_cli.jobs.scan, spectra_cli.studies.summary
from spectra_cli.cli import main
kind, limit = sys.argv[1], int(sys.argv[2])
if kind == "RLIMIT_AS":
    a = torch.eye(300, dtype=torch.float64)
    scipy.linalg.blas.dsyrk(1.0, a.numpy())
    torch.linalg.eigvalsh(a @ a)  # so that the libraries have their own work space
    limit += int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(getattr(resource, kind), (limit, limit))
sys.exit(main(sys.argv[3:]))
"""


def run_with_limit(kind, limit, *arguments):
    command = [sys.executable, "-c", LIMITED, kind, str(limit), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("scan", "RUN", "-o", "-", "-q"), ("scan", "RUN", "-q", "--json", "-o", "OUT"), ("metrics",)]
)
def test_standard_output_on_a_full_disk_is_said(kept_run, tmp_path, arguments):
    named = {"RUN": kept_run, "OUT": tmp_path / "a.parquet"}
    with open("/dev/full", "wb") as full:
        command = [*COMMAND, *(str(named.get(word, word)) for word in arguments)]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == "spectra: standard output cannot be written: No space left on device"
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("limit", [pytest.param(limit, marks=pytest.mark.slow) for limit in (100, 9_000, 60_000)])
def test_a_limit_on_the_size_of_files_is_like_a_full_disk(dozen, tmp_path, limit):
    """A limit of 100 bytes refuses the manifest, 9 kB a part, 60 kB the table."""
    (run, whole), target = dozen, tmp_path / "a.parquet"
    result = run_with_limit("RLIMIT_FSIZE", limit, "scan", run, "-o", target, "-q")
    assert result.returncode == 1
    what, _ = result.stderr.splitlines()
    assert "a.parquet cannot be written: File too large" in what
    assert not target.exists()
    assert list(tmp_path.rglob("*.writing")) == []
    assert scan_checkpoints(run, target).output.read_bytes() == whole
    assert_clean(tmp_path)


@pytest.mark.slow
def test_memory_that_is_refused_names_the_matrix_and_keeps_the_rest(tmp_path):
    """By reading it, or by its spectrum: from 240 to 600 MB are too few for it, and enough for the small one."""
    generator = torch.Generator().manual_seed(0)
    for step, side in ((0, 16), (1, 4000)):
        runs.write_checkpoint(
            tmp_path / f"run/step{step}", {"a.weight": torch.randn(side, side, generator=generator)}, {}
        )
    asked = ("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", "--threads", "1", "--reference", "step0")
    result = run_with_limit("RLIMIT_AS", 420 * 2**20, *asked)
    assert result.returncode == 1, result.stderr
    what, todo = result.stderr.splitlines()
    assert "not enough memory for step1: a.weight (4000×4000)" in what
    assert "--threads 1" in todo
    assert len(parts_of(tmp_path / "a.parquet")) == 1


def test_a_matrix_that_no_memory_holds_keeps_the_rest(tmp_path, spectra):
    """1 TiB of a file that takes no room on the disk."""
    if Path("/proc/sys/vm/overcommit_memory").read_text() == "1\n":
        pytest.skip("this system promises any memory")
    runs.write_checkpoint(tmp_path / "run/step0", {"a.weight": torch.eye(16)}, {})
    facts = {"dtype": "F32", "shape": [2**19, 2**19], "data_offsets": [0, 2**40]}
    header = json.dumps({"a.weight": facts}).encode()
    path = tmp_path / "run/step1/model.safetensors"
    path.parent.mkdir()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, path.stat().st_size + 2**40)
    result = spectra("scan", tmp_path / "run", "-o", tmp_path / "a.parquet", "-q", "--reference", "step0")
    assert result.code == 1
    assert "not enough memory for step1: a.weight (524288×524288)" in result.err.splitlines()[0]
    assert len(parts_of(tmp_path / "a.parquet")) == 1


def change_while_scanning(revision, act):
    """A progress that acts on a run as soon as a checkpoint's first matrix is measured."""
    acted = []

    def progress(checkpoint, matrix):
        if checkpoint.revision == revision and matrix and not acted:
            acted.append(act())

    return progress


@pytest.mark.parametrize(
    "act",
    [
        lambda path: os.truncate(path, 5000),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: os.replace(shutil.copy(path.parents[1] / "step8" / path.name, path.parents[1] / "x"), path),
        lambda path: shutil.rmtree(path.parent),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["cut", "emptied", "removed", "overwritten", "replaced", "folder gone", "a pipe in its place"],
)
def test_a_file_that_changes_under_a_scan_takes_its_checkpoint_out(run, tmp_path, act):
    progress = change_while_scanning("step4", lambda: act(run / "step4" / "model.safetensors"))
    done = scan_checkpoints(run, tmp_path / "a.parquet", on_done=progress, threads=1)
    assert "the files of step4 changed while the scan ran" in [problem.message for problem in done.problems]
    frame = pd.read_parquet(done.output)
    assert sorted(frame["step"].unique()) == [0, 1, 2, 8, 16]
    assert not frame[(frame["step"] == 8) & (frame["metric"] == "cos_weights_prev")]["value"].any()
    assert_clean(tmp_path, allowed=("a.parquet", "small"))


def test_a_reference_that_changes_under_a_scan_stops_it(run, tmp_path):
    progress = change_while_scanning("step4", lambda: os.truncate(run / "step16" / "model.safetensors", 5000))
    with pytest.raises(SpectraError, match="the files of step16 changed while the scan ran") as caught:
        scan_checkpoints(run, tmp_path / "a.parquet", on_done=progress, threads=1)
    assert "--restart" in caught.value.hint


def test_no_module_reads_the_clock_on_the_wall():
    """So that a clock which jumps changes nothing: neither numbers nor what is taken for finished."""
    package = Path(__file__).parents[2] / "spectra_cli"
    named = {"time.time(", "time_ns(", "datetime.now", "utcnow", "date.today", "time.localtime", "strftime"}
    assert [path.name for path in package.rglob("*.py") if any(name in path.read_text() for name in named)] == []


def test_files_of_another_century_are_like_others(run, table_path, tmp_path):
    for index, path in enumerate(sorted(run.rglob("*.*"))):
        os.utime(path, (index * 1e9, index * 1e9))
    assert scan_checkpoints(run, tmp_path / "a.parquet").rows == pq.read_metadata(table_path).num_rows
