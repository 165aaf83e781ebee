"""Fixtures that several tests share: a small run on the disk, its table, and the command line in this process."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from spectra_cli.cli.app import main
from spectra_cli.jobs.scan import scan_checkpoints
from tests.support import runs

# The same examples in every run, so that a change alone makes a test fail; a busy machine is no failure either.
# SPECTRA_FUZZ=N looks for others, N in each test that sets no number of its own.
FUZZ = os.environ.get("SPECTRA_FUZZ")
settings.register_profile("on any machine", deadline=None, derandomize=not FUZZ, max_examples=int(FUZZ or 100))
settings.load_profile("on any machine")

# A shell starts what runs in its background deaf to SIGINT, and so would be the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class CommandResult(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """One thread of torch: tiny products gain nothing from more, and wait for a busy processor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file of plain text that a test may cut."""
    from tests.support.language_models import TEXT  # with transformers, which takes seconds to load

    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of six checkpoints that a test may damage."""
    return runs.write_run(tmp_path / "small")


@pytest.fixture(scope="session")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six checkpoints that no test changes."""
    return runs.write_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def table_path(kept_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of that run."""
    return scan_checkpoints(kept_run, tmp_path_factory.mktemp("tables") / "small.parquet").output


@pytest.fixture
def spectra(capfd: pytest.CaptureFixture[str]) -> Callable[..., CommandResult]:
    """The command line, run in this process through its own `main`."""

    def call(*arguments: object) -> CommandResult:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return CommandResult(code, *capfd.readouterr())

    return call
