"""Folders of a run that this user may not list: named, and the rest is measured with exit code 3."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectra_cli.storage.table import read_metadata, read_rows

# The superuser may list everything, unless that is taken from the process.
CAPABILITIES = "-dac_override,-dac_read_search"
BOUND = ["setpriv", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}"] if os.geteuid() == 0 else []

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(BOUND) and shutil.which("setpriv") is None, reason="this user may list everything"),
]


def spectra(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*BOUND, sys.executable, "-m", "spectra_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def closed(run: Path) -> Iterator[Path]:
    closed = run / "step4"
    closed.chmod(0)
    yield closed
    closed.chmod(0o755)


def test_a_step_that_cannot_be_listed_is_named_and_the_others_are_measured(run: Path, closed: Path) -> None:
    target = run.parent / "table.parquet"
    done = spectra("scan", run, "-o", target, "-q")
    assert (done.returncode, done.stderr) == (3, f"spectra: {closed} cannot be listed\n  check its permissions\n")
    assert set(read_rows(target).to_pandas()["step"]) == {0, 1, 2, 8, 16}
    metadata = read_metadata(target)
    assert metadata["problems"] == [f"{closed} cannot be listed"]
    assert metadata["unread"][0] == ["step4", f"{closed} cannot be listed"]


def test_inspect_names_it_too(run: Path, closed: Path) -> None:
    done = spectra("inspect", run)
    assert done.returncode == 3
    assert f"spectra: {closed} cannot be listed\n  check its permissions\n" in done.stderr


def test_a_run_of_which_nothing_can_be_listed_says_why(tmp_path: Path) -> None:
    (tmp_path / "run" / "step1").mkdir(parents=True)
    (tmp_path / "run" / "step1").chmod(0)
    done = spectra("scan", tmp_path / "run", "-o", tmp_path / "t.parquet")
    (tmp_path / "run" / "step1").chmod(0o755)
    assert done.returncode == 1
    assert "step1 cannot be listed: check its permissions" in done.stderr
