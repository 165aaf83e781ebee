"""The report: reads tables once, and writes one page that stands by itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.inputs.runs import metrics_in
from spectra_cli.studies.rank1.metric_names import NEEDED
from spectra_cli.studies.stability import METRICS, RunComparison, ratios
from spectra_cli.views.figures.axes import QUANTITIES, titled
from spectra_cli.views.figures.kinds import kind_of
from spectra_cli.views.figures.plot import Choice, read_runs
from spectra_cli.views.figures.save import LARGEST, write_whole
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.formatting import count
from spectra_cli.views.report.charts import drawn_charts, rank1_chart
from spectra_cli.views.report.interactive import interactive_charts
from spectra_cli.views.report.page_data import Detail, read_detail
from spectra_cli.views.report.sections import SECTIONS, Material
from spectra_cli.views.report.shell import asset, libraries, render, themes, trusted

SCRIPTS = ("state.js", "figures.js", "table.js")


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
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise SpectraError(f"a report is a page, and {output} is no name for one", hint="end it in .html", code=2)
    _refuse_rank1(tables)
    inputs = read_inputs(tables, None, also=METRICS, losses=losses, columns=loss_columns, labels=labels)
    details = [read_detail(StudiedRun(given), number) for number, given in enumerate(inputs)]
    command = shlex.join(
        [
            "spectra",
            "report",
            *map(str, tables),
            *(w for log in losses for w in ("--loss", log)),
            *(w for table in rank1 for w in ("--rank1", table)),
            "-o",
            output,
        ]  # fmt: skip
    )
    on_lines = read_runs(rank1, kind_of("rank1"), Choice()) if rank1 else ()
    page = make_page(Material(details, command, _compared(details), on_lines)).encode()
    if len(page) > LARGEST:
        raise SpectraError(f"{output} would have {len(page):,} bytes", hint="report on fewer tables at a time")
    write_whole(Path(output), page)
    return len(page)


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
        summary=[_summary(detail, material.label(detail)) for detail in details],
        sections=[(section, part) for section, part in shown if part is not None],
        facts=_facts(details, material.rank1),
        themes=themes(),
        packed=[(name, trusted(numbers)) for detail in details for name, numbers in detail.packed.items()],
    )


def _facts(details: Sequence[Detail], rank1: Sequence[StudiedRun]) -> dict[str, Any]:
    """Return the plain data of the page's scripts."""
    runs = [detail.studied for detail in details]
    return {
        "runs": [detail.facts for detail in details],
        "titles": {name: titled(name) for detail in details for name in (*QUANTITIES, *detail.facts["metrics"])},
        "templates": [_interactive(detail.facts) for detail in details],
        "charts": [drawn_charts(studied, runs) | rank1_chart(rank1) for studied in runs],
    }


def _interactive(facts: Mapping[str, Any]) -> dict[str, Any]:
    roles = [str(matrix["role"]) for matrix in facts["matrices"]]
    return interactive_charts(roles, facts["steps"], are_steps=facts["known"])


def _summary(detail: Detail, label: str | None) -> str:
    """Return what a run is, in one line."""
    points, reference = detail.run.checkpoints, detail.run.metadata.get("reference")
    steps = ""
    if detail.facts["known"] and len(points) > 1:
        steps = f", steps {points['step'].iloc[0]:,} … {points['step'].iloc[-1]:,}"
    matrices = count(len(detail.facts["matrices"]), "matrix", "matrices")
    against = f", compared with {reference}" if reference else ""
    name = f"{label}: " if label else ""
    return f"{name}{count(len(points), 'checkpoint')}{steps}, {matrices} each{against}"
