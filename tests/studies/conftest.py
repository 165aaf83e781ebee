"""Real checkpoints whose spectra follow a planted course, scanned."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from benchmarks.stability_calibration import Planted
from spectra_cli.scan import scan_checkpoints
from tests.runs import write_checkpoint

SIZE = 16


class Course(NamedTuple):
    """A table, and the truth of it."""

    table: Path
    steps: np.ndarray
    rates: np.ndarray
    bend: float


@pytest.fixture(scope="session")
def scanned_course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Forty checkpoints of one matrix whose singular distribution moves by a planted distance at each.

    The distribution walks to and fro along one direction that sums to zero, so that each step's distance is exact; the
    singular vectors turn slowly to their last place, so that weights arrive later than spectra.
    """
    folder = tmp_path_factory.mktemp("planted")
    random = np.random.default_rng(5)
    steps = np.concatenate([[0], np.unique(np.geomspace(2, 60_000, 40).round())]).astype(int)
    course = Planted("floor", 1.0, -1.2, 0.0)
    rates = course.rates(steps[1:].astype(float)) * np.exp(0.15 * random.standard_normal(len(steps) - 1))
    moves = np.minimum(rates * np.diff(steps) * 1e-2, 0.02)
    rates = moves / np.diff(steps)
    direction = np.linspace(1, -1, SIZE)
    direction /= np.linalg.norm(direction)
    place, shapes = 0.0, []
    for move in [0.0, *moves]:
        place += move if place <= 0 else -move
        shapes.append(np.linspace(1.6, 0.4, SIZE) / SIZE + place * direction)
    left, right = (np.linalg.qr(random.standard_normal((SIZE, SIZE)))[0] for _ in range(2))
    turn = np.linalg.qr(random.standard_normal((SIZE, SIZE)))[0]
    for step, shape in zip(steps, shapes, strict=True):
        share = 0.5 * (1 - np.log1p(step) / np.log1p(steps[-1]))
        turned = np.linalg.qr((1 - share) * left + share * turn)[0]
        weight = torch.from_numpy((turned * shape) @ right.T)
        write_checkpoint(folder / "run" / f"step{step}", {"layers.0.weight": weight}, config={"model_type": "planted"})
    table = scan_checkpoints(folder / "run", folder / "planted.parquet").output
    return Course(table, steps, rates, 1500.0)
