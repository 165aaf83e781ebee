"""A run while it is watched: by role in short, what happened, and when the next checkpoint is due."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from spectra_cli.errors import printable
from spectra_cli.records import Problem
from spectra_cli.studies.events import PHASE_TWO, Event, Measurement
from spectra_cli.studies.events.measurement import RATE
from spectra_cli.views.formatting import count, duration, number
from spectra_cli.views.sentences.events import event_sentence

if TYPE_CHECKING:
    from spectra_cli.jobs.watch import Watched

BARS = "▁▂▃▄▅▆▇█"
SHOWN = ((RATE, "variation"), ("stable_rank", "stable rank"), ("alpha", "α"))
LATEST_EVENTS = 4
KEPT = 200  # values a role and metric: a sparkline shows fewer
REMEMBERED = 20  # times between checkpoints
ROLE, ENDS = 11, 19  # characters of a role's name, and of the first and last value
FEWEST_BARS, MOST_BARS = 6, 16  # of a metric; where there is no room for so many, there are fewer metrics
WAITS_LONG = 60.0  # seconds


@dataclass
class WatchView:
    """Shows a run on a terminal as one picture that changes, elsewhere as a line for each thing that happens."""

    console: Console
    source: str
    quiet: bool = False
    series: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    checkpoints: int = 0
    last: Measurement | None = None
    waiting: tuple[str, ...] = ()
    _came: list[float] = field(default_factory=list)
    _tell_at: float = math.inf
    _live: Live | None = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Draw while the block runs."""
        if self.quiet or not self.console.is_terminal:
            yield self
            return
        with Live(console=self.console, auto_refresh=False, transient=False) as self._live:
            self._draw()
            yield self

    def measured(self, measurement: Measurement, seconds: float) -> None:
        """Show a checkpoint; one of a table that is continued took no time."""
        self.checkpoints += 1
        self.last = measurement
        means = role_means(measurement)
        for role, numbers in means.items():
            kept = self.series.setdefault(role, {metric: [] for metric, _ in SHOWN})
            for metric, value in numbers.items():
                kept[metric] = [*kept[metric], value][-KEPT:]
        if seconds:
            self._came = [*self._came, time.monotonic()][-REMEMBERED:]
        if self._live is None and seconds:
            self._line(f"{self.source} · {self._at()} · {self._means(means)} · measured in {duration(seconds)}")
        self._draw()

    def event(self, event: Event) -> None:
        """Show an event."""
        self.events = [*self.events, event]
        if self._live is None:
            self._line(event_sentence(event))
        self._draw()

    def failed(self, problem: Problem) -> None:
        """Show that a checkpoint could not be measured, and will be tried again."""
        text = f"{problem.message}: it is tried again"
        if text not in self.problems[-1:]:
            self.problems = [*self.problems, text][-LATEST_EVENTS:]
            if self._live is None:
                self._line(text)
        self._draw()

    def dropped(self, step: int | None) -> None:
        """Show that rows are void."""
        self.checkpoints, self.series, self.last = 0, {}, None
        if self._live is None:
            self._line(f"step {step} was written anew: it and what follows are measured again")

    def looked(self, waiting: tuple[str, ...]) -> None:
        """Show what is waited for; a line says so once, and where it takes long."""
        now = time.monotonic()
        if waiting != self.waiting:
            self.waiting, self._tell_at = waiting, now + WAITS_LONG
        if self._live is None and waiting and now >= self._tell_at:
            self._line(f"not complete yet: {', '.join(waiting[:3])}")
            self._tell_at = math.inf
        self._draw()

    def finished(self, watched: Watched, name: str) -> None:
        """Show what watching gave."""
        checkpoints, events = count(watched.checkpoints, "checkpoint"), count(len(watched.events), "event")
        self._line(f"{printable(name)} · {checkpoints} · {events} · {watched.why}")
        if not watched.over:
            self._line("the run is not known to be over: the same command goes on from here")

    def _line(self, text: str) -> None:
        if not self.quiet:
            self.console.print(printable(text, 400), soft_wrap=True)

    def _at(self) -> str:
        at = f"step {self.last.step:,}, " if self.last is not None and self.last.step is not None else ""
        return f"{at}{count(self.checkpoints, 'checkpoint')}"

    def _means(self, means: dict[str, dict[str, float]]) -> str:
        parts = []
        for metric, name in SHOWN:
            values = [numbers[metric] for numbers in means.values() if metric in numbers]
            if values:
                parts.append(f"{name} {number(math.fsum(values) / len(values))}")
        return " · ".join(parts)

    def _next(self) -> str:
        if self.waiting:
            return f"not complete yet: {', '.join(self.waiting[:2])}"
        gaps = [later - earlier for earlier, later in zip(self._came, self._came[1:], strict=False)]
        if not gaps:
            return "waiting for a checkpoint"
        left = median(gaps) - (time.monotonic() - self._came[-1])
        if left > 0:
            return f"the next in about {duration(left)}"
        return f"the next was expected {duration(-left)} ago" if left < -1 else "the next is due"

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self.picture(self.console.width), refresh=True)

    def picture(self, width: int) -> Group:
        """Return what a terminal of this width shows: less of each role where it is narrow."""
        now = f" · {self._at()} · {self._next()}"
        lines: list[Any] = [f"{_end_of(self.source, width - len(now))}{now}"]
        columns = [column for column in SHOWN if any(kept[column[0]] for kept in self.series.values())]
        columns = columns[: max(1, (width - ROLE) // (FEWEST_BARS + ENDS))]
        bars = min(MOST_BARS, (width - ROLE) // max(1, len(columns)) - ENDS)
        settled = next((event for event in self.events if event.kind == PHASE_TWO), None)
        if columns:
            heads = (f"{name:<{max(bars, 0) + ENDS}}" for _, name in columns)
            lines.append(f"{'':<{ROLE}}{''.join(heads)}".rstrip())
        for role, kept in self.series.items():
            cells = (_series(kept[metric], bars, metric) for metric, _ in columns)
            lines.append(f"  {role:<{ROLE - 2}}{''.join(cells)}".rstrip())
        if columns:
            lines.append(f"  {'phase II' if settled else 'phase I, or not told from it yet'}")
        lines += [event_sentence(event) for event in self.events[-LATEST_EVENTS:]]
        lines += self.problems
        return Group(*(Text(printable(line, 400), no_wrap=True, overflow="ellipsis") for line in lines))


def role_means(measurement: Measurement) -> dict[str, dict[str, float]]:
    """Return the mean of each metric shown over the matrices of each role; none where no matrix has it."""
    means: dict[str, dict[str, float]] = {}
    for metric, _ in SHOWN:
        of_role: dict[str, list[float]] = {}
        for matrix, value in measurement.of(metric).items():
            if math.isfinite(value):
                of_role.setdefault(measurement.roles[matrix], []).append(value)
        for role, values in of_role.items():
            means.setdefault(role, {})[metric] = math.fsum(values) / len(values)
    return means


def _end_of(source: str, room: int) -> str:
    """Return as much of a source's end as there is room for: a long path's is what tells runs apart."""
    kept = max(room, FEWEST_BARS)
    return source if len(source) <= kept else f"…{source[1 - kept :]}"


def _series(values: Sequence[float], bars: int, metric: str) -> str:
    """Return a cell of so many bars and ENDS characters: without bars where there is no room for any."""
    ends = " → ".join(number(value, 2) for value in dict.fromkeys((values[0], values[-1])))
    line = sparkline(values, bars, logarithmic=metric == RATE) if bars > 0 else ""
    return f"{line:<{max(bars, 0)}} {ends:<{ENDS - 1}}"


def sparkline(values: Sequence[float], most: int, *, logarithmic: bool = False) -> str:
    """Return values as bars, each the mean of as many neighbours as it takes to show them all.

    >>> sparkline([1, 2, 3, 4], 4), sparkline([5, 5], 4), sparkline([1, 10, 100], 3, logarithmic=True)
    ('▁▃▆█', '▁▁', '▁▅█')
    """
    known = [math.log(value) if logarithmic else value for value in values if not logarithmic or value > 0]
    shown = min(most, len(known))
    edges = [round(index * len(known) / shown) for index in range(shown + 1)] if shown else []
    pieces = [known[low:high] for low, high in zip(edges, edges[1:], strict=False)]
    points = [math.fsum(piece) / len(piece) for piece in pieces]
    low, high = min(points, default=0.0), max(points, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((point - low) * scale)] for point in points)
