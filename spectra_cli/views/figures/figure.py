"""What a figure is: its entry in the list of kinds, what its module holds, and what a terminal can draw of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from spectra_cli.views.figures.studied import StudiedRun

Chart = Any  # one of Altair's chart classes, which share no public base with `to_dict`


@dataclass(frozen=True)
class Options:
    """What the user chose.

    metric: the number drawn, None where the kind has no choice. steps: the checkpoints named, for kinds that show a
    few. match: the expression by which matrices were chosen, None where they were not. follow: draw a line at the step
    that the data source `cursor` holds, which a page's slider moves.
    """

    metric: str | None = None
    steps: tuple[int, ...] = ()
    match: str | None = None
    follow: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel for the terminal: a frame with the columns x, y and series, and how its axes are called and scaled."""

    title: str
    x: str
    y: str
    frame: pd.DataFrame
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, eq=False)
class Grid:
    """One heat map for the terminal.

    values: (rows, columns), NaN where there is none; the first row is drawn lowest. rows, columns: their labels. marks:
    for each row a column, which may lie between two, or NaN. legend: what the marks are. log: how colours are scaled.
    """

    title: str
    x: str
    y: str
    values: NDArray[np.float64]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    log: bool = False
    marks: NDArray[np.float64] | None = None
    legend: str = ""


class Figure(Protocol):
    """What the module of a figure holds. The data is a frozen record of the figure's own, and drawn as it is."""

    def prepare(self, runs: Sequence[StudiedRun], options: Options) -> Any:
        """Return the figure's data. Raises SpectraError where the runs do not hold it, or a choice fits nothing."""

    def chart(self, data: Any) -> Chart:
        """Return prepared data as a chart."""

    def lines(self, data: Any) -> tuple[Panel | Grid, ...]:
        """Return prepared data as panels for a terminal."""


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    name: of `--kind`. shows: one sentence for the help. figure: the module that prepares and draws it. metrics: those
    that it needs; also: those that it shows more with. metric: the one drawn where the user names none; None where
    there is no choice. vectors: whether it draws spectra. written_by: the command whose tables it takes. pools:
    whether it draws runs that differ by seed alone as one, with a band.
    """

    name: str
    shows: str
    figure: Figure
    metrics: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    metric: str | None = None
    vectors: bool = False
    written_by: str = "scan"
    pools: bool = False

    def draw(self, runs: Sequence[StudiedRun], options: Options) -> Chart:
        """Return the chart of some runs."""
        return self.figure.chart(self.figure.prepare(runs, options))
