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


def lifecycle_of(studied: StudiedRun) -> Lifecycle | None:
    """Return the study of a run over depth, None where there is too little for it."""
    try:
        return studied.lifecycle()
    except SpectraError:
        return None


def drawn_charts(studied: StudiedRun, runs: Sequence[StudiedRun]) -> dict[str, Any]:
    """Return the charts of one run by kind, those that it holds enough for. runs: all of the page."""
    return {name: _drawn(name, drawn) for name, drawn in _drawable(studied, runs)}


def rank1_chart(rank1: Sequence[StudiedRun]) -> dict[str, Any]:
    """Return the chart of the tables of `spectra rank1`, by its kind; none where there are none."""
    return {"rank1": _drawn("rank1", rank1)} if rank1 else {}


def _drawable(studied: StudiedRun, runs: Sequence[StudiedRun]) -> Iterator[tuple[str, Sequence[StudiedRun]]]:
    """Yield kinds, each with the runs it shows; an exponent over depth is of all runs together."""
    for name in ("trajectory", "alignment"):
        if all(_holds(studied, metric) for metric in kind_of(name).metrics):
            yield name, [studied]
    study = lifecycle_of(studied)
    if study is None:
        return
    for name in ("wave", "gradients", "timescales"):
        yield name, [studied]
    if study.alpha_gradient:
        yield "depth", [other for other in runs if (other_study := lifecycle_of(other)) and other_study.alpha_gradient]
    if study.asymmetry:
        yield "asymmetry", [studied]


def _holds(studied: StudiedRun, metric: str) -> bool:
    numbers = studied.run.numbers
    return metric in numbers and bool(numbers[metric].gt(-2).any())


def _drawn(name: str, runs: Sequence[StudiedRun]) -> dict[str, Any]:
    spec = specification(kind_of(name).draw(runs, Options(follow=True)))
    return {key: part for key, part in spec.items() if key not in ("config", "padding", "$schema")}
