"""A table with all that the studies of tables read, planted by formulas, so that its numbers are the same anywhere."""

from pathlib import Path

import numpy as np

from spectra_cli.records import Checkpoint, Matrix, MatrixRows
from spectra_cli.storage.table import to_arrow, write_table

STEPS = (0, 1, 2, 3, 6, 10, 18, 32, 58, 102, 181, 323, 575, 1024)
ROLES = ("q", "k", "v", "o", "up", "down")
LAYERS = 6
METRICS = (
    "sd_variation_rate", "sd_variation_prev", "stability_bound_prev", "stable_rank", "entropy", "alpha",
    "cos_spectrum_final", "cos_weights_final",
)  # fmt: skip


def matrices(layers: int = LAYERS) -> list[Matrix]:
    """One of every role a layer, and the embedding."""
    of_layers = [
        Matrix(f"layers.{layer}.{role}", role, f"{layer}.{role}", 64, 64, layer=layer)
        for layer in range(layers) for role in ROLES
    ]  # fmt: skip
    return [Matrix("embed", "embed", "embed", 256, 64), *of_layers]


def values(matrix: Matrix, step: int, previous: int | None, layers: int = LAYERS) -> dict[str, float]:
    """Compression that goes through the depth, an exponent that grows, and a variation that peaks and settles."""
    role = ROLES.index(matrix.role) if matrix.role in ROLES else 2.5
    depth = (matrix.layer or 0) / (layers - 1)
    noise = np.random.default_rng([step, int(10 * role), matrix.layer or 0]).normal(size=3)
    way = 1 - np.exp(-step / (20 + 60 * depth + 3 * role))
    alone = {
        "stable_rank": 30 * (1 - (0.5 + 0.05 * role + 0.15 * depth) * way) * np.exp(0.01 * noise[0]),
        "entropy": 3.5 - way * (0.4 + 0.2 * depth) + 0.01 * noise[1],
        "alpha": 0.3 + way * (0.3 + 0.1 * depth - 0.02 * role) + 0.005 * noise[2],
        "cos_spectrum_final": 1 - 0.1 * np.exp(-step / 50),
        "cos_weights_final": 1 - 0.6 * np.exp(-step / 200),
    }
    if previous is None:
        return alone
    x = np.log(step / 8)
    rate = 1e-3 / (1 + 0.2 * role) * np.exp(0.8 * min(x, 0) - 1.2 * np.clip(x, 0, 3) + 0.05 * noise[0])
    moved = float(rate * (step - previous))
    return alone | {"sd_variation_rate": rate, "sd_variation_prev": moved, "stability_bound_prev": 40 * moved}


def plant_table(path: Path, layers: int = LAYERS) -> Path:
    """Write the table of a model of so many layers."""
    parts = []
    for previous, step in zip((None, *STEPS), STEPS, strict=False):
        checkpoint = Checkpoint("tiny", f"step{step}", Path(), step)
        rows = [MatrixRows(checkpoint, matrix, values(matrix, step, previous, layers)) for matrix in matrices(layers)]
        parts.append(to_arrow(rows))
    write_table(path, parts, {"reference": f"step{STEPS[-1]}"})
    return path
