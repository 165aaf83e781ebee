"""The figure of spectra: σ, or its share, against its rank, for chosen matrices at a few checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.frames import step_title, title_of
from spectra_cli.views.figures.style import SCHEME, panel_columns, quantity_axis, titled

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run

FEW_STEPS = 8
QUANTITIES = ("sd", "sigma")


def spectrum(runs: Sequence[Run], options: Options) -> Chart:
    """Draw the spectra of chosen matrices, log-log, a panel for each, a line for each checkpoint."""
    import altair as alt

    frame, quantity = chosen_spectra(runs, options), str(options.metric)
    several = {"strokeDash": alt.StrokeDash("run:N", title="run", sort=None)} if len(runs) > 1 else {}
    (x, ranks), (y, axis) = (quantity_axis(frame[name], log=True) for name in ("rank", "value"))
    matrices = list(dict.fromkeys(frame["matrix"]))
    legend = alt.Legend(symbolType="stroke")
    return (
        alt.Chart(frame)
        .mark_line()
        .encode(
            x=alt.X("rank:Q", title="rank i", scale=alt.Scale(**x), axis=alt.Axis(**ranks, labelOverlap="parity")),
            y=alt.Y("value:Q", title=titled(quantity), scale=alt.Scale(**y), axis=alt.Axis(**axis)),
            color=alt.Color("step:O", title=step_title(runs), scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=["run:N", "matrix:N", "step:O", "rank:Q", alt.Tooltip("value:Q", title=quantity, format=".4~g")],
            facet=alt.Facet("matrix:N", title=None, columns=panel_columns(len(matrices)), sort=matrices),
            **several,
        )
        .properties(width=190, height=190, title=title_of(runs, _subtitle(frame)))
    )


def _subtitle(frame: pd.DataFrame) -> str:
    absent = int(frame.attrs.get("zeros", 0))
    return "spectra over the run" + (f"; {absent} values that are 0 cannot be drawn on a log axis" if absent else "")


def spectrum_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of the spectra, one for each run and matrix."""
    frame = chosen_spectra(runs, options).rename(columns={"rank": "x", "value": "y"})
    frame["series"] = "step " + frame["step"].astype(str)
    name = titled(str(options.metric))
    return tuple(
        Lines(f"{run}, {matrix}: {name}", "rank", str(options.metric), lines, True, True)
        for (run, matrix), lines in frame.groupby(["run", "matrix"], sort=False)
    )


def chosen_spectra(runs: Sequence[Run], options: Options) -> pd.DataFrame:
    """Give run, matrix, step, rank and value at the checkpoints shown; zeros are counted and left out."""
    import pandas as pd

    from spectra_cli.studies.series import pick

    if options.metric not in QUANTITIES:
        raise SpectraError(
            f"a spectrum has no {options.metric}", hint="--metric sd is σᵢ/Σσ, --metric sigma is σᵢ", code=2
        )
    parts = []
    for run, spectra in zip(runs, options.spectra, strict=True):
        frame = spectra[spectra["order"].isin(pick(run, options.steps, FEW_STEPS))]
        frame = frame.assign(run=printable(run.label), value=frame["sd"])
        if options.metric == "sigma":
            sums = run.numbers[["order", "matrix", "nuclear_norm"]].astype({"matrix": str})
            frame = frame.merge(sums, on=["order", "matrix"])
            frame["value"] = frame["sd"] * frame["nuclear_norm"]
        frame["matrix"] = frame["matrix"].map(printable)
        parts.append(frame)
    found = pd.concat(parts, ignore_index=True)
    positive = found[found["value"] > 0]
    positive.attrs["zeros"] = int((found["value"] == 0).sum())
    return positive
