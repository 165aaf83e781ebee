"""Reads a table as the studies want it: one line per checkpoint and matrix, one column per metric. Judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectra_cli.errors import SpectraError
from spectra_cli.storage.table import read_metadata, read_rows

ATTENTION = ("q", "k", "v", "o")
MLP = ("gate", "up", "down")
DEEPEST = 9_999  # studies make grids of layers
COLUMNS = ("model", "revision", "stage", "step", "tokens", "matrix", "role", "layer", "expert", "rows", "cols")


@dataclass(frozen=True, eq=False)
class Run:
    """One trajectory. label: what the user calls it. metadata: how its table was made.

    numbers: a line per checkpoint and matrix, in the table's order, with the columns of COLUMNS, `order` (0, 1, … along
    the run; steps may restart in a stage), and one float64 column per metric, NaN where the table has no such row.
    """

    label: str
    numbers: pd.DataFrame
    metadata: Mapping[str, Any]

    @property
    def checkpoints(self) -> pd.DataFrame:
        """Revision, stage, step and tokens of each checkpoint, indexed by `order`."""
        first = self.numbers.drop_duplicates("order")
        return first.set_index("order")[["revision", "stage", "step", "tokens"]]

    @property
    def family(self) -> str:
        """The architecture that the table's metadata name; "" where they name none."""
        layouts = self.metadata.get("layouts")
        last = layouts[-1] if isinstance(layouts, list) and layouts else None
        return str(last.get("architecture") or "") if isinstance(last, dict) else ""


def read_run(path: str | Path, metrics: Sequence[str], label: str | None = None) -> Run:
    """Read some metrics of a table. Raises SpectraError where it is no table or holds none of them."""
    metadata = read_metadata(path)
    frame = read_rows(path, metrics=metrics, columns=(*COLUMNS, "metric", "value")).to_pandas()
    if frame.empty:
        raise SpectraError(f"{path} holds none of {', '.join(metrics)}", hint=_way_to(metrics, metadata))
    deepest = frame["layer"].max()
    if deepest > DEEPEST:
        raise SpectraError(
            f"{path} holds a layer {int(deepest):,}, and studies are of models of at most {DEEPEST + 1:,}",
            hint="scan again without that matrix, by --layers or --match",
        )
    return Run(label or Path(path).stem, _widen(frame, metrics), metadata)


def _way_to(metrics: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """Return how to have a table with metrics that one lacks, whether it was scanned for them or not."""
    if set(metrics) <= set(metadata.get("options", {}).get("metrics", ())):
        return "it was scanned for them, and they compare checkpoints: scan two or more"
    return "scan again with these --metrics, or without --metrics"


def metrics_in(path: str | Path) -> list[str]:
    """Return the metrics with a value that a table holds, in the catalogue's order."""
    from spectra_cli.metrics import METRICS

    column = read_rows(path, columns=("metric",))["metric"].unique().to_pylist()
    held = [str(name) for name in column if name != "sd"]
    known = [metric.name for metric in METRICS if metric.name in held]
    return known + [name for name in held if name not in known]


def _widen(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    checkpoints = frame["stage"].cat.codes.to_numpy(np.int64) * (len(frame["revision"].cat.categories) + 1)
    order = pd.factorize(checkpoints + frame["revision"].cat.codes)[0]
    line = pd.factorize(order.astype(np.int64) * len(frame["matrix"].cat.categories) + frame["matrix"].cat.codes)[0]
    first = np.unique(line, return_index=True)[1]
    wide = frame.iloc[first][list(COLUMNS)].reset_index(drop=True)
    wide["order"] = order[first]
    names = frame["metric"].astype(str).to_numpy()
    for metric in metrics:
        column = np.full(len(first), np.nan)
        of_metric = names == metric
        column[line[of_metric]] = frame["value"].to_numpy()[of_metric]
        wide[metric] = column
    return wide


def groups(numbers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the lines of the whole model, of attention, of the MLP, and of each role, those that there are."""
    role = numbers["role"].astype(str)
    yield "all", numbers
    for name, roles in (("attention", ATTENTION), ("mlp", MLP)):
        if role.isin(roles).any():
            yield name, numbers[role.isin(roles)]
    for name in dict.fromkeys(role):
        yield name, numbers[role == name]


def layers(numbers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the lines of each layer, as `layer 3`, in the order of depth."""
    for depth in sorted(numbers["layer"].dropna().unique()):
        yield f"layer {int(depth)}", numbers[numbers["layer"] == depth]
