"""Reads tables, prepares one kind of figure of them, and draws it into a file or on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.storage.atomic import check_target
from spectra_cli.views.figures.figure import Chart, Kind, Options
from spectra_cli.views.figures.kinds import KINDS, kind_of
from spectra_cli.views.figures.look import Look
from spectra_cli.views.figures.save import save, specification, suffix_of, write_whole
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.figures.titles import without_titles


@dataclass(frozen=True)
class Choice:
    """What of the tables is drawn. roles: such as `q`. match: a regular expression over matrix names.

    steps: checkpoints for kinds that show a few. losses: one file for all tables, or one each. labels: one each.
    seeds: draw runs of one label, which differ by seed alone, as one with a band; without labels all.
    """

    metric: str | None = None
    roles: Sequence[str] = ()
    match: str | None = None
    steps: Sequence[int] = ()
    losses: Sequence[str] = ()
    loss_columns: Mapping[str, str] | None = None
    labels: Sequence[str] | None = None
    seeds: bool = False

    def options(self, kind: Kind) -> Options:
        """Return what a kind is drawn with. Raises SpectraError, code 2, for a choice that it does not have."""
        if self.metric and kind.metric is None:
            raise SpectraError(
                f"the kind {kind.name} has no choice of --metric", hint="roles draws any metric by role", code=2
            )
        if self.seeds and not kind.pools:
            others = ", ".join(other.name for other in KINDS if other.pools)
            raise SpectraError(f"the kind {kind.name} draws no bands over seeds", hint=f"{others} do", code=2)
        return Options(self.metric or kind.metric, tuple(self.steps), self.match)


def plot(
    tables: Sequence[str | Path],
    name: str,
    output: str,
    choice: Choice | None = None,
    look: Look | None = None,
    caption: str | None = None,
) -> str | None:
    """Draw one kind of figure of one or more tables into a file; for `-`, return it as text.

    name: of KINDS. output: its suffix says the kind of file. look: how it looks in a file. caption: a file for what
    the figure says beside the picture. Raises SpectraError where a table does not hold what the
    figure needs, or a choice fits nothing.
    """
    kind, suffix = kind_of(name), suffix_of(output)
    for path in (output, caption):
        if path is not None and path != "-":
            check_target(Path(path))
    choice = choice or Choice()
    options = choice.options(kind)
    runs = read_runs(tables, kind, choice)
    data = kind.figure.prepare(runs, options)
    if suffix == "-":
        from spectra_cli.views.figures.terminal import draw

        return draw(kind.figure.lines(data))
    labels = ", ".join(studied.label for studied in runs)
    chart = kind.figure.chart(data)
    save(chart, output, f"{name}: {labels}", look)
    if caption is not None:
        write_whole(Path(caption), caption_of(kind, chart, runs).encode() + b"\n")
    return None


def caption_of(kind: Kind, chart: Chart, runs: Sequence[StudiedRun]) -> str:
    """Return what a figure shows in words, to stand beneath it."""
    _, sentences = without_titles(specification(chart))
    whole = [f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}." for sentence in sentences]
    return " ".join([kind.shows, *whole, f"Runs: {', '.join(studied.label for studied in runs)}."])


def read_runs(tables: Sequence[str | Path], kind: Kind, choice: Choice) -> list[StudiedRun]:
    """Read what a kind needs of each table, narrowed to the matrices chosen."""
    from spectra_cli.metrics import select
    from spectra_cli.studies.inputs.run_inputs import read_inputs
    from spectra_cli.studies.series import narrow

    _refuse_other_tables(tables, kind)
    wanted = list(kind.metrics)
    if kind.metric and not kind.vectors:
        wanted += select([choice.metric or kind.metric])
    inputs = read_inputs(
        tables, wanted, also=kind.also, required=wanted, losses=choice.losses, columns=choice.loss_columns,
        labels=choice.labels, seeds=choice.seeds,
    )  # fmt: skip
    return [StudiedRun(replace(given, run=narrow(given.run, choice.roles, choice.match))) for given in inputs]


def _refuse_other_tables(tables: Sequence[str | Path], kind: Kind) -> None:
    """Raise SpectraError for a table that another command than the kind's wrote."""
    from spectra_cli.studies.inputs.runs import metrics_in

    for path in tables if kind.written_by != "scan" else ():
        if not set(kind.metrics) <= set(metrics_in(path)):
            raise SpectraError(
                f"{path} holds nothing for the figure {kind.name}",
                hint=f"`spectra {kind.written_by} SOURCE -o FILE` writes a table that does",
            )


def whole_numbers(text: str | None) -> tuple[int, ...]:
    """Read `0,100,600`. Raises SpectraError, code 2, where it says something else.

    >>> whole_numbers("0,100")
    (0, 100)
    """
    try:
        return tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise SpectraError(
            f"--steps does not understand '{text}'", hint="steps are written as 0,100,600", code=2
        ) from None
