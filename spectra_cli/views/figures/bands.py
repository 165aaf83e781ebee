"""Runs that differ by seed alone, drawn as one: their median at each step, and a band from least to greatest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError
from spectra_cli.views.figures.figure import Chart
from spectra_cli.views.formatting import count

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.views.figures.studied import StudiedRun

BAND = "Lines: the median over runs that differ by seed alone; bands: from the least to the greatest of them"


def are_pooled(runs: Sequence[StudiedRun]) -> bool:
    """Whether runs differ by seed alone and are drawn together."""
    return any(studied.given.pool is not None for studied in runs)


def labels_of(runs: Sequence[StudiedRun]) -> list[str]:
    """Return what lines are called: pools, or single runs."""
    return list(dict.fromkeys(studied.pool or studied.label for studied in runs))


def members_of(runs: Sequence[StudiedRun]) -> dict[str, list[StudiedRun]]:
    """Return the runs of each pool, or each run by itself."""
    return {label: [run for run in runs if (run.pool or run.label) == label] for label in labels_of(runs)}


def over_seeds(
    frame: pd.DataFrame, runs: Sequence[StudiedRun], value: str, by: Sequence[str] = (), *, along: str = "step"
) -> pd.DataFrame:
    """Return a line for each pool and step: the median of a value as itself, and `low` and `high`; by other columns.

    frame: with run, step and `by`; unchanged where runs are not pooled. Only steps that all runs of a pool have are
    left. along: what stands for the step. Raises SpectraError where there are none.
    """
    if not are_pooled(runs) or frame.empty:
        return frame
    pools = {studied.label: studied.pool for studied in runs}
    sizes = Counter(pools[label] for label in frame["run"].unique())
    grouped = frame.assign(run=frame["run"].map(pools)).groupby(["run", *by, along], sort=False, observed=True)
    table = grouped[value].agg(["median", "min", "max", "count"]).reset_index()
    shared = table[table["count"] == table["run"].map(sizes)]
    missing = sorted(set(pools.values()) - set(shared["run"]), key=str)
    if missing:
        raise SpectraError(
            f"the runs of {missing[0]} have no {along} in common, and a band takes all of them",
            hint=f"scan each at the same --{along}s, or draw them without --seeds",
        )
    named = shared.assign(revision=[count(number, "run") for number in shared["count"]])
    return named.drop(columns="count").rename(columns={"median": value, "min": "low", "max": "high"})


def heights(frame: pd.DataFrame, value: str) -> list[float]:
    """Return all that the axis of a value must hold: the value, and the ends of its band where there is one."""
    return [number for name in (value, "low", "high") if name in frame for number in frame[name].tolist()]


def banded(line: Chart, runs: Sequence[StudiedRun], by: Sequence[str] = ()) -> Chart:
    """Return a line with its band behind it, of a frame that `over_seeds` gave; the line alone where runs are single.

    line: a chart whose y channel is the median. by: the columns that tell lines of one run apart.
    """
    import altair as alt

    if not are_pooled(runs):
        return line
    low = line.encoding.y.copy()
    low.shorthand = "low:Q"
    area = line.copy().mark_area(fillOpacity=0.18).encode(y=low, y2="high:Q", detail=[f"{name}:N" for name in by])
    return alt.layer(area, line)
