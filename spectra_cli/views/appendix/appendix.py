"""Writes the folder: reads tables once for the page, once for each figure, and names what could not be drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.storage.new_folder import check_output, new_folder
from spectra_cli.views.appendix.texts import findings_facts, findings_text, methods_text, references
from spectra_cli.views.figures.kinds import KINDS
from spectra_cli.views.figures.look import Look
from spectra_cli.views.figures.plot import Choice, caption_of, read_runs
from spectra_cli.views.figures.save import save_all
from spectra_cli.views.report.commands import PageInputs
from spectra_cli.views.report.report import make_page, read_material

LOOK = Look(column="double", theme="paper", no_title=True, dpi=300)
PAGE, FIGURES = "report.html", "figures"
OnFigure = Callable[[str], None]


@dataclass(frozen=True)
class Appendix:
    """What was written. figures: kinds drawn, by name. left_out: kinds that were not, each with the reason."""

    output: Path
    figures: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def write_appendix(inputs: PageInputs, on_figure: OnFigure = lambda _: None) -> Appendix:
    """Write a new folder on one or more tables, whole or not at all.

    inputs: `output` is the folder. on_figure: called with the name of each kind before it is drawn. Raises SpectraError
    where a table is none, the folder is not empty, or it cannot be written.
    """
    folder = Path(inputs.output)
    check_output(folder)
    material = read_material(replace(inputs, output=str(folder / PAGE)))
    with new_folder(folder) as inside:
        (inside / FIGURES).mkdir()
        drawn: dict[str, str] = {}
        left_out: list[tuple[str, str]] = []
        for name, caption, why_not in _draw(inputs, inside / FIGURES, on_figure):
            if why_not is None:
                drawn[name] = caption
            else:
                left_out.append((name, why_not))
        texts = {
            PAGE: make_page(material),
            "findings.md": findings_text(material, drawn, left_out),
            "findings.json": json.dumps(findings_facts(material), indent=1, ensure_ascii=False) + "\n",
            "methods.md": methods_text(material, list(drawn)),
            "references.bib": references(material),
        }
        for name, text in texts.items():
            (inside / name).write_text(text, encoding="utf-8")
    return Appendix(folder, tuple(drawn), tuple(left_out))


def _draw(inputs: PageInputs, folder: Path, on_figure: OnFigure) -> Iterator[tuple[str, str, str | None]]:
    """Draw every kind as PDF and PNG with a caption; yield its name, caption, and why it was not drawn."""
    of_scan = Choice(losses=inputs.losses, loss_columns=inputs.loss_columns, labels=inputs.labels)
    for kind in KINDS:
        tables, choice = (inputs.tables, of_scan) if kind.written_by == "scan" else (inputs.rank1, Choice())
        if not tables:
            continue
        on_figure(kind.name)
        try:
            runs = read_runs(tables, kind, choice)
            chart = kind.draw(runs, choice.options(kind))
        except SpectraError as error:
            yield kind.name, "", error.message
            continue
        save_all(chart, [str(folder / f"{kind.name}{suffix}") for suffix in (".pdf", ".png")], kind.name, LOOK)
        caption = caption_of(kind, chart, runs)
        (folder / f"{kind.name}.txt").write_text(f"{caption}\n", encoding="utf-8")
        yield kind.name, caption, None
