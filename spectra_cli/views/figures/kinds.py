"""The figures: KINDS, the list of them all, and the one function that reads tables and draws one.

Adding a kind is a function that gives a chart and an entry in KINDS.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.depth import heatmap, heatmap_lines, profile, profile_lines
from spectra_cli.views.figures.figure import Kind, Options
from spectra_cli.views.figures.layers import asymmetry, asymmetry_lines, depth, depth_lines
from spectra_cli.views.figures.lifecycle import gradient_lines, gradients, timescale_lines, timescales, wave, wave_lines
from spectra_cli.views.figures.save import save, suffix_of
from spectra_cli.views.figures.series import SPECTRA, WEIGHTS, alignment, alignment_lines, roles
from spectra_cli.views.figures.spectrum import spectrum, spectrum_lines
from spectra_cli.views.figures.trajectory import BESIDE, RATE, course_lines, trajectory

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.run_inputs import RunInput
    from spectra_cli.studies.inputs.runs import Run

KINDS: tuple[Kind, ...] = (
    Kind(
        "trajectory", "How fast each role's spectrum moves over training, log-log, with the loss beneath.",
        trajectory, metrics=(RATE,), also=BESIDE, lines=course_lines,
    ),
    Kind(
        "alignment", "Cosine of spectra and of weights to the reference checkpoint, by role.",
        alignment, metrics=(SPECTRA, WEIGHTS), lines=alignment_lines,
    ),
    Kind(
        "spectrum", "Singular values against their rank, for chosen matrices at a few checkpoints.",
        spectrum, metrics=("nuclear_norm",), metric="sd", vectors=True, lines=spectrum_lines,
    ),
    Kind("heatmap", "Any metric by layer and checkpoint.", heatmap, metric="stable_rank", lines=heatmap_lines),
    Kind("profile", "Any metric over depth, at a few checkpoints.", profile, metric="stable_rank", lines=profile_lines),
    Kind("roles", "Any metric over training, a panel for each role.", roles, metric="stable_rank", lines=course_lines),
    Kind(
        "wave", "Compression by layer and step, with the front that goes through the depth.",
        wave, metrics=("stable_rank",), also=("alpha",), lines=wave_lines,
    ),
    Kind(
        "gradients", "Slopes over depth of compression, an exponent and entropy over training, and where they turn.",
        gradients, metrics=("stable_rank",), also=("entropy",), metric="alpha", lines=gradient_lines,
    ),
    Kind(
        "depth", "An exponent over normalised depth at the end, for one model or several.",
        depth, metrics=("stable_rank",), metric="alpha", lines=depth_lines,
    ),
    Kind(
        "asymmetry", "How far q and k, and v and o, spread over depth, in compression and an exponent.",
        asymmetry, metrics=("stable_rank",), metric="alpha", lines=asymmetry_lines,
    ),
    Kind(
        "timescales", "How stable rank and an exponent approach their ends, and the two timescales fitted.",
        timescales, metrics=("stable_rank",), metric="alpha", lines=timescale_lines,
    ),
)  # fmt: skip
MOST_MATRICES = 24


@dataclass(frozen=True)
class Choice:
    """What of the tables is drawn. roles: such as `q`. match: a regular expression over matrix names.

    steps: checkpoints for kinds that show a few. losses: one file for all tables, or one each. labels: one each.
    """

    metric: str | None = None
    roles: Sequence[str] = ()
    match: str | None = None
    steps: Sequence[int] = ()
    losses: Sequence[str] = ()
    loss_columns: Mapping[str, str] | None = None
    labels: Sequence[str] | None = None


def kind_of(name: str) -> Kind:
    """Give a kind by its name. Raises SpectraError, code 2, where there is none."""
    names = [kind.name for kind in KINDS]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"the kinds are {', '.join(names)}"
        raise SpectraError(f"there is no kind of figure '{name}'", hint=hint, code=2)
    return KINDS[names.index(name)]


def plot(tables: Sequence[str | Path], name: str, output: str, choice: Choice | None = None) -> str | None:
    """Draw one kind of figure of one or more tables into a file; for `-`, give it as text.

    name: of KINDS. output: its suffix says the kind of file. Raises SpectraError where a table does not hold what the
    figure needs, or a choice fits nothing.
    """
    kind, suffix = kind_of(name), suffix_of(output)
    choice = choice or Choice()
    if choice.metric and kind.metric is None:
        raise SpectraError(f"the kind {name} has no choice of --metric", hint="roles draws any metric by role", code=2)
    if suffix == "-" and kind.lines is None:
        raise SpectraError(f"a terminal cannot show the kind {name}", hint="give -o FILE.png or .html", code=2)
    inputs = read_runs(tables, kind, choice)
    runs, options = [given.run for given in inputs], _options(inputs, kind, choice)
    if suffix == "-" and kind.lines is not None:
        from spectra_cli.views.figures.terminal import draw

        return draw(kind.lines(runs, options))
    save(kind.draw(runs, options), output, f"{name}: {', '.join(printable(run.label) for run in runs)}")
    return None


def read_runs(tables: Sequence[str | Path], kind: Kind, choice: Choice) -> list[RunInput]:
    """Read what a kind needs of each table, narrowed to the matrices chosen."""
    from spectra_cli.metrics import select
    from spectra_cli.studies.inputs.run_inputs import read_inputs
    from spectra_cli.studies.series import narrow

    wanted = list(kind.metrics)
    if kind.metric and not kind.vectors:
        wanted += select([choice.metric or kind.metric])
    inputs = read_inputs(
        tables, wanted, also=kind.also, required=wanted, losses=choice.losses, columns=choice.loss_columns,
        labels=choice.labels,
    )  # fmt: skip
    return [replace(given, run=narrow(given.run, choice.roles, choice.match)) for given in inputs]


def _options(inputs: Sequence[RunInput], kind: Kind, choice: Choice) -> Options:
    spectra = tuple(_spectra(given.path, given.run, choice) for given in inputs) if kind.vectors else ()
    losses = tuple(given.losses for given in inputs)
    return Options(choice.metric or kind.metric, tuple(choice.steps), losses, spectra)


def _spectra(path: str | Path, run: Run, choice: Choice) -> pd.DataFrame:
    from spectra_cli.studies.series import middle_matrices, read_spectra

    names = list(dict.fromkeys(run.numbers["matrix"].astype(str)))
    if choice.match is None:
        names = list(middle_matrices(run))
    if len(names) > MOST_MATRICES:
        raise SpectraError(
            f"--match finds {len(names)} matrices, more than fit into one figure of spectra",
            hint=f"let it find at most {MOST_MATRICES}, as in --match 'layers.0.'",
            code=2,
        )
    return read_spectra(path, run, names)


def whole_numbers(text: str | None) -> tuple[int, ...]:
    """Read `0,100,600`. Raises SpectraError, code 2, where it says something else.

    >>> whole_numbers("0,100")
    (0, 100)
    """
    try:
        return tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise SpectraError(
            f"--steps does not understand '{text}'", hint="steps are written as 0,100,600", code=2
        ) from None
