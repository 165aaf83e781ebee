"""SECTIONS, the chapters of the page in order: each names its template and prepares what that shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spectra_cli.studies.stability import Ratio, RunComparison
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.report.charts import lifecycle_of
from spectra_cli.views.report.claims import CLAIMS, claim
from spectra_cli.views.report.commands import PageInputs, scan_command
from spectra_cli.views.report.figure_list import page_figure
from spectra_cli.views.report.page_data import Detail
from spectra_cli.views.report.papers import PAPERS, SOFTWARE, paper
from spectra_cli.views.report.provenance import provenance
from spectra_cli.views.sentences.finding import Finding
from spectra_cli.views.sentences.lifecycle import lifecycle_findings
from spectra_cli.views.sentences.rank1 import rank1_sentences, run_sentence
from spectra_cli.views.sentences.stability import NOUNS, ratio, ratio_sentences, stability_findings

Shown = Mapping[str, Any] | None
DRAWN_BY_SCRIPT = ("course", "spectrum", "heatmap", "profile")


@dataclass(frozen=True, eq=False)
class Material:
    """All that the page is made of. details: one for each run. charts: of `drawn_charts`.

    comparison: the runs that have phases, against the first of them; None where there are fewer than two. rank1: the
    tables of `spectra rank1`.
    """

    details: Sequence[Detail]
    inputs: PageInputs
    charts: Mapping[str, Any]
    comparison: RunComparison | None = None
    rank1: Sequence[StudiedRun] = ()

    def label(self, detail: Detail) -> str | None:
        """Return what a run is called on the page, None where it is the only one."""
        return detail.run.label if len(self.details) > 1 else None

    def commands(self) -> list[str]:
        """Return the commands that make the tables and the page again."""
        scans = [scan_command(detail.run, detail.studied.path) for detail in self.details]
        return [*scans, self.inputs.report_command()]

    def figures(self, names: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return what the templates say of figures, those that the page has."""
        has_spectra = any(detail.facts["ranks"] for detail in self.details)
        by_script = [name for name in DRAWN_BY_SCRIPT if name != "spectrum" or has_spectra]
        return [
            {"figure": page_figure(name), "sentences": self.charts.get(name, {}).get("sentences", ())}
            for name in names
            if name in self.charts or name in by_script
        ]


@dataclass(frozen=True)
class Section:
    """One chapter of the page.

    name: its id. template: in templates/sections. shown: prepares what the template shows, as its variable `shown`;
    None where the page has no such chapter.
    """

    name: str
    title: str
    template: str
    shown: Callable[[Material], Shown]


def figures(*names: str) -> Callable[[Material], Shown]:
    """Return a chapter of figures, those of them that the page has."""

    def shown(material: Material) -> Shown:
        present = material.figures(names)
        return {"figures": present} if present else None

    return shown


def findings(material: Material) -> Shown:
    """Return the findings of each run, what was seen apart from what was looked for in vain."""
    runs = []
    for detail in material.details:
        runs.append((material.label(detail), *_apart(findings_of(detail))))
    return {"runs": runs} if any(seen or unseen for _, seen, unseen in runs) else None


def findings_of(detail: Detail) -> list[Finding]:
    """Return all that was looked for in one run."""
    lifecycle, phases = lifecycle_of(detail.studied), detail.studied.stability
    return [*(stability_findings(phases) if phases else []), *(lifecycle_findings(lifecycle) if lifecycle else [])]


def _apart(findings: Sequence[Finding]) -> tuple[list[Any], list[Any]]:
    pairs = [(finding, claim(finding.claim)) for finding in findings]
    return [pair for pair in pairs if pair[0].seen], [pair for pair in pairs if not pair[0].seen]


def comparison(material: Material) -> Shown:
    """Return peaks, floors and onsets of the runs as ratios to the first, a line a group."""
    compared = material.comparison
    if compared is None:
        return None
    quantities = [name for name in NOUNS if any(part.quantity == name for part in compared.ratios)]
    lines: dict[tuple[str, str], dict[str, Ratio]] = {}
    for part in compared.ratios:
        lines.setdefault((part.label, part.group), {})[part.quantity] = part
    return {
        "sentences": ratio_sentences(compared),
        "first": compared.runs[0].label,
        "columns": ["run", "group", *(NOUNS[name] for name in quantities)],
        "rows": [
            (label, group, [ratio(ratios.get(name)) for name in quantities]) for (label, group), ratios in lines.items()
        ],
    }


def on_a_line(material: Material) -> Shown:
    """Return whether checkpoints lie on a line, in sentences for each table of `spectra rank1`, and their figure."""
    several = len(material.rank1) > 1
    runs = [(label if several else None, *_apart(said)) for label, said in rank1_findings(material)]
    return {"runs": runs, "figures": material.figures(["rank1"])} if runs else None


def rank1_findings(material: Material) -> list[tuple[str, list[Finding]]]:
    """Return for each table of `spectra rank1` its label and what was found."""
    from spectra_cli.studies.rank1.rows import rank1_of

    by_label = []
    for studied in material.rank1:
        result = rank1_of(studied.run)
        sentences = [f"{run_sentence(result)}.", *rank1_sentences(result)]
        by_label.append((studied.label, [Finding("rank1", sentence) for sentence in sentences]))
    return by_label


def matrices(material: Material) -> Shown:
    """Return nothing: the lines of the table of matrices are the script's."""
    del material
    return {}


def definitions(material: Material) -> Shown:
    """Return what was looked for with its definition, and the papers."""
    shown = [part["figure"].name for part in material.figures([claim.figure for claim in CLAIMS])]
    claims = [(part, paper(part.paper) if part.paper else None) for part in CLAIMS if part.figure in shown]
    return {"claims": claims, "papers": PAPERS, "software": SOFTWARE}


def accuracy(material: Material) -> Shown:
    """Return how the numbers were made and what was left out."""
    runs = []
    for detail in material.details:
        notes = [("note", note) for note in detail.notes]
        runs.append((detail.run.label, [*provenance(detail.run, len(detail.facts["matrices"])), *notes]))
    return {"runs": runs}


def commands(material: Material) -> Shown:
    """Return the commands that make the tables and the page again."""
    return {"commands": material.commands()}


SECTIONS: tuple[Section, ...] = (
    Section("findings", "What was found", "findings.html", findings),
    Section("comparison", "Runs side by side", "comparison.html", comparison),
    Section("training", "Over training", "figures.html", figures("alignment", "course")),
    Section("spectra", "The spectrum", "figures.html", figures("spectrum")),
    Section(
        "over-depth", "Over depth", "figures.html",
        figures("heatmap", "profile", "wave", "gradients", "timescales", "depth", "asymmetry"),
    ),
    Section("on-a-line", "Rank 1: on a line, or only drifting", "findings.html", on_a_line),
    Section("table", "Matrices", "matrices.html", matrices),
    Section("definitions", "Definitions and papers", "definitions.html", definitions),
    Section("accuracy", "Accuracy and provenance", "accuracy.html", accuracy),
    Section("commands", "Commands", "commands.html", commands),
)  # fmt: skip
