"""What lies beside an output while it is made: what guards it, what is refused, what is taken up again."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.manifest import CheckpointNotes, Manifest
from spectra_cli.storage.parts import Parts
from spectra_cli.storage.table import to_arrow
from tests.support import runs

EMPTY = to_arrow([])


@pytest.fixture(scope="module")
def killed(kept_run, tmp_path_factory):
    """What a scan leaves that was killed with two of its six checkpoints done."""
    folder = tmp_path_factory.mktemp("killed")
    script = (
        "import os, sys; from spectra_cli.jobs.scan import scan_checkpoints; done = []\n"
        "def progress(_, matrix):\n"
        "    done.append(matrix)\n"
        "    if done.count(None) == 2 and matrix: os._exit(9)\n"
        "scan_checkpoints(sys.argv[1], sys.argv[2], on_done=progress, threads=1)"
    )
    assert subprocess.run([sys.executable, "-c", script, kept_run, folder / "a.parquet"], check=False).returncode == 9
    return folder


@pytest.fixture
def begun(killed, tmp_path):
    """The output of that scan."""
    return shutil.copytree(killed, tmp_path / "out") / "a.parquet"


def refusal(*arguments, **options):
    with pytest.raises(SpectraError) as caught:
        scan_checkpoints(*arguments, **options)
    return caught.value


@pytest.mark.slow
def test_a_killed_scan_is_taken_up_and_ends_the_same(kept_run, table_path, begun):
    measured = []
    scan_checkpoints(kept_run, begun, on_done=lambda one, matrix: matrix and measured.append(one.revision))
    assert set(measured) == {"step2", "step4", "step8", "step16"}
    assert begun.read_bytes() == table_path.read_bytes()
    assert list(begun.parent.iterdir()) == [begun]


def test_what_was_half_written_when_the_kill_came_is_gone_at_the_end(kept_run, begun):
    (begun.parent / ".a.parquet.writing").write_bytes(b"half")
    (begun.parent / "a.parquet.parts" / ".0123456789abcdef.parquet.writing").write_bytes(b"half")
    scan_checkpoints(kept_run, begun)
    assert list(begun.parent.iterdir()) == [begun]


def test_another_option_is_named_with_both_values(kept_run, begun):
    error = refusal(kept_run, begun, metrics=["alpha", "sd"], fused=True)
    assert "options fused false, now true" in error.message
    assert "options metrics" in error.message
    assert "--restart" in error.hint


def test_a_checkpoint_that_came_since_is_named(run, tmp_path):
    target = tmp_path / "a.parquet"
    (tmp_path / "a.parquet.parts").mkdir()
    with pytest.raises(KeyboardInterrupt):
        scan_checkpoints(run, target, on_done=interrupt_after_one())
    runs.write_checkpoint(run / "step32", runs.neox_tensors(5))
    assert "checkpoints /step32" in refusal(run, target).message


def test_a_file_that_changed_since_is_named(run, tmp_path):
    target = tmp_path / "a.parquet"
    with pytest.raises(KeyboardInterrupt):
        scan_checkpoints(run, target, on_done=interrupt_after_one())
    os.utime(run / "step4" / "model.safetensors", (1, 1))
    message = refusal(run, target).message
    assert "step4/model.safetensors changed" in message
    assert "config.json" not in message


def interrupt_after_one():
    done = []

    def progress(_, matrix):
        done.append(matrix)
        if None in done and matrix:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"problems": []', '"problems": 5'),
        lambda text: text.replace(".parquet", ".parquets"),
        lambda _: json.dumps({"request": {}, "parts": {"x": {"file": "../../y", "sha256": ""}}}),
        lambda _: "[" * 100_000,
        lambda _: "[]",
    ],
)
def test_a_damaged_manifest_is_refused_and_restart_begins_anew(kept_run, table_path, begun, damage):
    manifest = begun.parent / "a.parquet.parts" / "manifest.json"
    manifest.write_text(damage(manifest.read_text()))
    error = refusal(kept_run, begun)
    assert "manifest.json is damaged" in error.message
    assert "--restart" in error.hint
    scan_checkpoints(kept_run, begun, restart=True)
    assert begun.read_bytes() == table_path.read_bytes()


def test_a_part_that_is_damaged_after_it_was_looked_at_is_never_assembled(tmp_path):
    target = tmp_path / "a.parquet"
    with Parts(target, Manifest()) as parts:
        parts.write("one", EMPTY, CheckpointNotes())
        parts.write("two", EMPTY, CheckpointNotes())
        assert parts.notes("two") == CheckpointNotes()
        damaged = sorted(parts.folder.glob("*.parquet"))[0]
        damaged.write_bytes(b"PAR1")
        with pytest.raises(SpectraError, match="changed by another program"):
            parts.assemble(["one", "two"], {})
    assert not target.exists()
    with Parts(target, Manifest()) as parts:
        assert [parts.notes("one"), parts.notes("two")].count(None) == 1


def test_a_link_left_under_the_temporary_name_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".a.parquet.writing").symlink_to(tmp_path / "precious")
    with Parts(tmp_path / "a.parquet", Manifest()) as parts:
        parts.assemble([], {})
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.parquet").is_file()


def test_a_process_that_may_open_no_more_files_leaves_no_folder_behind(tmp_path):
    script = (
        "import os, resource, sys; from pathlib import Path\n"
        "from spectra_cli.storage.parts import Parts; from spectra_cli.errors import SpectraError\n"
        "from spectra_cli.storage.manifest import Manifest\n"
        "following = os.open(os.devnull, os.O_RDONLY); os.close(following)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (following, following))\n"
        "try: Parts(Path(sys.argv[1]), Manifest()).__enter__()\n"
        "except SpectraError as error: print(error.message)"
    )
    command = [sys.executable, "-c", script, tmp_path / "a.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "a.parquet cannot be written: Too many open files" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_many_processes_that_want_one_output_have_it_one_after_the_other(tmp_path):
    """The folder goes with every holder, and the lock's file with it."""
    script = (
        "import sys, time; from pathlib import Path; from spectra_cli.storage.parts import Parts\n"
        "from spectra_cli.storage.manifest import Manifest; from spectra_cli.errors import SpectraError\n"
        "end, held = time.monotonic() + 1, 0\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        with Parts(Path(sys.argv[1]), Manifest()) as parts:\n"
        "            mark = Path(sys.argv[1] + '.mark'); mark.open('x').close(); held += 1; mark.unlink()\n"
        "    except SpectraError as error:\n"
        "        assert 'is being written by' in error.message, error.message\n"
        "print(held)"
    )
    command = [sys.executable, "-c", script, tmp_path / "a.parquet"]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [other.communicate(timeout=60) for other in others]
    assert [err for _, err in outputs] == ["", "", ""]
    assert sum(int(out) for out, _ in outputs) > 3
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_refused_and_not_trusted(tmp_path):
    """The kernel's refusal is put in its place here: no such file system is at hand."""
    script = (
        "import errno, fcntl, sys; from pathlib import Path\n"
        "def flock(*_): raise OSError(errno.ENOLCK, 'no')\n"
        "fcntl.flock = flock\n"
        "from spectra_cli.storage.parts import Parts; from spectra_cli.errors import SpectraError\n"
        "from spectra_cli.storage.manifest import Manifest\n"
        "try: Parts(Path(sys.argv[1]), Manifest()).__enter__()\n"
        "except SpectraError as error: print(error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.parquet"], capture_output=True, text=True, check=True
    )
    assert "cannot lock files (No locks available)" in done.stdout
