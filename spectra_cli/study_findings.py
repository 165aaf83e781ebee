"""The studies in Python: each returns its findings, to be read as sentences, as numbers and as a page of text."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar, Unpack

from rich.console import Console
from rich.text import Text

from spectra_cli.jobs.rank1 import WINDOW, rank1_checkpoints
from spectra_cli.measure.scan_options import Rank1Options
from spectra_cli.records import Problem
from spectra_cli.studies.lifecycle import LifecycleComparison, compare_lifecycles
from spectra_cli.studies.rank1 import Rank1
from spectra_cli.studies.scaling import Scaling
from spectra_cli.studies.scaling import scaling as fit_scaling
from spectra_cli.studies.stability import RunComparison, compare_tables
from spectra_cli.views.console.lifecycle import lifecycle_json, show_lifecycle
from spectra_cli.views.console.output import PIPE_WIDTH
from spectra_cli.views.console.rank1 import rank1_json, show_rank1
from spectra_cli.views.console.scaling import scaling_json, show_scaling
from spectra_cli.views.console.stability import show_stability, stability_json
from spectra_cli.views.sentences.lifecycle import lifecycle_sentences
from spectra_cli.views.sentences.rank1 import rank1_sentences
from spectra_cli.views.sentences.scaling import scaling_sentences
from spectra_cli.views.sentences.seeds import contrast_sentences, pool_sentences
from spectra_cli.views.sentences.stability import ratio_sentences, stability_sentences

Study = TypeVar("Study", RunComparison, LifecycleComparison, Scaling, Rank1)
Tables = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Words(Generic[Study]):
    """How the findings of one kind of study are put: in sentences, as JSON, on a console."""

    sentences: Callable[[Study], list[str]]
    facts: Callable[[Study], dict[str, Any]]
    show: Callable[[Console, Study], None]


@dataclass(frozen=True, repr=False, eq=False)
class Findings(Generic[Study]):
    """What a study found.

    study: the numbers, frozen records. problems: what could not be read. notes: what was left out.
    Printed, at the end of a notebook's cell and by rich it shows what the command of the same name does.

    >>> from spectra_cli import stability
    >>> found = stability("run.parquet")
    >>> found.study.runs[0].steps
    (0, 1, 2, 4, 8, 16)
    """

    study: Study
    words: Words[Study]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """Return the findings in whole sentences, with their numbers, the most important first.

        >>> from spectra_cli import stability
        >>> stability("run.parquet").sentences()[0][:37]
        'Phase I: the variation of the spectra'
        """
        return self.words.sentences(self.study)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as the command's `--json` has it: plain numbers and texts, None where there is no number.

        >>> from spectra_cli import stability
        >>> stability("run.parquet").to_dict()["runs"][0]["label"]
        'run'
        """
        return self.words.facts(self.study)

    def _page(self, width: int) -> str:
        console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
        with console.capture() as captured:
            self.words.show(console, self.study)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def __repr__(self) -> str:
        """Return the page of text."""
        return self._page(PIPE_WIDTH)

    def __rich_console__(self, _console: Console, options: Any) -> Iterator[Text]:
        """Yield the page in the width there is, for rich."""
        yield Text(self._page(options.max_width))

    def _repr_html_(self) -> str:
        """Return the page for a notebook."""
        return f"<pre>{escape(self._page(PIPE_WIDTH))}</pre>"


def stability(
    tables: Tables,
    *,
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    seeds: bool = False,
) -> Findings[RunComparison]:
    """Find the two phases of a run: where its spectra settle, and whether the loss settles with them.

    tables: one table or several, by path or as `read_table` returns them. losses: a training log for each table, `-`
    where a run has none; none at all is those beside the tables. columns: which column of the logs is what, as
    {"loss": "eval/loss"}. labels: a name for each run. seeds: runs of one label differ by seed alone and are pooled.
    Steps are the run's, rates per step. Raises SpectraError where a table or log cannot be read, or lacks what is
    studied. Source: docs/phases.md.

    >>> stability("run.parquet").study.runs[0].groups[0].peak.step
    2
    """
    return Findings(compare_tables(_paths(tables), losses, columns, labels, seeds=seeds), STABILITY)


def lifecycle(
    tables: Tables,
    *,
    alpha: str = "alpha",
    losses: Sequence[str | Path] = (),
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    seeds: bool = False,
) -> Findings[LifecycleComparison]:
    """Find waves of compression, gradients over depth, Q/K–V asymmetry and two timescales in a run.

    tables, losses, columns, labels, seeds: as for `stability`. alpha: the exponent, one of alpha, alpha_ols, alpha_hill
    and alpha_tail. Compression is in %, entropies in nats, times in steps. Raises SpectraError where a table has fewer
    than four checkpoints or three layers, or lacks a metric. Source: docs/waves.md, with the papers.

    >>> lifecycle("deep.parquet").study.runs[0].layers
    4
    """
    compared = compare_lifecycles(_paths(tables), labels, alpha, losses=losses, columns=columns, seeds=seeds)
    return Findings(compared, LIFECYCLE)


def scaling(tables: Tables, *, alpha: str = "alpha", labels: Sequence[str] | None = None) -> Findings[Scaling]:
    """Fit how the spread of an exponent over depth grows with the size of the model.

    tables: three models of different depths or more, one table each. alpha, labels: as for `lifecycle`. Sizes are
    layers and parameters. Raises SpectraError where there are fewer, or one holds no exponent over depth.
    Source: Spectral Lifecycle (arXiv 2604.22778).

    >>> found = scaling(["deep.parquet", "deeper.parquet", "deepest.parquet"])
    >>> [model.layers for model in found.study.models]
    [4, 5, 6]
    """
    return Findings(fit_scaling(_paths(tables), labels, alpha), SCALING)


def rank1(
    source: str | Path,
    output: str | Path | None = None,
    *,
    window: int = WINDOW,
    restart: bool = False,
    **options: Unpack[Rank1Options],
) -> Findings[Rank1]:
    """Study whether the checkpoints of a run, raw and averaged, lie on a line, beside what chance gives.

    source: a folder of checkpoints, or a place on the Hub. output: also write the findings to this Parquet file.
    window: how many neighbours are averaged. restart: discard what an interrupted run left. options: those of
    ScanOptions that choose checkpoints and matrices. Shares are of the sum of squares, in 0…1. Raises SpectraError
    where nothing can be judged: a window longer than the run, checkpoints of two models. Source: docs/studies/rank1.md.

    >>> rank1("run", window=2).study.window
    2
    """
    result = rank1_checkpoints(source, output, window=window, restart=restart, **options)
    return Findings(result.findings, RANK1, result.problems, result.notes)


def _paths(tables: Tables) -> list[str]:
    return [os.fspath(path) for path in ([tables] if isinstance(tables, str | os.PathLike) else tables)]


def _stability_sentences(compared: RunComparison) -> list[str]:
    if compared.pools:
        return _pool_sentences(compared)
    return [*chain.from_iterable(map(stability_sentences, compared.runs)), *ratio_sentences(compared)]


def _lifecycle_sentences(compared: LifecycleComparison) -> list[str]:
    if compared.pools:
        return _pool_sentences(compared)
    return list(chain.from_iterable(map(lifecycle_sentences, compared.runs)))


def _pool_sentences(compared: RunComparison | LifecycleComparison) -> list[str]:
    return [*chain.from_iterable(map(pool_sentences, compared.pools)), *contrast_sentences(compared.contrasts)]


STABILITY = Words(_stability_sentences, stability_json, show_stability)
LIFECYCLE = Words(_lifecycle_sentences, lifecycle_json, show_lifecycle)
SCALING = Words(scaling_sentences, scaling_json, show_scaling)
RANK1: Words[Rank1] = Words(
    rank1_sentences, rank1_json, lambda console, study: show_rank1(console, study, everything=False)
)
