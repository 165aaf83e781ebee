"""A Hub with one run on it, and `spectra` as a process of its own that knows no other Hub."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hub.loopback import Hub, Repository, served
from tests.support.hub_runs import COMMAND, TOKEN, write_wide_run


class Workplace(NamedTuple):
    """Where the processes of a test work: its folder, TMPDIR, the environment of its processes."""

    folder: Path
    scratch: Path
    environment: dict[str, str]


class ProcessResult(NamedTuple):
    """What a process returned and printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served() as loopback:
        yield loopback


@pytest.fixture
def tiny(hub: Hub, kept_run: Path) -> Repository:
    """The small run as own/small."""
    return hub.add("own/small", kept_run)


@pytest.fixture
def workplace(tmp_path: Path, hub: Hub) -> Workplace:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))},
        "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN, "TMPDIR": str(scratch),
        "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return Workplace(tmp_path, scratch, environment)


@pytest.fixture
def spectra_process(workplace: Workplace) -> Callable[..., ProcessResult]:
    """The command line as a process; whatever it printed holds no token, no traceback, and it left no scratch file."""

    def call(*arguments: object, clean: bool = True, **environment: str) -> ProcessResult:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], cwd=workplace.folder, env={**workplace.environment, **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        result = ProcessResult(done.returncode, done.stdout, done.stderr)
        assert TOKEN not in result.out + result.err
        assert "Traceback" not in result.err
        if clean:
            assert list(workplace.scratch.iterdir()) == []
        return result

    return call


@pytest.fixture(scope="session")
def wide_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints of a few MB each, so that byte ranges pay."""
    return write_wide_run(tmp_path_factory.mktemp("wide") / "run", (0, 10, 20))
