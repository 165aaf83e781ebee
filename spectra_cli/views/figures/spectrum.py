"""The figure of spectra: σ, or its share, against its rank, for chosen matrices at a few checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.axes import panel_columns, quantity_axis, titled
from spectra_cli.views.figures.colours import SCHEME
from spectra_cli.views.figures.figure import Chart, Options, Panel
from spectra_cli.views.figures.frames import step_title, title

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.views.figures.studied import StudiedRun

FEW_STEPS = 8
MOST_MATRICES = 24
QUANTITIES = ("sd", "sigma")


@dataclass(frozen=True, eq=False)
class SpectrumData:
    """Spectra at the checkpoints shown, above 0: run, matrix, step, rank and value. zeros: how many were left out.

    quantity: of QUANTITIES. step_title: what the checkpoints are told apart by.
    """

    quantity: str
    labels: tuple[str, ...]
    frame: pd.DataFrame
    zeros: int
    step_title: str


def prepare(runs: Sequence[StudiedRun], options: Options) -> SpectrumData:
    """Return the spectra of the matrices chosen; of one of each role where none are."""
    import pandas as pd

    spectra = [_read(studied, options) for studied in runs]
    if options.metric not in QUANTITIES:
        raise SpectraError(
            f"a spectrum has no {options.metric}", hint="--metric sd is σᵢ/Σσ, --metric sigma is σᵢ", code=2
        )
    parts = [_values(studied.run, frame, options) for studied, frame in zip(runs, spectra, strict=True)]
    frame = pd.concat(parts, ignore_index=True)
    positive = frame[frame["value"] > 0]
    zeros = int((frame["value"] == 0).sum())
    labels = tuple(studied.label for studied in runs)
    return SpectrumData(options.metric, labels, positive, zeros, step_title(runs))


def _read(studied: StudiedRun, options: Options) -> pd.DataFrame:
    from spectra_cli.studies.series import middle_matrices, read_spectra

    names = list(dict.fromkeys(studied.run.numbers["matrix"].astype(str)))
    if options.match is None:
        names = list(middle_matrices(studied.run))
    if len(names) > MOST_MATRICES:
        raise SpectraError(
            f"--match finds {len(names)} matrices, more than fit into one figure of spectra",
            hint=f"let it find at most {MOST_MATRICES}, as in --match 'layers.0.'",
            code=2,
        )
    return read_spectra(studied.path, studied.run, names)


def _values(run: Run, spectra: pd.DataFrame, options: Options) -> pd.DataFrame:
    from spectra_cli.studies.series import pick

    frame = spectra[spectra["order"].isin(pick(run, options.steps, FEW_STEPS))]
    frame = frame.assign(run=printable(run.label), value=frame["sd"])
    if options.metric == "sigma":
        sums = run.numbers[["order", "matrix", "nuclear_norm"]].astype({"matrix": str})
        frame = frame.merge(sums, on=["order", "matrix"])
        frame["value"] = frame["sd"] * frame["nuclear_norm"]
    return frame.assign(matrix=frame["matrix"].map(printable))


def chart(data: SpectrumData) -> Chart:
    """Draw the spectra log-log, a panel for each matrix, a line for each checkpoint."""
    import altair as alt

    frame = data.frame
    several = {"strokeDash": alt.StrokeDash("run:N", title="run", sort=None)} if len(data.labels) > 1 else {}
    (x, ranks), (y, axis) = (quantity_axis(frame[name], log=True) for name in ("rank", "value"))
    matrices = list(dict.fromkeys(frame["matrix"]))
    legend = alt.Legend(symbolType="stroke")
    value = alt.Tooltip("value:Q", title=data.quantity, format=".4~g")
    return (
        alt.Chart(frame)
        .mark_line()
        .encode(
            x=alt.X("rank:Q", title="rank i", scale=alt.Scale(**x), axis=alt.Axis(**ranks, labelOverlap="parity")),
            y=alt.Y("value:Q", title=titled(data.quantity), scale=alt.Scale(**y), axis=alt.Axis(**axis)),
            color=alt.Color("step:O", title=data.step_title, scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=["run:N", "matrix:N", "step:O", "rank:Q", value],
            facet=alt.Facet("matrix:N", title=None, columns=panel_columns(len(matrices)), sort=matrices),
            **several,
        )
        .properties(width=190, height=190, title=title(data.labels, _subtitle(data.zeros)))
    )


def _subtitle(zeros: int) -> str:
    return "spectra over the run" + (f"; {zeros} values that are 0 cannot be drawn on a log axis" if zeros else "")


def lines(data: SpectrumData) -> tuple[Panel, ...]:
    """Return the terminal's panels, one for each run and matrix."""
    frame = data.frame.rename(columns={"rank": "x", "value": "y"})
    frame = frame.assign(series="step " + frame["step"].astype(str))
    return tuple(
        Panel(f"{run}, {matrix}: {titled(data.quantity)}", "rank", data.quantity, part, True, True)
        for (run, matrix), part in frame.groupby(["run", "matrix"], sort=False)
    )
