"""The figure of pruning: the rise in loss against how many layers are removed, a dot for each way of choosing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectra_cli.errors import printable
from spectra_cli.jobs.prune import Pruning
from spectra_cli.views.figures.axes import quantity_axis
from spectra_cli.views.figures.colours import RUN_COLOURS
from spectra_cli.views.figures.figure import Chart, Panel
from spectra_cli.views.figures.save import save, suffix_of
from spectra_cli.views.sentences.prune import CHOICES, comparison_sentences, pruning_sentences

if TYPE_CHECKING:
    import pandas as pd

FURTHER = ("#a6761d", "#1b1f24")  # more choices than runs have colours


def draw_pruning(pruning: Pruning, output: str) -> str | None:
    """Draw the figure into a file; for `-`, return it as text. Raises SpectraError where it cannot be written."""
    if suffix_of(output) == "-":
        from spectra_cli.views.figures.terminal import draw

        return draw(lines(pruning))
    save(chart(pruning), output, f"pruning: {printable(pruning.model)}")
    return None


def points(pruning: Pruning) -> pd.DataFrame:
    """Return a line for each choice and number of layers: the rise in loss and two of its standard errors."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"choice": CHOICES[c.choice], "k": c.k, "rise": c.rise.value,
             "low": c.rise.value - 2 * c.rise.stderr, "high": c.rise.value + 2 * c.rise.stderr}
            for c in pruning.compared
        ]
    )  # fmt: skip


def chart(pruning: Pruning) -> Chart:
    """Draw a dot for each choice and number of layers, with a bar of two standard errors."""
    import altair as alt

    frame = points(pruning)
    scale, axis = quantity_axis(frame["rise"])
    every = list(dict.fromkeys(frame["choice"]))
    base = alt.Chart(frame).encode(
        x=alt.X("k:O", title="layers removed", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("choice:N", sort=every),  # so that equal choices stand side by side
        color=alt.Color("choice:N", title="chosen by", scale=alt.Scale(domain=every, range=[*RUN_COLOURS, *FURTHER])),
        tooltip=["choice:N", "k:O", alt.Tooltip("rise:Q", format=".4~g")],
    )
    y = alt.Y("rise:Q", title="rise in loss (nats per token)", scale=alt.Scale(**scale), axis=alt.Axis(**axis))
    dots = base.mark_point(filled=True, size=45).encode(y=y)
    bars = base.mark_rule(strokeWidth=1.2, clip=True).encode(y=alt.Y("low:Q"), y2="high:Q")
    heading = alt.Title(
        f"Without layers: {printable(pruning.model)}",
        subtitle=[
            "dots: means; bars: two standard errors",
            pruning_sentences(pruning)[0],
            *comparison_sentences(pruning),
        ],
    )
    return alt.layer(bars, dots).properties(width=560, height=300, title=heading)


def lines(pruning: Pruning) -> tuple[Panel, ...]:
    """Return the terminal's panel: the rise in loss over how many layers are removed."""
    frame = points(pruning).rename(columns={"k": "x", "rise": "y", "choice": "series"})
    return (Panel(f"{printable(pruning.model)}: rise in loss", "layers removed", "nats per token", frame),)
