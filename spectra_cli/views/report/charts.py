"""The figures of the page that Python draws, as Vega-Lite with their data; the page sets how they look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.studies.lifecycle import Lifecycle
from spectra_cli.views.figures.figure import Options
from spectra_cli.views.figures.kinds import kind_of
from spectra_cli.views.figures.save import specification
from spectra_cli.views.figures.studied import StudiedRun
from spectra_cli.views.figures.titles import without_titles


def lifecycle_of(studied: StudiedRun) -> Lifecycle | None:
    """Return the study of a run over depth, None where there is too little for it."""
    try:
        return studied.lifecycle()
    except SpectraError:
        return None


def drawn_charts(runs: Sequence[StudiedRun], rank1: Sequence[StudiedRun]) -> dict[str, Any]:
    """Return by kind the charts of all runs that hold enough for it, and what they say beside the picture."""
    drawable = [*_drawable(runs), *([("rank1", rank1)] if rank1 else [])]
    return {name: _drawn(name, drawn) for name, drawn in drawable if drawn}


def _drawable(runs: Sequence[StudiedRun]) -> Iterator[tuple[str, list[StudiedRun]]]:
    """Yield kinds, each with the runs that it shows."""
    for name in ("trajectory", "alignment"):
        needed = kind_of(name).metrics
        yield name, [studied for studied in runs if all(_holds(studied, metric) for metric in needed)]
    studies = [(studied, study) for studied in runs if (study := lifecycle_of(studied))]
    for name in ("wave", "gradients", "timescales"):
        yield name, [studied for studied, _ in studies]
    yield "depth", [studied for studied, study in studies if study.alpha_gradient]
    yield "asymmetry", [studied for studied, study in studies if study.asymmetry]


def _holds(studied: StudiedRun, metric: str) -> bool:
    numbers = studied.run.numbers
    least = 0 if metric == kind_of("trajectory").metrics[0] else -2  # the logarithm of a rate
    return metric in numbers and bool(numbers[metric].gt(least).any())


def _drawn(name: str, runs: Sequence[StudiedRun]) -> dict[str, Any]:
    spec, sentences = without_titles(specification(kind_of(name).draw(runs, Options(follow=True))))
    plain = {key: part for key, part in spec.items() if key not in ("config", "padding", "$schema")}
    return {"spec": plain, "sentences": sentences, "runs": [studied.label for studied in runs]}
