"""SECTIONS, the parts of the page in order: each names its template and prepares what that shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spectra_cli.studies.stability import Ratio, RunComparison
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.report.charts import lifecycle_of
from spectra_cli.views.report.page_data import Detail
from spectra_cli.views.report.provenance import provenance, scan_command
from spectra_cli.views.sentences.lifecycle import lifecycle_sentences
from spectra_cli.views.sentences.rank1 import rank1_sentences, run_sentence
from spectra_cli.views.sentences.stability import NOUNS, ratio, ratio_sentences, stability_sentences

Shown = Mapping[str, Any] | None


@dataclass(frozen=True, eq=False)
class Material:
    """All that the page is made of. details: one for each run. command: that made the page.

    comparison: the runs that have phases, against the first of them; None where there are fewer than two. rank1: the
    tables of `spectra rank1`.
    """

    details: Sequence[Detail]
    command: str
    comparison: RunComparison | None = None
    rank1: Sequence[StudiedRun] = ()

    def label(self, detail: Detail) -> str | None:
        """Return what a run is called on the page, None where it is the only one."""
        return detail.run.label if len(self.details) > 1 else None


@dataclass(frozen=True)
class Section:
    """One part of the page.

    name: its id. template: in templates/sections. shown: prepares what the template shows, as its variable `shown`;
    None where the page has no such part.
    """

    name: str
    title: str
    template: str
    shown: Callable[[Material], Shown]


def figure(name: str, choice: str | None = None, select: str | None = None) -> Callable[[Material], Shown]:
    """Return a section of one figure, which the script draws. choice, select: label and id of a choice above it."""

    def shown(material: Material) -> Shown:
        del material
        return {"figure": name, "caption": CAPTIONS[name], "choice": choice, "select": select}

    return shown


def findings(material: Material) -> Shown:
    """Return the findings of each run as sentences."""
    runs = []
    for detail in material.details:
        phases = detail.studied.stability
        none = ["The phases were not looked for: the table has no course over steps."]
        runs.append((material.label(detail), stability_sentences(phases) if phases else none))
    return {"runs": runs, "figures": ()}


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


def over_depth(material: Material) -> Shown:
    """Return the findings of the Lifecycle study as sentences, a run at a time, and its figures."""
    studies = [(material.label(detail), lifecycle_of(detail.studied)) for detail in material.details]
    runs = [(label, lifecycle_sentences(study)) for label, study in studies if study]
    return {"runs": runs, "figures": [(name, CAPTIONS[name]) for name in LIFECYCLE_FIGURES]} if runs else None


def on_a_line(material: Material) -> Shown:
    """Return whether checkpoints lie on a line, in sentences for each table of `spectra rank1`, and their figure."""
    from spectra_cli.studies.rank1.rows import rank1_of

    runs = []
    for studied in material.rank1:
        findings = rank1_of(studied.run)
        label = studied.label if len(material.rank1) > 1 else None
        runs.append((label, [f"{run_sentence(findings)}.", *rank1_sentences(findings)]))
    return {"runs": runs, "figures": [("rank1", CAPTIONS["rank1"])]} if runs else None


def matrices(material: Material) -> Shown:
    """Return nothing: the lines of the table of matrices are the script's."""
    del material
    return {}


def accuracy(material: Material) -> Shown:
    """Return how the numbers were made and what was left out."""
    runs = []
    for detail in material.details:
        notes = [("note", note) for note in detail.notes]
        runs.append((detail.run.label, [*provenance(detail.run, len(detail.facts["matrices"])), *notes]))
    return {"runs": runs}


def commands(material: Material) -> Shown:
    """Return the commands that make the tables and the page again."""
    return {"commands": [*(scan_command(detail.run) for detail in material.details), material.command]}


LIFECYCLE_FIGURES = ("wave", "gradients", "timescales", "depth", "asymmetry")
CAPTIONS = {
    "trajectory": "How fast each role's spectrum moves at each step; the loss beneath, where there is one. "
    "Phases are shaded where the data support them.",
    "alignment": "Cosine of spectra and of weights to the reference checkpoint, by role.",
    "spectrum": "Each singular value's share against its rank, at the step chosen (thick) and at others (thin).",
    "heatmap": "The metric chosen above by layer and checkpoint; each column is a checkpoint.",
    "profile": "The metric chosen above over depth, at the step chosen; faint, at the first checkpoint.",
    "wave": "Compression of the stable rank by layer and step; dots where a layer has half of its largest.",
    "gradients": "Slopes over depth at each step, with 95% bands; dashed where one turns.",
    "timescales": "How far stable rank and α still have to go, the fits, and their timescales.",
    "depth": "α over depth at the last checkpoint, with parabolas; all runs of this page.",
    "asymmetry": "How q, k, v and o spread over depth about their own means, at the last checkpoint.",
    "rank1": "Checkpoints in the plane of their first two components, and the first component's share of the variance "
    "beside what a walk with the run's own steps gives, and a persistent one; bars are 95% intervals.",
    "course": "The metric chosen above over training, mean over each role's matrices. Drag to move, scroll to zoom.",
}

SECTIONS: tuple[Section, ...] = (
    Section("findings", "Findings", "findings.html", findings),
    Section("comparison", "Side by side", "comparison.html", comparison),
    Section("trajectory", "Variation over training", "figure.html", figure("trajectory")),
    Section("alignment", "Spectra and weights", "figure.html", figure("alignment")),
    Section("spectrum", "The spectrum", "figure.html", figure("spectrum", "matrix", "chosen")),
    Section("heatmap", "Layers and steps", "figure.html", figure("heatmap", "role", "role")),
    Section("profile", "Over depth", "figure.html", figure("profile")),
    Section("course", "Over training", "figure.html", figure("course")),
    Section("lifecycle", "Lifecycle: training and depth", "findings.html", over_depth),
    Section("rank1", "Rank 1: on a line, or only drifting", "findings.html", on_a_line),
    Section("table", "Matrices", "matrices.html", matrices),
    Section("accuracy", "Accuracy and provenance", "accuracy.html", accuracy),
    Section("commands", "Commands", "commands.html", commands),
)
