"""Real checkpoints whose spectra follow a planted series of rates, scanned."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from spectra_cli.jobs.scan import scan_checkpoints
from tests.support.planted_runs import FLOOR, SCALE, plant_checkpoints


class ScannedRun(NamedTuple):
    """A table, and the truth of it: all steps, and the rates after the first."""

    table: Path
    steps: np.ndarray
    rates: np.ndarray


@pytest.fixture(scope="session")
def scanned_run(tmp_path_factory: pytest.TempPathFactory) -> ScannedRun:
    """Forty checkpoints that reach a floor, with 15% noise."""
    folder = tmp_path_factory.mktemp("planted")
    truth = plant_checkpoints(folder / "run", FLOOR, checkpoints=40, noise=0.15, seed=0).numbers
    table = scan_checkpoints(folder / "run", folder / "planted.parquet").output
    return ScannedRun(table, truth["step"].to_numpy(), truth["sd_variation_rate"].to_numpy()[1:] * SCALE)
