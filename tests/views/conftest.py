"""Fixtures of figures and page: the table of a run with layers enough for a course over depth."""

from pathlib import Path

import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support.planted_runs import plant_wave


@pytest.fixture(scope="session")
def deep_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six layers, eight checkpoints, with a planted wave from the first layer to the last."""
    folder = tmp_path_factory.mktemp("deep")
    return scan_checkpoints(plant_wave(folder / "run"), folder / "deep.parquet").output
