"""The figure of ablation: the rise in loss without a layer against what is measured of the layer, a panel a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectra_cli.errors import printable
from spectra_cli.jobs.ablate import Ablation
from spectra_cli.views.figures.axes import panel_columns, quantity_axis
from spectra_cli.views.figures.colours import ACCENT
from spectra_cli.views.figures.figure import Chart, Panel
from spectra_cli.views.figures.save import save, suffix_of
from spectra_cli.views.sentences.ablate import NAMED, ablation_sentences, correlation_words

if TYPE_CHECKING:
    import pandas as pd

RISE = "rise in loss without the layer (nats per token)"
COLOURS = {"core": ACCENT, "protected": "#9aa1a9"}


def draw_ablation(ablation: Ablation, output: str) -> str | None:
    """Draw the figure into a file; for `-`, return it as text. Raises SpectraError where it cannot be written."""
    if suffix_of(output) == "-":
        from spectra_cli.views.figures.terminal import draw

        return draw(lines(ablation))
    save(chart(ablation), output, f"ablation: {printable(ablation.model)}")
    return None


def points(ablation: Ablation, metric: str) -> pd.DataFrame:
    """Return a line for each layer: its number, its value, the rise without it and two of its standard errors."""
    import pandas as pd

    frame = pd.DataFrame(
        [
            {"layer": str(layer.layer), "value": layer.measures[metric], "rise": layer.rise.value,
             "low": layer.rise.value - 2 * layer.rise.stderr, "high": layer.rise.value + 2 * layer.rise.stderr,
             "zone": "core" if layer.core else "protected"}
            for layer in ablation.layers
        ]
    )  # fmt: skip
    return frame.dropna()


def chart(ablation: Ablation) -> Chart:
    """Draw a panel for each metric: dots with two standard errors, the layer's number beside each."""
    import altair as alt

    panels = [_panel(ablation, metric) for metric in NAMED if len(points(ablation, metric))]
    heading = alt.Title(f"Without each layer: {printable(ablation.model)}", subtitle=ablation_sentences(ablation))
    return alt.concat(*panels, columns=panel_columns(len(panels))).properties(title=heading)


def _panel(ablation: Ablation, metric: str) -> Chart:
    import altair as alt

    correlation = next(c for c in ablation.correlations if (c.metric, c.layers) == (metric, "core"))
    colours = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    frame = points(ablation, metric)
    across, ticks = quantity_axis(frame["value"])
    base = alt.Chart(frame).encode(
        x=alt.X("value:Q", title=NAMED[metric], scale=alt.Scale(**across, padding=12), axis=alt.Axis(**ticks)),
        color=alt.Color("zone:N", title="layers", scale=colours),
        tooltip=["layer:N", "zone:N", alt.Tooltip("value:Q", format=".4~g"), alt.Tooltip("rise:Q", format=".4~g")],
    )
    scale, axis = quantity_axis([layer.rise.value for layer in ablation.layers])
    y = alt.Y("rise:Q", title=["rise in loss", "(nats per token)"], scale=alt.Scale(**scale), axis=alt.Axis(**axis))
    dots = base.mark_point(filled=True, size=45).encode(y=y)
    bars = base.mark_rule(strokeWidth=1.2, clip=True).encode(y="low:Q", y2="high:Q")
    names = base.mark_text(align="left", dx=6, dy=-5, fontSize=9).encode(y="rise:Q", text="layer:N")
    heading = alt.Title(NAMED[metric], subtitle=correlation_words(correlation), fontSize=12, offset=6)
    return alt.layer(bars, dots, names).properties(width=210, height=170, title=heading)


def lines(ablation: Ablation) -> tuple[Panel, ...]:
    """Return the terminal's panel: the rise in loss over the layers."""
    import pandas as pd

    frame = pd.DataFrame(
        {"x": [layer.layer for layer in ablation.layers], "y": [layer.rise.value for layer in ablation.layers]}
    ).assign(series="loss without the layer")
    return (Panel(f"{printable(ablation.model)}: {RISE}", "layer", "rise in loss", frame),)
