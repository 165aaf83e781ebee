"""Figures of the Lifecycle study over depth, at the last checkpoint: an exponent of several models, q and k apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.lifecycle import FITTED, studied, titled_run
from spectra_cli.views.figures.style import RUNS, ordered, role_scale, titled
from spectra_cli.views.formatting import number

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.lifecycle import Asymmetry, Lifecycle


def depth(runs: Sequence[Run], options: Options) -> Chart:
    """Draw an exponent over normalised depth, a colour for each run, with the parabolas fitted to them."""
    return depth_of(studied(runs, options))


def depth_of(found: Sequence[Lifecycle]) -> Chart:
    """Draw the exponents of several runs at their last checkpoints."""
    import altair as alt

    names = [printable(one.label) for one in found]
    colour = alt.Color(
        "run:N", title="run", scale=alt.Scale(domain=names, range=list(RUNS)), legend=alt.Legend(symbolType="circle")
    )
    x = alt.X("depth:Q", title="depth, from the first layer to the last", scale=alt.Scale(domain=[0, 1], padding=8))
    y = alt.Y("value:Q", title=titled(found[0].alpha), scale=alt.Scale(zero=False))
    tips = ["run:N", "layer:Q", alt.Tooltip("value:Q", format=".4~g")]
    points, curves = _depths(found)
    says = ["dots: mean over a layer's matrices; lines: parabolas", *(_shape(one) for one in found)]
    return alt.layer(
        alt.Chart(points).mark_point(filled=True, size=40).encode(x=x, y=y, color=colour, tooltip=tips),
        alt.Chart(curves).mark_line().encode(x=x, y=y, color=colour),
    ).properties(width=420, height=300, title=alt.Title(f"{found[0].alpha} over depth", subtitle=says))


def _shape(one: Lifecycle) -> str:
    found = one.alpha_gradient
    last = found.last if found else None
    if found is None or last is None:
        return f"{printable(one.label)}: no {one.alpha}"
    if found.inverted_u is None:
        return f"{printable(one.label)}: the layers are too few for a shape"
    if found.inverted_u:
        return f"{printable(one.label)}: an inverted U, its peak at depth {number(last.peak, 2)}"
    return f"{printable(one.label)}: no inverted U"


def _depths(found: Sequence[Lifecycle]) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    points, curves = [], []
    for one in found:
        if one.alpha_gradient is None or one.alpha_gradient.last is None:
            continue
        values = one.alpha_gradient.values[:, -1]
        layers = np.arange(len(values))
        facts = {"run": printable(one.label)}
        points.append(
            pd.DataFrame({**facts, "layer": layers, "depth": layers / max(1, len(values) - 1), "value": values})
        )
        dense = np.linspace(0, 1, FITTED)
        powers = np.power.outer(dense, np.arange(len(one.alpha_gradient.last.terms)))
        curves.append(
            pd.DataFrame({**facts, "depth": dense, "value": powers @ np.array(one.alpha_gradient.last.terms)})
        )
    return pd.concat(points, ignore_index=True).dropna(), pd.concat(curves, ignore_index=True)


def depth_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panel of an exponent over depth, a line for each run."""
    found = studied(runs, options)
    frame = _depths(found)[0].rename(columns={"depth": "x", "value": "y", "run": "series"})
    return (Lines(f"{titled(found[0].alpha)} over depth", "depth", found[0].alpha, frame),)


def asymmetry(runs: Sequence[Run], options: Options) -> Chart:
    """Draw how q and k, and v and o, spread over depth about their own means, a row for each run."""
    import altair as alt

    rows = [asymmetry_of(one) for one in studied(runs, options)]
    return rows[0] if len(rows) == 1 else alt.vconcat(*rows)


def asymmetry_of(one: Lifecycle) -> Chart:
    """Draw one run's asymmetry, a panel for each quantity."""
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import asymmetry_verdicts

    panels = []
    for found in one.asymmetry:
        frame = _spreads(found)
        roles = ordered(frame["role"])
        legend = alt.Legend(symbolType="stroke")
        y = alt.Y("value:Q", title=[_quantity(found), "less the role's mean"])
        x = alt.X(
            "layer:Q", title="layer", axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(nice=False, padding=4)
        )
        lines = (
            alt.Chart(frame)
            .mark_line(point=alt.OverlayMarkDef(size=22, filled=True))
            .encode(
                x=x, y=y, color=alt.Color("role:N", title="role", scale=alt.Scale(**role_scale(roles)), legend=legend),
                tooltip=["role:N", "layer:Q", alt.Tooltip("value:Q", format=".4~g")],
            )
        )  # fmt: skip
        zero = alt.Chart(frame.head(1)).mark_rule(strokeWidth=1).encode(y=alt.datum(0))
        panels.append(alt.layer(zero, lines).properties(width=270, height=200))
    if not panels:
        panels = [alt.Chart(_nothing()).mark_point().properties(width=270, height=40)]
    return alt.hconcat(*panels).properties(title=titled_run(one, *asymmetry_verdicts(one)))


def _nothing() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"layer": [], "value": []})


def _quantity(found: Asymmetry) -> str:
    return "compression (%)" if found.quantity == "compression" else titled(found.quantity)


def _spreads(found: Asymmetry) -> pd.DataFrame:
    """Give each role's values over the layers, less their mean."""
    import pandas as pd

    lines = [
        pd.DataFrame({"role": role, "layer": np.arange(len(values)), "value": values - np.nanmean(values)})
        for role, values in found.profiles.items()
    ]
    return pd.concat(lines, ignore_index=True).dropna()


def asymmetry_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of the roles over the layers, one for each run and quantity."""
    panels = []
    for one in studied(runs, options):
        for found in one.asymmetry:
            frame = _spreads(found).rename(columns={"layer": "x", "value": "y", "role": "series"})
            title = f"{printable(one.label)}: {_quantity(found)}, less the role's mean, over layers"
            panels.append(Lines(title, "layer", "difference", frame))
    return tuple(panels)
