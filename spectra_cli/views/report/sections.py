"""The sections of the page, as a list; each gives its HTML from what was read, with every name from a file escaped."""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import Lifecycle
from spectra_cli.studies.stability import Ratio, RunComparison, RunStability
from spectra_cli.views.report.page_data import Detail
from spectra_cli.views.sentences.lifecycle import lifecycle_sentences
from spectra_cli.views.sentences.stability import NOUNS, ratio, ratio_sentences, stability_sentences


@dataclass(frozen=True, eq=False)
class Material:
    """All that the page is made of. details, metadata, stability: one for each run. command: that made the page.

    comparison: the runs that have phases, against the first of them; None where there are fewer than two. lifecycle:
    one for each run, None where it has no course over depth.
    """

    details: Sequence[Detail]
    metadata: Sequence[dict[str, Any]]
    stability: Sequence[RunStability | None]
    command: str
    comparison: RunComparison | None = None
    lifecycle: Sequence[Lifecycle | None] = ()


@dataclass(frozen=True)
class Section:
    """One part of the page. name: its id. body: gives its HTML, nothing where the page has no such part."""

    name: str
    title: str
    body: Callable[[Material], str]


def text(value: object) -> str:
    """Make a name from a file harmless in HTML.

    >>> text("<b>\\x1b")
    '&lt;b&gt;\\\\x1b'
    """
    return html.escape(printable(value, 2000))


def figure(name: str, says: str) -> Callable[[Material], str]:
    """Give the place of a figure, which the script fills, with what it shows in words."""

    def body(material: Material) -> str:
        del material
        return (
            f'<figure tabindex="0" aria-label="{text(says)}"><div class="drawing" id="figure-{name}" role="img" '
            f'aria-label="{text(says)}"></div><figcaption>{text(says)}</figcaption></figure>'
        )

    return body


def chosen(name: str, label: str, says: str, select: str) -> Callable[[Material], str]:
    """Give a figure with a choice above it."""

    def body(material: Material) -> str:
        choice = f'<div class="choose"><label>{label} <select id="{select}"></select></label></div>'
        return choice + figure(name, says)(material)

    return body


def findings(material: Material) -> str:
    """Give the findings of each run as sentences."""
    parts = []
    for detail, found in zip(material.details, material.stability, strict=True):
        said = (
            stability_sentences(found)
            if found
            else ["The phases were not looked for: the table has no course over steps."]
        )
        if len(material.details) > 1:
            parts.append(f"<h3>{text(detail.run.label)}</h3>")
        parts.append('<ul class="findings">' + "".join(f"<li>{text(one)}</li>" for one in said) + "</ul>")
    return "".join(parts)


def side_by_side(material: Material) -> str:
    """Give peaks, floors and onsets of the runs as ratios to the first, a line a group."""
    found = material.comparison
    if found is None:
        return ""
    quantities = [name for name in NOUNS if any(one.quantity == name for one in found.ratios)]
    lines: dict[tuple[str, str], dict[str, Ratio]] = {}
    for one in found.ratios:
        lines.setdefault((one.label, one.group), {})[one.quantity] = one
    heads = "".join(
        f'<th scope="col">{text(name)}</th>' for name in ("run", "group", *map(NOUNS.__getitem__, quantities))
    )
    rows = "".join(
        f'<tr><th scope="row">{text(label)}</th><td>{text(group)}</td>'
        f"{''.join(f'<td>{text(ratio(cells.get(name)))}</td>' for name in quantities)}</tr>"
        for (label, group), cells in lines.items()
    )
    said = "".join(f"<li>{text(one)}</li>" for one in ratio_sentences(found))
    return (
        f'<ul class="findings">{said}</ul><p class="soft">Against {text(found.runs[0].label)}, with 90% intervals.</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="ratios"><table id="ratios"><thead><tr>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def over_depth(material: Material) -> str:
    """Give the findings of the Lifecycle study as sentences, a run at a time, and its figures."""
    found = [one for one in material.lifecycle if one]
    if not found:
        return ""
    parts = []
    for one in found:
        if len(material.details) > 1:
            parts.append(f"<h3>{text(one.label)}</h3>")
        said = "".join(f"<li>{text(line)}</li>" for line in lifecycle_sentences(one))
        parts.append(f'<ul class="findings">{said}</ul>')
    return "".join([*parts, *(figure(name, SAYS[name])(material) for name in LIFECYCLE_FIGURES)])


def matrices(material: Material) -> str:
    """Give the table of matrices, whose lines the script writes."""
    del material
    columns = (("name", "matrix"), ("role", "role"), ("layer", "layer"), ("shape", "shape"), ("first", "first"),
               ("now", "at the step"), ("last", "last"))  # fmt: skip
    heads = "".join(
        f'<th scope="col" data-column="{name}" aria-sort="none"><button type="button"'
        f"{' id=' + chr(34) + 'head-now' + chr(34) if name == 'now' else ''}>{title}</button></th>"
        for name, title in columns
    )
    return (
        '<p class="soft">Of the metric chosen above. A click on a name opens the matrix; a click on a head sorts.</p>'
        '<div class="choose"><label>name <input type="search" id="filter" autocomplete="off"></label>'
        '<label>role <select id="filter-role"></select></label><span id="count" role="status"></span></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="matrices"><table id="matrices"><thead><tr>'
        f'{heads}<th scope="col">over the run</th></tr></thead><tbody></tbody></table></div>'
    )


def accuracy(material: Material) -> str:
    """Say how the numbers were made and how far they go."""
    parts = [
        "<p>Singular values are computed in float64; |error| ≤ 1e-9·σ₁ for every one of them. Means are over the "
        "matrices of a role, undefined values left out. Spectra on this page are thinned in rank, and its numbers "
        "rounded to float32; the table has them whole.</p>"
    ]
    for detail, facts in zip(material.details, material.metadata, strict=True):
        pairs = list(_facts(detail, facts))
        lines = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
        parts.append(f"<h3>{text(detail.run.label)}</h3><dl>{lines}</dl>")
    return "".join(parts)


def _facts(detail: Detail, facts: dict[str, Any]) -> list[tuple[str, object]]:
    points = detail.run.checkpoints
    packages = facts.get("packages", {})
    found: list[tuple[str, object]] = [
        ("model", facts.get("model")),
        ("source", facts.get("source")),
        ("checkpoints", f"{len(points)}, {points['revision'].iloc[0]} to {points['revision'].iloc[-1]}"),
        ("matrices", len(detail.facts["matrices"])),
        ("compared with", facts.get("reference") or "nothing: one checkpoint"),
        ("computed on", f"{facts.get('device')}, {facts.get('precision')}"),
        ("made with", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("skipped", _skipped(facts)),
    ]
    duplicates = facts.get("duplicates") or {}
    if duplicates:
        found.append(("identical weights", ", ".join(f"{one} repeats {other}" for one, other in duplicates.items())))
    for name in ("problems", "unread"):
        if facts.get(name):
            found.append((name, len(facts[name])))
    return found + [("note", note) for note in detail.notes]


def _skipped(facts: dict[str, Any]) -> str:
    reasons = Counter(str(reason) for _, reason in facts.get("skipped", ()))
    return ", ".join(f"{count} × {reason}" for reason, count in reasons.items()) or "nothing"


def commands(material: Material) -> str:
    """Give the commands that make the tables and the page again."""
    lines = [scan_command(facts, detail) for facts, detail in zip(material.metadata, material.details, strict=True)]
    shown = "\n".join(text(line) for line in [*lines, material.command])
    return f'<pre tabindex="0" aria-label="commands">{shown}</pre>'


def scan_command(facts: dict[str, Any], detail: Detail) -> str:
    """Write the command that made a table, with the options that change numbers."""
    words = ["spectra", "scan", str(facts.get("source")), "-o", f"{detail.run.label}.parquet"]
    options = facts.get("options", {})
    for name in ("revisions", "steps", "roles", "layers", "match", "reference", "vectors", "alpha_range", "arch"):
        value = options.get(name)
        for one in (value or ()) if name == "revisions" else (value,):
            if one:
                shown = ",".join(map(str, one)) if isinstance(one, list) else str(one)
                words += [f"--{name.replace('_', '-')}", shown]
    return shlex.join([*words, *(["--fused"] if options.get("fused") else [])])


LIFECYCLE_FIGURES = ("wave", "gradients", "timescales", "depth", "asymmetry")
SAYS = {
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
    "course": "The metric chosen above over training, mean over each role's matrices. Drag to move, scroll to zoom.",
}

SECTIONS: tuple[Section, ...] = (
    Section("findings", "Findings", findings),
    Section("comparison", "Side by side", side_by_side),
    Section("trajectory", "Variation over training", figure("trajectory", SAYS["trajectory"])),
    Section("alignment", "Spectra and weights", figure("alignment", SAYS["alignment"])),
    Section("spectrum", "The spectrum", chosen("spectrum", "matrix", SAYS["spectrum"], "chosen")),
    Section("heatmap", "Layers and steps", chosen("heatmap", "role", SAYS["heatmap"], "role")),
    Section("profile", "Over depth", figure("profile", SAYS["profile"])),
    Section("course", "Over training", figure("course", SAYS["course"])),
    Section("lifecycle", "Lifecycle: training and depth", over_depth),
    Section("table", "Matrices", matrices),
    Section("accuracy", "Accuracy and provenance", accuracy),
    Section("commands", "Commands", commands),
)
