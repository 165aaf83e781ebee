"""What the events, and who watches them, need of one checkpoint, from its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

RATE = "sd_variation_rate"
METRICS = ("spectral_norm", "frobenius_norm", "stable_rank", "alpha", RATE, "update_norm_prev")


@dataclass(frozen=True)
class Measurement:
    """One checkpoint: the role of each matrix, and the numbers of METRICS by metric and matrix, those that there are.

    step: None when unknown.
    """

    revision: str
    step: int | None
    roles: Mapping[str, str]
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of(self, metric: str) -> Mapping[str, float]:
        """Return the values of a metric by matrix; none where it was not measured."""
        return self.values.get(metric, {})

    @property
    def rate(self) -> float:
        """The mean over all matrices of how fast their spectra move; NaN where none is known."""
        rates = [rate for rate in self.of(RATE).values() if math.isfinite(rate)]
        return math.fsum(rates) / len(rates) if rates else math.nan


def measurement_of(rows: pa.Table) -> Measurement:
    """Return what the rows of one checkpoint say. rows: of SCHEMA, at least one."""
    first = rows.slice(0, 1).to_pylist()[0]
    texts = {name: rows[name].cast(pa.string()) for name in ("matrix", "role", "metric")}
    table = pa.table({**texts, "value": rows["value"]})
    chosen = table.filter(pc.is_in(table["metric"], pa.array(METRICS)))
    values: dict[str, dict[str, float]] = {metric: {} for metric in METRICS}
    for line in chosen.to_pylist():
        values[line["metric"]][line["matrix"]] = line["value"]
    roles = dict(zip(texts["matrix"].to_pylist(), texts["role"].to_pylist(), strict=True))
    return Measurement(first["revision"], first["step"], roles, values)
