"""The folder's texts: findings as Markdown and as plain data, a paragraph of methods, a bibliography."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spectra_cli.errors import printable
from spectra_cli.studies.lifecycle import LifecycleComparison
from spectra_cli.studies.stability import RunComparison
from spectra_cli.views.console.lifecycle import lifecycle_json
from spectra_cli.views.console.stability import stability_json
from spectra_cli.views.figures.kinds import kind_of
from spectra_cli.views.formatting import count
from spectra_cli.views.report.charts import lifecycle_of
from spectra_cli.views.report.claims import CLAIMS
from spectra_cli.views.report.metric_facts import metric_facts
from spectra_cli.views.report.overview import overview
from spectra_cli.views.report.page_data import Detail
from spectra_cli.views.report.papers import SOFTWARE, paper
from spectra_cli.views.report.provenance import provenance
from spectra_cli.views.report.sections import Material, findings_of, rank1_findings
from spectra_cli.views.sentences.finding import Finding
from spectra_cli.views.sentences.stability import ratio_sentences

BOUND = (
    "Singular values are computed in float64, each within 1e-9 of the largest of its matrix; numbers whose third digit "
    "that could change are listed in the table's metadata."
)


def findings_text(material: Material, captions: Mapping[str, str], left_out: Sequence[tuple[str, str]]) -> str:
    """Return what was found and what was looked for in vain, the figures with their captions, and the command."""
    return "\n\n".join(_findings(material, captions, left_out)) + "\n"


def _findings(material: Material, captions: Mapping[str, str], left_out: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "# Findings"
    verdicts = [run["verdict"] for run in overview(material)["runs"]]
    for detail, verdict in zip(material.details, verdicts, strict=True):
        yield f"## {_escaped(detail.run.label)}"
        yield _escaped(verdict)
        yield from _lists(findings_of(detail))
    if material.comparison is not None:
        yield "## The runs against the first"
        yield _list(ratio_sentences(material.comparison))
    for label, findings in rank1_findings(material):
        yield f"## {_escaped(label)}: rank 1"
        yield from _lists(findings)
    yield "## Figures"
    for name, caption in captions.items():
        yield f"![{name}](figures/{name}.png)"
        yield f"{_escaped(caption)}"
    if left_out:
        yield "Not drawn, as the tables do not hold what they need:"
        yield _list([f"{name}: {why}" for name, why in left_out])


def _lists(findings: Sequence[Finding]) -> Iterator[str]:
    seen = [finding.sentence for finding in findings if finding.seen]
    unseen = [finding.sentence for finding in findings if not finding.seen]
    if seen:
        yield _list(seen)
    if unseen:
        yield "Looked for, and not seen or not to be judged:"
        yield _list(unseen)


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def findings_facts(material: Material) -> dict[str, Any]:
    """Return the findings as plain data, with all numbers of `spectra stability --json` and `lifecycle --json`."""
    details = material.details
    phases = tuple(detail.studied.stability for detail in details)
    depths = tuple(lifecycle_of(detail.studied) for detail in details)
    ratios = material.comparison.ratios if material.comparison else ()
    studied = RunComparison(tuple(run for run in phases if run is not None), tuple(ratios))
    return {
        "runs": [
            {"label": detail.run.label, "findings": [vars(finding) for finding in findings_of(detail)]}
            for detail in details
        ],
        "stability": stability_json(studied),
        "lifecycle": lifecycle_json(LifecycleComparison(tuple(run for run in depths if run is not None))),
        "rank1": [
            {"label": label, "findings": [vars(finding) for finding in findings]}
            for label, findings in rank1_findings(material)
        ],
    }


def methods_text(material: Material, kinds: Sequence[str]) -> str:
    """Return how the numbers were made, and the definitions of what the findings and figures name."""
    claims = [claim for claim in CLAIMS if claim.figure in kinds]
    cited = [f" [@{claim.paper}]" if claim.paper else "" for claim in claims]
    facts = [fact for fact in metric_facts(_metrics_of(kinds)) if fact["meaning"]]
    parts = [
        "# Methods",
        *(_methods_of(detail) for detail in material.details),
        BOUND,
        "## What was looked for",
        "\n".join(f"- **{claim.title}.** {claim.definition}{by}" for claim, by in zip(claims, cited, strict=True)),
        "## Metrics",
        "\n".join(f"- `{fact['name']}`: {fact['meaning']} {fact['formula']}".rstrip() for fact in facts),
        "## Commands",
        "\n".join(["```sh", *material.commands(), "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _metrics_of(kinds: Sequence[str]) -> list[str]:
    """Return the metrics that some figures show, each once."""
    shown = [(*kind.metrics, *kind.also, kind.metric) for kind in map(kind_of, kinds)]
    return list(dict.fromkeys(name for names in shown for name in names if name))


def _methods_of(detail: Detail) -> str:
    facts = dict(provenance(detail.run, len(detail.facts["matrices"])))
    matrices = count(int(str(facts["matrices"])), "weight matrix", "weight matrices")
    return _escaped(
        f"{detail.run.label}: all singular values of {matrices} of {facts['model']} ({facts['source']}), checkpoints "
        f"{facts['checkpoints']}, computed on {facts['computed on']} with {facts['made with']}; compared with "
        f"{facts['compared with']} and with the checkpoint before. Left out: {facts['skipped']}."
    )


def references(material: Material) -> str:
    """Return the bibliography of the papers whose claims were looked for."""
    figures = [part["figure"].name for part in material.figures([claim.figure for claim in CLAIMS])]
    keys = dict.fromkeys(claim.paper for claim in CLAIMS if claim.paper and claim.figure in figures)
    return "\n".join([*(paper(key).bibtex for key in keys), SOFTWARE]) + "\n"


def _escaped(text: object) -> str:
    """Return text that Markdown and a terminal show as it is: names come from files."""
    plain = printable(str(text), 10_000)
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|" else letter for letter in plain)
