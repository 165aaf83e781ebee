"""What a figure is made of: its entry in the list of kinds, what the user chose, and what a terminal can draw of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.inputs.training_logs import Losses

Chart = Any  # one of Altair's chart classes, which share no public base with `to_dict`


@dataclass(frozen=True, eq=False)
class Options:
    """What the user chose, and what was read for it.

    metric: the number drawn, None where the kind has no choice. steps: the checkpoints named, for kinds that show a
    few. losses: one for each run, None where it has none. spectra: one frame for each run, of
    `studies.courses.read_spectra`; empty where the kind needs none. follow: draw a line
    at the step that the data source `cursor` holds, which a page's slider moves.
    """

    metric: str | None = None
    steps: tuple[int, ...] = ()
    losses: tuple[Losses | None, ...] = ()
    spectra: tuple[pd.DataFrame, ...] = ()
    follow: bool = False

    def loss_of(self, index: int) -> Losses | None:
        """Give the losses of the run at this place."""
        return self.losses[index] if index < len(self.losses) else None


@dataclass(frozen=True, eq=False)
class Lines:
    """One panel for the terminal: a frame with the columns x, y and series, and how its axes are called and scaled."""

    title: str
    x: str
    y: str
    frame: pd.DataFrame
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    name: of `--kind`. shows: one sentence for the help. metrics: those that it needs; also: those that
    it shows more with. metric: the one drawn where the
    user names none; None where there is no choice. vectors: whether it draws spectra. draw: gives the chart.
    lines: gives the panels for `-o -`; None where a terminal cannot show it.
    """

    name: str
    shows: str
    draw: Callable[[Sequence[Run], Options], Chart]
    metrics: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    metric: str | None = None
    vectors: bool = False
    lines: Callable[[Sequence[Run], Options], tuple[Lines, ...]] | None = None
