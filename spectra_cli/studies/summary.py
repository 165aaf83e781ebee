"""The first facts of a scan: which roles moved most, and when spectra and weights came close to the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from spectra_cli.storage.table import read_rows

CLOSE = 0.99
COLUMNS = ("revision", "step", "role", "metric", "value")
METRICS = ("cos_spectrum_final", "cos_weights_final", "sd_variation_rate", "stable_rank", "alpha")
Series = list[tuple[int | None, float]]


@dataclass(frozen=True)
class RoleSummary:
    """One role over the run, means over its matrices; None where the table does not say.

    first_step: where the run begins. spectra_close, weights_close: the first step from which cos_spectrum_final
    (cos_weights_final) stays at 0.99 or above. peak: largest sd_variation_rate, per step, and its step.
    stable_rank, alpha: first and last. start: cos_weights_final at the first checkpoint: the lower, the further
    the role moved.
    """

    role: str
    first_step: int | None = None
    spectra_close: int | None = None
    weights_close: int | None = None
    peak: tuple[float, int | None] | None = None
    stable_rank: tuple[float, float] | None = None
    alpha: tuple[float, float] | None = None
    start: float | None = None


def summarise(path: str | Path) -> tuple[RoleSummary, ...]:
    """Summarise a table by role, in the table's order of roles. Raises SpectraError where it is no table."""
    series = _series_by_role(read_rows(path, metrics=METRICS, columns=COLUMNS))
    roles = dict.fromkeys(role for role, _ in series)
    return tuple(_summary(role, {metric: series.get((role, metric), []) for metric in METRICS}) for role in roles)


def _series_by_role(table: pa.Table) -> dict[tuple[str, str], Series]:
    """Return the mean over a role's matrices at each checkpoint, in the table's order."""
    keys = ["revision", "step", "role", "metric"]
    plain = table.set_column(0, "revision", table["revision"].cast(pa.string()))
    for index, name in ((2, "role"), (3, "metric")):
        plain = plain.set_column(index, name, plain[name].cast(pa.string()))
    plain = plain.append_column("line", pa.array(range(len(plain)), pa.int64()))
    means = plain.group_by(keys, use_threads=False).aggregate([("value", "mean"), ("line", "min")])
    means = means.sort_by("line_min")  # groups come in the order of their hashes where a table is one row group
    series: dict[tuple[str, str], Series] = {}
    for row in means.to_pylist():
        series.setdefault((row["role"], row["metric"]), []).append((row["step"], row["value_mean"]))
    return series


def _summary(role: str, series: Mapping[str, Series]) -> RoleSummary:
    rates = [(value, step) for step, value in series["sd_variation_rate"] if math.isfinite(value)]
    weights = series["cos_weights_final"]
    return RoleSummary(
        role,
        weights[0][0] if weights else None,
        close_from(series["cos_spectrum_final"]),
        close_from(weights),
        max(rates, key=lambda pair: pair[0]) if rates else None,
        _ends(series["stable_rank"]),
        _ends(series["alpha"]),
        weights[0][1] if weights else None,
    )


def close_from(series: Series, threshold: float = CLOSE) -> int | None:
    """Return the first step from which a series stays at or above the threshold; None where it never does.

    >>> close_from([(0, 0.5), (10, 0.995), (20, 0.98), (30, 0.999), (40, 1.0)])
    30
    """
    first = None
    for step, value in reversed(series):
        if not value >= threshold:
            break
        first = step
    return first


def _ends(series: Series) -> tuple[float, float] | None:
    return (series[0][1], series[-1][1]) if series else None
