"""The report: reads tables once, and writes one page that stands alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.lifecycle import Lifecycle, lifecycle
from spectra_cli.studies.stability import METRICS, RunComparison, RunStability
from spectra_cli.views.figures.figure import Chart, Options
from spectra_cli.views.figures.layers import asymmetry_of, depth_of
from spectra_cli.views.figures.lifecycle import gradients_of, timescales_of, wave_of
from spectra_cli.views.figures.save import LARGEST, specification, write_whole
from spectra_cli.views.figures.series import alignment
from spectra_cli.views.figures.style import NAMES, titled
from spectra_cli.views.figures.trajectory import RATE, phases_of, trajectory
from spectra_cli.views.formatting import count
from spectra_cli.views.report.charts import templates
from spectra_cli.views.report.page import asset, data_tag, libraries, shell, themes
from spectra_cli.views.report.page_data import Detail, read_detail
from spectra_cli.views.report.sections import SECTIONS, Material, text

if TYPE_CHECKING:
    from spectra_cli.studies.inputs.training_logs import Losses

SCRIPTS = ("report_data.js", "report_figures.js", "report_table.js")
FIXED = {"trajectory": (trajectory, (RATE,)), "alignment": (alignment, ("cos_spectrum_final", "cos_weights_final"))}
OVER_STEPS = {"wave": wave_of, "gradients": gradients_of, "timescales": timescales_of}
CONTROLS = (
    '<div class="bar" role="region" aria-label="what the figures show"><div class="controls">'
    '<label id="run-choice">run <select id="run"></select></label>'
    '<label class="wide">step <input type="range" id="step" min="0" value="0" step="1">'
    '<output id="step-name" for="step"></output></label>'
    '<label>metric <select id="metric"></select></label></div></div>'
    "<noscript><p>The figures and the table of matrices need JavaScript; the findings do not.</p></noscript>"
)
DIALOG = (
    '<dialog id="matrix" aria-labelledby="matrix-name"><div class="top"><h2 id="matrix-name"></h2>'
    '<button type="button" class="plain" id="close">close</button></div><p class="soft" id="matrix-facts"></p>'
    '<div id="matrix-spectrum" role="img" aria-label="spectrum of this matrix"></div>'
    '<table id="matrix-numbers"><thead><tr><th scope="col">metric</th><th scope="col">first</th>'
    '<th scope="col">at the step</th><th scope="col">last</th></tr></thead><tbody></tbody></table></dialog>'
)


def report(
    tables: Sequence[str | Path],
    output: str,
    *,
    losses: Sequence[str] = (),
    loss_columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> int:
    """Write the page on one or more tables and give its size in bytes.

    losses: files of what the runs logged, one for each table. Raises SpectraError where a table is none, or the page
    would be larger than LARGEST.
    """
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise SpectraError(f"a report is a page, and {output} is no name for one", hint="end it in .html", code=2)
    inputs = read_inputs(tables, None, also=METRICS, losses=losses, columns=loss_columns, labels=labels)
    logged = [given.losses for given in inputs]
    details = [read_detail(given, place) for place, given in enumerate(inputs)]
    command = shlex.join(
        ["spectra", "report", *map(str, tables), *(w for one in losses for w in ("--loss", one)), "-o", output]
    )
    found = [_phases(detail, loss) for detail, loss in zip(details, logged, strict=True)]
    compared = _compared(details, found)
    courses = [_lifecycle(detail) for detail in details]
    material = Material(details, [dict(given.run.metadata) for given in inputs], found, command, compared, courses)
    page = render(material, logged).encode()
    if len(page) > LARGEST:
        raise SpectraError(f"{output} would have {len(page):,} bytes", hint="report on fewer tables at a time")
    write_whole(Path(output), page)
    return len(page)


def _phases(detail: Detail, losses: Losses | None) -> RunStability | None:
    return phases_of(detail.run, losses) if RATE in detail.run.numbers and detail.facts["known"] else None


def _lifecycle(detail: Detail) -> Lifecycle | None:
    """Study a run over depth, None where it has no such course."""
    try:
        return lifecycle(detail.run)
    except SpectraError:
        return None


def _compared(details: Sequence[Detail], found: Sequence[RunStability | None]) -> RunComparison | None:
    from spectra_cli.studies.stability import ratios

    pairs = [(detail.run, one) for detail, one in zip(details, found, strict=True) if one is not None]
    if len(pairs) < 2:
        return None
    runs, studied = zip(*pairs, strict=True)
    return RunComparison(studied, tuple(ratios(runs, studied)))


def render(material: Material, losses: Sequence[Losses | None]) -> str:
    """Make the page's HTML."""
    facts = {
        "runs": [detail.facts for detail in material.details],
        "titles": {name: titled(name) for name in NAMES},
        "templates": [_templates(detail) for detail in material.details],
        "charts": [
            {**_charts(detail, loss), **_lifecycle_charts(one, material)}
            for detail, loss, one in zip(material.details, losses, material.lifecycle, strict=True)
        ],
    }
    packed = "\n".join(
        f'<script type="text/plain" id="packed-{text(name)}">{content}</script>'
        for detail in material.details
        for name, content in detail.packed.items()
    )
    title = ", ".join(str(detail.facts["label"]) for detail in material.details)
    data = f"{data_tag('facts', facts)}\n{data_tag('themes', themes())}\n{packed}"
    body = "\n".join([_head(material, title), CONTROLS, _main(material), DIALOG, data])
    scripts = [libraries(), *(asset(name) for name in SCRIPTS)]
    return shell(f"{title}: spectra over training", body, styles=[asset("report.css")], scripts=scripts)


def _templates(detail: Detail) -> dict[str, Any]:
    roles = [str(matrix["role"]) for matrix in detail.facts["matrices"]]
    return templates(roles, detail.facts["steps"], known=detail.facts["known"])


def _charts(detail: Detail, losses: Losses | None) -> dict[str, Any]:
    """Give the charts that Python draws, those whose metrics the table has."""
    return {
        name: _bare(draw([detail.run], Options(losses=(losses,), follow=True)))
        for name, (draw, metrics) in FIXED.items()
        if all(metric in detail.run.numbers and detail.run.numbers[metric].gt(-2).any() for metric in metrics)
    }


def _lifecycle_charts(one: Lifecycle | None, material: Material) -> dict[str, Any]:
    """Give the charts over depth of one run; an exponent over depth is of all runs together."""
    if one is None:
        return {}
    every = [other for other in material.lifecycle if other and other.alpha_gradient]
    over = {name: _bare(draw(one, follow=True)) for name, draw in OVER_STEPS.items()}
    return {
        **over,
        **({"depth": _bare(depth_of(every))} if one.alpha_gradient else {}),
        **({"asymmetry": _bare(asymmetry_of(one))} if one.asymmetry else {}),
    }


def _bare(chart: Chart) -> dict[str, Any]:
    """Give a chart without its look, which the page sets."""
    return {key: part for key, part in specification(chart).items() if key not in ("config", "padding", "$schema")}


def _head(material: Material, title: str) -> str:
    lines = []
    for detail, facts in zip(material.details, material.metadata, strict=True):
        points, known = detail.run.checkpoints, detail.facts["known"]
        span = f", steps {points['step'].iloc[0]:,} … {points['step'].iloc[-1]:,}" if known and len(points) > 1 else ""
        many = count(len(detail.facts["matrices"]), "matrix", "matrices")
        what = f"{count(len(points), 'checkpoint')}{span}, {many} each"
        against = f", compared with {facts['reference']}" if facts.get("reference") else ""
        name = f"{detail.run.label}: " if len(material.details) > 1 else ""
        lines.append(f'<p class="soft">{text(name + what + against)}</p>')
    return f'<a class="skip" href="#main">to the findings</a><header><h1>{text(title)}</h1>{"".join(lines)}</header>'


def _main(material: Material) -> str:
    parts = [
        f'<section id="{one.name}" aria-labelledby="title-{one.name}"><h2 id="title-{one.name}">{one.title}</h2>'
        f"{body}</section>"
        for one in SECTIONS
        if (body := one.body(material))
    ]
    return f'<main id="main" tabindex="-1">{"".join(parts)}</main>'
