"""The first screen: what each run comes to in a sentence, and its few numbers with their intervals."""

from __future__ import annotations

from typing import Any

from spectra_cli.studies.series import has_steps
from spectra_cli.studies.stability import RATE
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.report.charts import lifecycle_of
from spectra_cli.views.report.claims import claim
from spectra_cli.views.report.sections import Material
from spectra_cli.views.sentences.headline import headlines, verdict


def overview(material: Material) -> dict[str, Any]:
    """Return the verdict of each run, and its headlines; of several runs one line each under the same heads."""
    runs = []
    for detail in material.details:
        studied = detail.studied
        phases, lifecycle = studied.stability, lifecycle_of(studied)
        sentence = verdict(phases, lifecycle, why_not(studied))
        numbers = headlines(phases, lifecycle)
        runs.append((material.label(detail), sentence, {headline.claim: headline for headline in numbers}))
    names = list(dict.fromkeys(name for _, _, numbers in runs for name in numbers))
    return {
        "heads": [claim(name).title for name in names],
        "runs": [
            {"label": label, "verdict": sentence, "numbers": [numbers.get(name) for name in names]}
            for label, sentence, numbers in runs
        ],
    }


def why_not(studied: StudiedRun) -> str:
    """Return why a run has no phases, where it has none."""
    points = studied.run.checkpoints
    if len(points) < 2:
        return "one checkpoint has no course"
    if not has_steps(studied.run):
        return "the table does not say the steps of its checkpoints, or they start anew"
    if RATE not in studied.run.numbers or not studied.run.numbers[RATE].notna().any():
        return f"the table holds no {RATE}; scan with it among the --metrics"
    return f"too few checkpoints have a {RATE}"
