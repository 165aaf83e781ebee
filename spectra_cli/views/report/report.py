"""The report: reads tables once, and writes one page that stands by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.inputs.runs import metrics_in
from spectra_cli.studies.rank1.metric_names import NEEDED
from spectra_cli.studies.stability import METRICS, RunComparison, ratios
from spectra_cli.views.figures.axes import POWERS
from spectra_cli.views.figures.colours import run_scale
from spectra_cli.views.figures.kinds import kind_of
from spectra_cli.views.figures.plot import Choice, read_runs
from spectra_cli.views.figures.room import require_room
from spectra_cli.views.figures.save import LARGEST, write_whole
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.formatting import count
from spectra_cli.views.report.charts import drawn_charts
from spectra_cli.views.report.commands import PageInputs
from spectra_cli.views.report.figure_list import FIGURES
from spectra_cli.views.report.interactive import interactive_charts
from spectra_cli.views.report.metric_facts import metric_facts
from spectra_cli.views.report.overview import overview
from spectra_cli.views.report.page_data import Detail, read_detail
from spectra_cli.views.report.sections import SECTIONS, Material
from spectra_cli.views.report.shell import asset, check_page_name, libraries, render, themes, trusted
from spectra_cli.views.report.unfinished import unfinished

SCRIPTS = ("state.js", "adapt.js", "figures.js", "tools.js", "table.js", "controls.js")


def report(
    tables: Sequence[str | Path],
    output: str,
    *,
    losses: Sequence[str] = (),
    loss_columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    rank1: Sequence[str] = (),
) -> int:
    """Write the page on one or more tables and return its size in bytes.

    losses: files of what the runs logged, one for each table. rank1: tables that `spectra rank1` wrote. Raises
    SpectraError where a table is none, or the page would be larger than LARGEST.
    """
    check_page_name(output)
    page = make_page(read_material(PageInputs(tables, output, losses, loss_columns, labels, rank1))).encode()
    if len(page) > LARGEST:
        raise SpectraError(f"{output} would have {len(page):,} bytes", hint="report on fewer tables at a time")
    write_whole(Path(output), page)
    return len(page)


def read_material(asked: PageInputs) -> Material:
    """Read all that the page shows. Raises SpectraError where a table is none, or not of the command it should be."""
    require_room()  # before the libraries of the studies, which die where there is none
    _refuse_rank1(asked.tables)
    inputs = read_inputs(
        asked.tables, None, also=METRICS, losses=asked.losses, columns=asked.loss_columns, labels=asked.labels
    )
    details = [read_detail(StudiedRun(given), number) for number, given in enumerate(inputs)]
    on_lines = read_runs(asked.rank1, kind_of("rank1"), Choice()) if asked.rank1 else []
    charts = drawn_charts([detail.studied for detail in details], on_lines)
    return Material(details, asked, charts, _compared(details), on_lines)


def _refuse_rank1(tables: Sequence[str | Path]) -> None:
    """Raise SpectraError where a table of rank 1 stands in a scan's place."""
    for path in tables:
        if NEEDED[0] in metrics_in(path):
            raise SpectraError(
                f"{path} is what `spectra rank1` wrote", hint="give it with --rank1, beside a table of `spectra scan`"
            )


def _compared(details: Sequence[Detail]) -> RunComparison | None:
    pairs = [(detail.run, phases) for detail in details if (phases := detail.studied.stability) is not None]
    if len(pairs) < 2:
        return None
    runs, phases_of_runs = zip(*pairs, strict=True)
    return RunComparison(phases_of_runs, tuple(ratios(runs, phases_of_runs)))


def make_page(material: Material) -> str:
    """Return the page's HTML."""
    details = material.details
    heading = ", ".join(str(detail.facts["label"]) for detail in details)
    shown = [(section, section.shown(material)) for section in SECTIONS]
    return render(
        "report.html",
        f"{heading}: spectra over training",
        styles=[asset("page.css")],
        scripts=[libraries(), *(asset(name) for name in SCRIPTS)],
        heading=heading,
        summary=_summaries(material),
        unfinished=[
            (material.label(detail), said) for detail in details if (said := unfinished(detail.studied)) is not None
        ],
        overview=overview(material),
        first=material.figures(["trajectory"]),
        sections=[(section, part) for section, part in shown if part is not None],
        facts=_facts(material),
        themes=themes(),
        packed=[(name, trusted(numbers)) for detail in details for name, numbers in detail.packed.items()],
    )


def _facts(material: Material) -> dict[str, Any]:
    """Return the plain data of the page's scripts."""
    runs = [detail.facts for detail in material.details]
    metrics = metric_facts(list(dict.fromkeys(name for run in runs for name in run["metrics"])))
    labels = [str(run["label"]) for run in runs]
    roles = list(dict.fromkeys(str(matrix["role"]) for run in runs for matrix in run["matrices"]))
    steps = sorted({step for run in runs for step in run["steps"]})
    return {
        "runs": runs,
        "colours": run_scale(labels)["range"],
        "metrics": metrics,
        "titles": {metric["name"]: metric["title"] for metric in metrics},
        "templates": interactive_charts(roles, steps, labels, are_steps=all(run["known"] for run in runs)),
        "charts": material.charts,
        "powers": POWERS,
        "figures": {
            figure.name: {
                "caption": figure.caption, "choices": figure.choices, "command": material.inputs.plot_command(figure)
            }
            for figure in FIGURES
        },
    }  # fmt: skip


def _summaries(material: Material) -> list[str]:
    """Return what the runs are, a line for those that are alike."""
    alike: dict[str, list[str]] = {}
    for detail in material.details:
        alike.setdefault(_summary(detail), []).append(str(material.label(detail)))
    named = len(material.details) > 1
    return [f"{', '.join(labels)}: {summary}" if named else summary for summary, labels in alike.items()]


def _summary(detail: Detail) -> str:
    """Return what a run is, in one line."""
    points, reference = detail.run.checkpoints, detail.run.metadata.get("reference")
    steps = ""
    if detail.facts["known"] and len(points) > 1:
        steps = f", steps {points['step'].iloc[0]:,} … {points['step'].iloc[-1]:,}"
    matrices = count(len(detail.facts["matrices"]), "matrix", "matrices")
    against = f", compared with {reference}" if reference else ""
    return f"{count(len(points), 'checkpoint')}{steps}, {matrices} each{against}"
