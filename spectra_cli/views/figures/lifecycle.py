"""Figures of the Lifecycle study over the steps: the wave, the gradients over depth, the two timescales."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli.errors import printable
from spectra_cli.views.figures.figure import Chart, Lines, Options
from spectra_cli.views.figures.frames import cursor, step_x
from spectra_cli.views.figures.style import RUNS, SCHEME, step_scale

if TYPE_CHECKING:
    import pandas as pd

    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.lifecycle import Gradient, Lifecycle, Timescales

Array = NDArray[np.float64]

MOST_COLUMNS = 240  # checkpoints of a heat map; of more, some are left out
WIDTH, WRAPPED = 560, 96
LOST = "compression (% of the first stable rank)"
FITTED = 60  # points of a fitted curve


def studied(runs: Sequence[Run], options: Options) -> list[Lifecycle]:
    """Study runs with the exponent chosen. Raises SpectraError where one has no course over depth."""
    from spectra_cli.studies.lifecycle import lifecycle

    return [lifecycle(run, options.metric or "alpha") for run in runs]


def titled_run(one: Lifecycle, *says: str) -> Any:
    """Give the title of a run's column: its label, and sentences beneath."""
    import altair as alt

    return alt.Title(printable(one.label), subtitle=[line for part in says for line in textwrap.wrap(part, WRAPPED)])


def side_by_side(columns: list[Chart]) -> Chart:
    """Put the columns of several runs next to each other."""
    import altair as alt

    return columns[0] if len(columns) == 1 else alt.hconcat(*columns).resolve_scale(color="shared")


def wave(runs: Sequence[Run], options: Options) -> Chart:
    """Draw compression by layer and step, when each layer has half of its own, and the front through these."""
    return side_by_side([wave_of(one, follow=options.follow) for one in studied(runs, options)])


def wave_of(one: Lifecycle, *, follow: bool = False) -> Chart:
    """Draw one run's wave. The front is drawn only where the wave is significant."""
    import altair as alt
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import wave_verdict

    steps = step_scale(one.steps.tolist())
    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    axis = alt.Axis(tickMinStep=1, format="d", grid=False)
    scale = alt.Scale(domain=[-0.5, len(one.compressed) - 0.5], nice=False)
    cells = (
        alt.Chart(_cells(one))
        .mark_rect()
        .encode(
            x=step_x(steps), x2="end:Q",
            y=alt.Y("low:Q", title="layer", axis=axis, scale=scale), y2="high:Q",
            color=alt.Color("value:Q", title=LOST, scale=alt.Scale(scheme=SCHEME), legend=legend),
            tooltip=["layer:Q", "at:Q", alt.Tooltip("value:Q", title="compression in %", format=".1f")],
        )
    )  # fmt: skip
    halves = pd.DataFrame({"layer": np.arange(len(one.compressed)), "step": one.wave.half_steps}).dropna()
    at = {"x": alt.X("step:Q"), "y": alt.Y("layer:Q")}
    points = alt.Chart(halves).mark_point(shape="circle", filled=True, size=44, color="white", stroke="black")
    layers = [cells, points.encode(**at, tooltip=["layer:Q", alt.Tooltip("step:Q", format=".3~g", title="half at")])]
    front = _front(one)
    if len(front):
        line = alt.Chart(front).mark_line(color="white", strokeWidth=2.5, strokeDash=[7, 4], clip=True)
        layers.insert(1, line.encode(**at, order="layer:Q"))
    if follow:
        layers.append(cursor(steps))
    height = max(110, min(320, 18 * len(one.compressed)))
    says = "dots: half of a layer's largest compression" + ("; dashed: the front" if len(front) else "")
    return (
        alt.layer(*layers)
        .properties(width=WIDTH, height=height, title=titled_run(one, says, wave_verdict(one)))
        .resolve_scale(color="independent")
    )


def _cells(one: Lifecycle) -> pd.DataFrame:
    """Give a rectangle around each layer and checkpoint; halfway between checkpoints by log(1 + step)."""
    import pandas as pd

    kept = np.unique(np.round(np.linspace(0, len(one.steps) - 1, min(MOST_COLUMNS, len(one.steps)))).astype(int))
    at = np.log1p(one.steps[kept].astype(float))
    edges = np.expm1(np.concatenate((at[:1], (at[1:] + at[:-1]) / 2, at[-1:])))
    layer, column = (index.ravel() for index in np.indices((len(one.compressed), len(kept))))
    frame = pd.DataFrame(
        {
            "layer": layer, "low": layer - 0.5, "high": layer + 0.5, "at": one.steps[kept][column],
            "step": edges[column], "end": edges[column + 1], "value": one.compressed[:, kept].ravel(),
        }
    )  # fmt: skip
    return frame.dropna(subset="value")


def _front(one: Lifecycle) -> pd.DataFrame:
    """Give the line through the arrivals within the picture; nothing where there is no wave."""
    import pandas as pd

    from spectra_cli.studies.lifecycle import CHANCE

    found = one.wave
    layers = np.linspace(-0.5, len(one.compressed) - 0.5, FITTED)
    if not one.wave_p < CHANCE or not found.velocity:
        layers = layers[:0]
    steps = (layers - found.start) / found.velocity
    inside = (steps >= one.steps[0]) & (steps <= one.steps[-1])
    return pd.DataFrame({"layer": layers[inside], "step": steps[inside]})


def wave_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panel of compression over the steps, a line for each layer."""
    import pandas as pd

    found = []
    for one in studied(runs, options):
        lines = [pd.DataFrame({"x": one.steps, "y": y, "series": f"layer {i}"}) for i, y in enumerate(one.compressed)]
        frame = pd.concat(lines).dropna()
        found.append(Lines(f"{printable(one.label)}: {LOST} by layer", "step", "compression", frame, log_x=True))
    return tuple(found)


def gradients(runs: Sequence[Run], options: Options) -> Chart:
    """Draw the slopes over depth of compression, α and entropy over the steps, with 95% bands and where they turn."""
    return side_by_side([gradients_of(one, follow=options.follow) for one in studied(runs, options)])


def gradients_of(one: Lifecycle, *, follow: bool = False) -> Chart:
    """Draw one run's gradients, a panel for each."""
    import altair as alt

    from spectra_cli.views.sentences.lifecycle import gradient_verdict

    found = _gradients(one)
    panels = []
    for place, (name, (gradient, unit)) in enumerate(found.items()):
        panel = _gradient(
            gradient, [f"slope of {printable(name)}", f"from first to last{unit}"], place == len(found) - 1
        )
        extra = [cursor(step_scale(one.steps.tolist()), labelled=place == len(found) - 1)] if follow else []
        panels.append(alt.layer(*panel, *extra).properties(width=WIDTH, height=120))
    said = [gradient_verdict(name, gradient, "") for name, (gradient, _) in found.items()]
    beneath = [one_said.split(". ")[0] + "." for one_said in said]
    return alt.vconcat(*panels, spacing=10).properties(title=titled_run(one, "95% bands; dashed: a turn", *beneath))


def _gradients(one: Lifecycle) -> dict[str, tuple[Gradient, str]]:
    found = {"compression": (one.gradient, " (%)")}
    if one.alpha_gradient:
        found[one.alpha] = (one.alpha_gradient, "")
    if one.entropy_gradient:
        found["entropy"] = (one.entropy_gradient, " (nats)")
    return found


def _slopes(one: Gradient) -> pd.DataFrame:
    """Give slope and band at each step; the band is cut at half of the slopes' own range beyond them."""
    import pandas as pd

    lines = [(step, at.slope, *at.slope_interval) for step, at in zip(one.steps, one.trends, strict=True) if at]
    frame = pd.DataFrame(lines, columns=["step", "slope", "low", "high"])
    low, high = min(0.0, frame["slope"].min()), max(0.0, frame["slope"].max())
    room = (high - low) / 2
    return frame.assign(low=frame["low"].clip(lower=low - room), high=frame["high"].clip(upper=high + room))


def _gradient(one: Gradient, title: list[str], labelled: bool) -> list[Chart]:
    import altair as alt
    import pandas as pd

    base = alt.Chart(_slopes(one)).encode(x=step_x(step_scale(one.steps.tolist()), labelled=labelled))
    y = {"title": title, "axis": alt.Axis(tickCount=5)}
    tips = ["step:Q", *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("slope", "low", "high"))]
    turned = pd.DataFrame({"step": [float(at) for at in one.turns]})
    return [
        base.mark_area(opacity=0.2, color=RUNS[0]).encode(y=alt.Y("low:Q", **y), y2="high:Q"),
        alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeWidth=1).encode(y="zero:Q"),
        base.mark_line(color=RUNS[0], point=alt.OverlayMarkDef(size=16, filled=True, color=RUNS[0])).encode(
            y=alt.Y("slope:Q", **y), tooltip=tips
        ),
        alt.Chart(turned).mark_rule(strokeDash=[4, 4], strokeWidth=1.6, color=RUNS[1]).encode(x="step:Q"),
    ]


def gradient_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panels of the slopes over depth, one for each run and quantity."""
    found = []
    for one in studied(runs, options):
        for name, (gradient, unit) in _gradients(one).items():
            frame = _slopes(gradient).rename(columns={"step": "x", "slope": "y"}).assign(series=printable(name))
            title = f"{printable(one.label)}: slope of {printable(name)} over depth{unit}"
            found.append(Lines(title, "step", "slope", frame, log_x=True))
    return tuple(found)


def timescales(runs: Sequence[Run], options: Options) -> Chart:
    """Draw how far the stable rank and α still have to go, and the exponentials fitted to them."""
    return side_by_side([timescales_of(one, follow=options.follow) for one in studied(runs, options)])


def timescales_of(one: Lifecycle, *, follow: bool = False) -> Chart:
    """Draw one run's two timescales: 1 at the fitted start, 0 at the fitted end, 1/e at τ."""
    import altair as alt
    import pandas as pd

    from spectra_cli.views.sentences.lifecycle import timescale_verdict

    steps = step_scale(one.steps.tolist())
    points, curves, taus = _approaches(one)
    names = [name for name in ("stable rank", printable(one.alpha)) if (points["quantity"] == name).any()]
    colour = alt.Color(
        "quantity:N", title="quantity", scale=alt.Scale(domain=names, range=list(RUNS[: len(names)])),
        legend=alt.Legend(symbolType="stroke"),
    )  # fmt: skip
    unlisted = alt.Color("quantity:N", scale=alt.Scale(domain=names, range=list(RUNS[: len(names)])), legend=None)
    y = alt.Y("left:Q", title=["share of the way", "still to go"], scale=alt.Scale(domain=_domain(points)))
    tips = ["quantity:N", "step:Q", alt.Tooltip("value:Q", format=".4~g")]
    layers = [
        alt.Chart(points).mark_point(filled=True, size=26, clip=True).encode(
            x=step_x(steps), y=y, color=unlisted, tooltip=tips
        ),
        alt.Chart(curves).mark_line(clip=True).encode(x=step_x(steps), y=y, color=colour),
        alt.Chart(taus).mark_rule(strokeDash=[4, 4], strokeWidth=1.6).encode(x="step:Q", color=unlisted),
    ]  # fmt: skip
    band = alt.Chart(taus).mark_rect(opacity=0.12).encode(x="low:Q", x2="high:Q", color=unlisted)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeWidth=1).encode(y="zero:Q")
    says = "means over layers; lines: the fits; dashed: τ, with 90% intervals"
    return (
        alt.layer(band, zero, *layers, *([cursor(steps)] if follow else []))
        .resolve_scale(color="independent")
        .properties(width=WIDTH, height=260, title=titled_run(one, says, timescale_verdict(one)))
    )


def _domain(points: pd.DataFrame) -> list[float]:
    return [min(-0.1, float(points["left"].min())), max(1.1, min(2.0, float(points["left"].max())))]


def _approaches(one: Lifecycle) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Give the courses, the fitted curves and the τ's; where there is no fit, the course alone, from first to last."""
    import pandas as pd

    points, curves, taus = [], [], []
    steps = one.steps.astype(float)
    dense = np.expm1(np.linspace(np.log1p(steps[0]), np.log1p(steps[-1]), 4 * FITTED))
    for name, course, fit in _courses(one.timescales, printable(one.alpha)):
        known = course[np.isfinite(course)]
        if not len(known):
            continue
        start, end = (fit.start, fit.end) if fit else (known[0], known[-1])
        span = start - end or 1.0
        points.append(pd.DataFrame({"quantity": name, "step": steps, "value": course, "left": (course - end) / span}))
        if fit:
            curves.append(pd.DataFrame({"quantity": name, "step": dense, "left": (fit.at(dense) - end) / span}))
            low, high = fit.tau_interval
            edges = {"low": max(low, steps[0]), "high": min(high, steps[-1])}
            if fit.tau <= steps[-1]:
                taus.append(pd.DataFrame({"quantity": [name], "step": fit.tau, **edges}))
    empty = pd.DataFrame({name: [] for name in ("quantity", "step", "left", "value", "low", "high")})
    return tuple(pd.concat(parts, ignore_index=True) if parts else empty for parts in (points, curves, taus))


def _courses(found: Timescales, alpha: str) -> tuple[tuple[str, Array, Any], ...]:
    return (("stable rank", found.rank_series, found.rank), (alpha, found.alpha_series, found.alpha))


def timescale_lines(runs: Sequence[Run], options: Options) -> tuple[Lines, ...]:
    """Give the terminal's panel of how far the stable rank and α still have to go, one for each run."""
    found = []
    for one in studied(runs, options):
        frame = _approaches(one)[0].rename(columns={"step": "x", "left": "y", "quantity": "series"}).dropna()
        found.append(Lines(f"{printable(one.label)}: share of the way still to go", "step", "share", frame, log_x=True))
    return tuple(found)
