"""What the page carries of one table: names and steps plainly, numbers and spectra packed, unpacked on demand."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.errors import printable
from spectra_cli.storage.table import row_groups
from spectra_cli.studies.inputs.runs import Run, metrics_in
from spectra_cli.studies.series import MOST_RANKS, checkpoint_key, has_steps, positions, ranks_shown
from spectra_cli.views.figures.studied import StudiedRun

Thinned = tuple[NDArray[np.float32] | None, list[int], list[int]]

MOST_VALUES = 4_000_000  # float32 numbers of one run that a page may carry for its spectra, and again for its metrics
FEWEST_RANKS = 16
FIRST_SHOWN = "stable_rank"


@dataclass(frozen=True, eq=False)
class Detail:
    """The numbers of one run. facts: plain data for the page. packed: numbers by name, of `pack`.

    studied: with every metric, and those of the study of phases as NaN where the table has none. notes: what was left
    out for size.
    """

    studied: StudiedRun
    facts: dict[str, Any]
    packed: dict[str, str]
    notes: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The run's numbers."""
        return self.studied.run


def read_detail(studied: StudiedRun, number: int) -> Detail:
    """Read all of a table that a page shows. number: of the run among those on the page."""
    metrics, run = metrics_in(studied.path), studied.run
    first = run.numbers.drop_duplicates("matrix")
    names = first["matrix"].astype(str).tolist()
    orders = run.checkpoints.index.to_list()
    shown = _fitting(metrics, len(names) * len(orders))
    grids = (_grid(run, metric, names, len(orders)) for metric in shown)
    packed = {f"{number}-{index}": pack(grid) for index, grid in enumerate(grids)}
    spectra, ranks, carried = read_thinned(studied.path, run, names)
    if spectra is not None:
        packed[f"{number}-spectra"] = pack(spectra)
    facts = {
        "label": studied.label,
        "steps": positions(run).tolist(),
        "known": has_steps(run),
        "revisions": [printable(name) for name in run.checkpoints["revision"]],
        "matrices": [_matrix(line) for line in first.to_dict("records")],
        "metrics": shown,
        "first": FIRST_SHOWN if FIRST_SHOWN in shown else (shown or [""])[0],
        "ranks": ranks,
        "withSpectra": carried,
    }
    notes = []
    if len(shown) < len(metrics):
        notes.append(f"the page carries {len(shown)} of the table's {len(metrics)} metrics, to stay small")
    if len(carried) < len(names):
        notes.append(
            f"the page carries the spectra of {len(carried)} of {len(names)} matrices; the table has what it has"
        )
    return Detail(studied, facts, packed, tuple(notes))


def _fitting(metrics: list[str], size: int) -> list[str]:
    """Return the metrics that fit: all, or those of the studies before the others."""
    most = max(1, MOST_VALUES // max(1, size))
    wanted = [FIRST_SHOWN, "sd_variation_rate", "alpha", "cos_spectrum_final", "cos_weights_final", "effective_rank"]
    first = [name for name in wanted if name in metrics]
    chosen = set((first + [name for name in metrics if name not in first])[:most])
    return [name for name in metrics if name in chosen]


def _matrix(line: dict[Any, Any]) -> dict[str, Any]:
    facts = {name: printable(line[name]) for name in ("matrix", "role")}
    return {
        "name": facts["matrix"],
        "role": facts["role"],
        "layer": None if pd.isna(line["layer"]) else int(line["layer"]),
        "shape": f"{line['rows']}×{line['cols']}",
    }


def _grid(run: Run, metric: str, names: list[str], orders: int) -> NDArray[np.float32]:
    """Return a metric as (matrix, checkpoint), NaN where there is no row."""
    index_of = {name: index for index, name in enumerate(names)}
    grid = np.full((len(names), orders), np.nan, np.float32)
    lines = run.numbers["matrix"].astype(str).map(index_of).to_numpy()
    with np.errstate(over="ignore"):
        grid[lines, run.numbers["order"].to_numpy()] = run.numbers[metric].to_numpy(np.float32)
    return grid


def read_thinned(path: str | Path, run: Run, names: list[str]) -> Thinned:
    """Read σᵢ/Σσ of as many matrices as fit, as (matrix, checkpoint, rank), with the ranks and the matrices' indices.

    Ranks are those of the longest spectrum there is, thinned as `ranks_shown` does; NaN past the end of a shorter one.
    """
    orders = len(run.checkpoints)
    most = MOST_VALUES // max(1, len(names) * orders)
    many = min(MOST_RANKS // 2, max(FEWEST_RANKS, most))
    carried = names[:: max(1, -(-len(names) * orders * many // MOST_VALUES))]
    index_of = {name: index for index, name in enumerate(carried)}
    longest = int(run.numbers[["rows", "cols"]].min(axis=1).max())
    ranks = ranks_shown(longest, many)
    spectra = np.full((len(carried), orders, len(ranks)), np.nan, np.float32)
    seen = False
    order_of = {checkpoint_key(point): order for order, point in run.checkpoints.iterrows()}
    for group in row_groups(path, ("revision", "stage", "matrix", "metric", "vector")):
        part = group.filter(_is_sd(group))
        keys = part.select(["revision", "stage"]).to_pylist()
        for key, name, vector in zip(keys, part["matrix"].to_pylist(), part["vector"], strict=True):
            order = order_of.get(checkpoint_key(key))
            if name in index_of and order is not None and vector.is_valid:
                values = vector.values.to_numpy(zero_copy_only=False)
                inside = ranks[ranks <= len(values)]
                spectra[index_of[name], order, : len(inside)] = values[inside - 1]
                seen = True
    indices = [names.index(name) for name in carried]
    return (spectra, ranks.tolist(), indices) if seen else (None, [], indices)


def _is_sd(group: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.equal(group["metric"].cast(pa.string()), "sd")


def pack(values: NDArray[np.float32]) -> str:
    """Pack little-endian float32 for the page: gzip, then base64. The same values give the same text.

    Bytes are put in planes (all first bytes, all second …), which gzip shortens by about a third.
    """
    planes = np.ascontiguousarray(values, "<f4").view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(gzip.compress(planes.tobytes(), 6, mtime=0)).decode()
