"""Two processes over gloo, their model sharded by FSDP2 or copied by DDP: a hundred measurements, and none hangs."""

import subprocess
import sys
from pathlib import Path

import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_metadata
from tests.support.training import differing, rows_of

ROOT = Path(__file__).parents[2]


def in_two_processes(folder, kind, what=""):
    """Train in two processes; return their exit codes and what each met."""
    (folder / "run").mkdir()
    script = [sys.executable, "-m", "tests.support.two_processes", str(folder), kind]
    both = [
        subprocess.Popen([*script, str(rank), *([what] if what else [])], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    met = [path.read_text(encoding="utf-8") if path.exists() else "" for path in (folder / "0.txt", folder / "1.txt")]
    return [process.returncode for process in both], met, said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp2", "ddp"])
def test_a_hundred_measurements_have_the_rows_of_a_scan(tmp_path, kind):
    codes, met, said = in_two_processes(tmp_path, kind)
    assert (codes, met) == ([0, 0], ["done", "done"]), said
    table = tmp_path / "run.parquet"
    assert [line[2] for line in read_metadata(table)["checkpoints"]] == list(range(101))
    scan_checkpoints(tmp_path / "run", tmp_path / "scan.parquet", losses=False, metrics=("alpha",))
    monitored, scanned = rows_of(table), rows_of(tmp_path / "scan.parquet")
    saved = monitored[monitored["step"].isin([0, 50, 100]) & (monitored["metric"] == "alpha")].reset_index(drop=True)
    assert len(saved) > 0
    assert differing(saved, scanned) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp2", "ddp"])
def test_a_slow_process_is_waited_for(tmp_path, kind):
    codes, met, said = in_two_processes(tmp_path, kind, "slow")
    assert (codes, met) == ([0, 0], ["done", "done"]), said
    assert len(read_metadata(tmp_path / "run.parquet")["checkpoints"]) == 101


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp2", "ddp"])
def test_where_a_process_is_killed_the_other_ends_with_an_error(tmp_path, kind):
    codes, met, said = in_two_processes(tmp_path, kind, "killed")
    assert codes == [1, -9], said
    assert met[0].startswith(("RuntimeError", "DistBackendError"))
    assert "Connection closed by peer" in met[0] or "onnection reset" in met[0]
    assert len(read_metadata(tmp_path / "run.parquet")["checkpoints"]) in (30, 31)
