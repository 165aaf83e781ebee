"""What the theory's claims are judged by: a run's numbers, groups and log, and series of it from the peak on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.studies.inputs.runs import groups
from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability.findings import GroupStability

Array = NDArray[np.float64]

NORM, CONDITION = "frobenius_norm", "condition_number"
PARTS = ("all", "attention", "mlp")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run. numbers: of Run.numbers. steps: of its checkpoints, by order. groups: as studied, `all` first.

    starts: (n,) the step before each checkpoint of the whole model's series.
    """

    numbers: pd.DataFrame
    steps: pd.Series
    groups: tuple[GroupStability, ...]
    starts: NDArray[np.int64]
    losses: Losses | None

    @property
    def whole(self) -> GroupStability:
        """The whole model."""
        return self.groups[0]

    def group(self, name: str) -> GroupStability | None:
        """Return one group by its name, None where the run has no such matrices."""
        return next((group for group in self.groups if group.group == name), None)

    def since_peak(self) -> pd.Series:
        """Return the steps from the whole model's peak on, by order."""
        return self.steps[(self.steps >= self.whole.peak.step) & (self.steps > 0)]

    def log_means(self, metric: str) -> dict[str, pd.Series]:
        """Return the mean logarithm of a metric over the matrices of each of PARTS, by step; those that hold any.

        Matrices that are not a number above zero at every checkpoint are left out.
        """
        means = {}
        for name, lines in groups(self.numbers):
            logs = self.logs(lines, metric) if name in PARTS else pd.DataFrame()
            if not logs.empty:
                means[name] = logs.mean(axis=1)
        return means

    def logs(self, lines: pd.DataFrame, metric: str) -> pd.DataFrame:
        """Return ln of a metric, steps × matrices, of the matrices where it is a number above zero at every step."""
        if metric not in lines:
            return pd.DataFrame()
        table = lines.assign(matrix=lines["matrix"].astype(str)).pivot(index="order", columns="matrix", values=metric)
        known = table.where((table > 0) & np.isfinite(table)).dropna(axis="columns")
        return pd.DataFrame(np.log(known).set_axis(self.steps.loc[known.index].to_numpy(), axis="index"))
