"""Outputs, encodings, names and limits that are not as usual: two lines, or the right thing, and nothing lost."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.sources.mapping import read_mapping
from spectra_cli.sources.names import read_name
from tests.support import runs

COMMAND = [sys.executable, "-m", "spectra_cli"]


def process(*arguments: object, limit: int | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process; never a traceback."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, timeout=120, check=False, preexec_fn=limited,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr + done.stdout
    return done


def make(path, what: str) -> None:
    if what == "a named pipe":
        os.mkfifo(path)
    elif what == "a socket":
        here = os.getcwd()
        os.chdir(path.parent)  # its name may have 100 bytes
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
        os.chdir(here)
    elif what == "a folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("this user may make no device")


COMMANDS = {
    "scan": lambda run, _, out: ("scan", run, "-o", out, "-q"),
    "report": lambda _, table, out: ("report", table, "-o", out),
    "plot": lambda _, table, out: ("plot", table, "--kind", "heatmap", "-o", out),
}


@pytest.mark.parametrize("what", ["a named pipe", "a socket", "a folder", "a device"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_file_is_not_replaced_by_one(spectra, kept_run, table_path, tmp_path, what, command):
    path = tmp_path / {"scan": "o.parquet", "report": "o.html", "plot": "o.html"}[command]
    make(path, what)
    before = os.lstat(path).st_mode
    result = spectra(*COMMANDS[command](kept_run, table_path, path))
    assert (result.code, len(result.err.splitlines())) == (1, 2)
    assert what in result.err
    assert os.lstat(path).st_mode == before
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["a file", "a folder", "nothing"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_under_the_name_is_replaced_and_never_written_through(
    spectra, kept_run, table_path, tmp_path, command, target
):
    path = tmp_path / {"scan": "o.parquet", "report": "o.html", "plot": "o.html"}[command]
    victim = tmp_path / "victim"
    if target == "a file":
        victim.write_text("precious")
    elif target == "a folder":
        victim.mkdir()
    path.symlink_to(victim)
    assert spectra(*COMMANDS[command](kept_run, table_path, path)).code == 0
    assert not path.is_symlink()
    assert path.stat().st_size > 1000
    assert not victim.exists() if target == "nothing" else victim.is_dir() or victim.read_text() == "precious"


@pytest.mark.parametrize("restart", [[], ["--restart"]], ids=["as it is", "restart"])
@pytest.mark.parametrize("what", ["a folder", "a link", "a file"])
def test_a_folder_of_the_user_s_own_under_the_name_of_the_parts_is_left_alone(
    spectra, kept_run, tmp_path, what, restart
):
    home = tmp_path / ("a.parquet.parts" if what == "a folder" else "home")
    home.mkdir()
    (home / "thesis.tex").write_text("precious")
    (home / "sub").mkdir()
    if what == "a link":
        (tmp_path / "a.parquet.parts").symlink_to(home)
    elif what == "a file":
        (tmp_path / "a.parquet.parts").write_text("mine")
    result = spectra("scan", kept_run, "-o", tmp_path / "a.parquet", "-q", *restart)
    assert (result.code, len(result.err.splitlines())) == (1, 2)
    assert "not a folder that a scan made" in result.err
    assert sorted(path.name for path in home.iterdir()) == ["sub", "thesis.tex"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["step", "run", "output", "stray"])
def test_names_that_are_no_utf8_are_spelled_out(kept_run, tmp_path, where):
    run = tmp_path / ("run\udcff" if where == "run" else "run")
    shutil.copytree(kept_run, run)
    if where == "step":
        os.rename(run / "step4", run / "step4-\udcff")
    elif where == "stray":
        (run / "step4" / "x\udcff.txt").write_text("x")
    out = tmp_path / ("o\udcff.parquet" if where == "output" else "o.parquet")
    done = process("scan", run, "-o", out)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(pa.BufferReader(out.read_bytes()))
    assert set(table["step"].to_pylist()) == set(runs.STEPS)
    wanted = {"step": ("revision", "step4-\\xff"), "run": ("model", "run\\xff")}.get(where, ("revision", "step4"))
    assert wanted[1] in table[wanted[0]].to_pylist()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_encoding_of_the_terminal_shows_something(kept_run, table_path, encoding):
    for words in (
        ["metrics"],
        ["inspect", kept_run],
        ["verify", table_path],
        ["plot", table_path, "--kind", "roles", "-o", "-"],
    ):
        done = process(*words, PYTHONIOENCODING=encoding, COLUMNS="100")
        assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_descriptor_that_is_closed_is_one_that_nobody_reads(kept_run, tmp_path, closed):
    command = " ".join([*COMMAND, "scan", str(kept_run), "-o", str(tmp_path / "a.parquet"), closed])
    done = subprocess.run(["/bin/sh", "-c", f"exec {command}"], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr + done.stdout
    assert pq.read_table(tmp_path / "a.parquet").num_rows > 1000


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_under_a_limit_of_addresses_is_refused_and_not_a_dump(table_path, tmp_path, suffix):
    done = process("plot", table_path, "--kind", "heatmap", "-o", tmp_path / f"p.{suffix}", limit=2**35)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
    assert b"ulimit -v" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [0.6, 0.8, 1.0, 1.5])
def test_a_report_under_a_limit_of_addresses_is_written_or_refused(table_path, tmp_path, gigabytes):
    """Arrow took 1 GiB of them where it could, and vl-convert dies where it gets none."""
    done = process("report", table_path, "-o", tmp_path / "page.html", limit=int(gigabytes * 2**30))
    if done.returncode:
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
        assert b"ulimit -v" in done.stderr
    assert (tmp_path / "page.html").exists() == (done.returncode == 0)


@pytest.mark.parametrize(
    ("name", "step", "tokens"),
    [
        ("step99999999999B", None, None),
        ("step1-tokens999999999999T", 1, None),
        ("step999999999999999999T", None, None),
        ("step" + "9" * 5000, None, None),
        ("step9B", 9 * 10**9, None),
    ],
)
def test_a_number_that_no_table_holds_is_none(name, step, tokens):
    read = read_name(name)
    assert (read.step, read.tokens) == (step, tokens)


@pytest.mark.parametrize(
    "line",
    ["step0," + "9" * 30, "step0,-5", "step0,1," + "9" * 30, "step0," + "9" * 5000, "step0,1,," + "9" * 5000,
     "x" * 200_000 + ",1", "step0,1_0", "step0,\u0663", "step0,1\0"],
    ids=lambda line: line[:20],
)  # fmt: skip
def test_a_line_of_a_map_that_no_table_holds_is_named(tmp_path, line):
    path = tmp_path / "map.csv"
    path.write_text("revision,step,tokens,stage\n" + line + "\nstep100,7\n")
    with pytest.raises(SpectraError, match=r"line 2|no CSV file"):
        read_mapping(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["roles", "heatmap", "wave"])
def test_a_run_of_step_0_alone_is_drawn_or_refused(spectra, kept_run, tmp_path, kind):
    shutil.copytree(kept_run / "step0", tmp_path / "init" / "step0")
    assert spectra("scan", tmp_path / "init", "-o", tmp_path / "a.parquet", "-q").code == 0
    result = spectra("plot", tmp_path / "a.parquet", "--kind", kind, "-o", tmp_path / "p.html")
    assert result.code in (0, 1)
    assert spectra("report", tmp_path / "a.parquet", "-o", tmp_path / "r.html").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("gigabytes", [0.3, 0.7, 0.75, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 2.0])
def test_a_scan_under_a_limit_of_addresses_is_whole_or_refused(kept_run, tmp_path, gigabytes):
    """Torch dies of a lack of addresses, by a signal, in what runs before main."""
    done = process("scan", kept_run, "-q", "-o", tmp_path / "a.parquet", limit=int(gigabytes * 2**30))
    if done.returncode:
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
        assert b"ulimit -v" in done.stderr
    assert (tmp_path / "a.parquet").exists() == (done.returncode == 0)
    assert done.returncode == 0 or gigabytes < 1.5
