"""Fixtures of figures and page: tables of a run with layers enough for a course over depth, and of rank 1."""

from pathlib import Path

import pytest

from spectra_cli.jobs.rank1 import rank1_checkpoints
from spectra_cli.jobs.scan import scan_checkpoints
from tests.support.planted_runs import plant_wave


@pytest.fixture(scope="session")
def deep_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six layers, eight checkpoints, with a planted wave from the first layer to the last."""
    folder = tmp_path_factory.mktemp("deep")
    return scan_checkpoints(plant_wave(folder / "run"), folder / "deep.parquet").output


@pytest.fixture(scope="session")
def rank1_table(kept_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `spectra rank1` finds in the small run: six checkpoints in pairs."""
    return rank1_checkpoints(kept_run, tmp_path_factory.mktemp("rank1") / "small.parquet", window=2).output
