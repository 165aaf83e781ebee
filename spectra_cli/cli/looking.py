"""The commands that draw tables: plot, report and study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from spectra_cli.cli.flat import Fields
from spectra_cli.cli.options import RunInputs, Seeds, Selection, Tables
from spectra_cli.errors import printable, require_report

Rank1Tables = Annotated[
    list[str] | None, typer.Option("--rank1", metavar="FILE", help="A table that `spectra rank1` wrote.")
]


@dataclass(frozen=True)
class Drawing:
    """Which figure is drawn, of which metric, and where it goes."""

    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="NAME",
            help="trajectory, alignment, spectrum, heatmap, profile, roles, layers, snapshot, loss; over depth: wave, "
            "compression, gradients, dissociation, depth, models, asymmetry, timescales; of `spectra rank1`: rank1: "
            "docs/figures.md.",
        ),
    ]
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="A .png, .svg, .html or .pdf; - draws on the terminal."),
    ]
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="The number drawn: any for heatmap, profile, roles; sd or sigma; an exponent over depth.",
        ),
    ] = None


@dataclass(frozen=True)
class Appearance:
    """How a figure looks in a file."""

    GROUP: ClassVar[str] = "Look"

    width: Annotated[
        int | None, typer.Option("--width", metavar="PX", help="Width of the whole picture; 72 pixels are an inch.")
    ] = None
    height: Annotated[int | None, typer.Option("--height", metavar="PX", help="Height of the whole picture.")] = None
    column: Annotated[
        str | None,
        typer.Option(
            "--column", metavar="NAME", help="As wide as a column of a paper: single (3.25 in) or double (6.75 in)."
        ),
    ] = None
    font_size: Annotated[
        float | None, typer.Option("--font-size", metavar="PX", help="Size of the letters; 12 by default.")
    ] = None
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="A title instead of the figure's own.")
    ] = None
    no_title: Annotated[bool, typer.Option("--no-title", help="No title and no sentences in the picture.")] = False
    theme: Annotated[
        str, typer.Option("--theme", metavar="NAME", help="screen, or paper: black on white, without a grid.")
    ] = "screen"
    dpi: Annotated[int | None, typer.Option("--dpi", metavar="N", help="Dots per inch of a PNG; 144 by default.")] = (
        None
    )


def plot(
    tables: Tables,
    *,
    drawing: Drawing,
    appearance: Appearance,
    caption: Annotated[
        str | None, typer.Option("--caption", metavar="FILE", help="A text file for what the figure says in words.")
    ] = None,
    selection: Annotated[Selection, Fields(only=("roles", "match"))],
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="N,…", help="The checkpoints shown, for spectrum and profile.")
    ] = None,
    inputs: RunInputs,
    pooled: Seeds,
) -> int:
    """Draw one figure of one or more tables."""
    from spectra_cli.views.figures.look import Look
    from spectra_cli.views.figures.plot import Choice, whole_numbers
    from spectra_cli.views.figures.plot import plot as draw

    require_report()
    choice = Choice(
        drawing.metric,
        tuple(selection.roles.split(",")) if selection.roles else (),
        selection.match,
        whole_numbers(steps),
        *_read(inputs),
        pooled.seeds,
    )
    drawn = draw(tables, drawing.kind, drawing.output, choice, Look(**vars(appearance)), caption)
    if drawn is not None:
        typer.echo(drawn)
    return 0


def report(
    tables: Tables,
    *,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = "report.html",
    rank1: Rank1Tables = None,
    inputs: RunInputs,
) -> int:
    """Write one page that stands alone: findings, figures to explore, the table of matrices, how it was made."""
    from spectra_cli.views.formatting import size
    from spectra_cli.views.report.report import report as write_report

    require_report()
    losses, columns, labels = _read(inputs)
    written = write_report(tables, output, losses=losses, loss_columns=columns, labels=labels, rank1=tuple(rank1 or ()))
    typer.echo(f"{printable(output)} · {size(written)} · opens in any browser, without a network", err=True)
    return 0


def study(
    tables: Tables,
    *,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder.")],
    rank1: Rank1Tables = None,
    inputs: RunInputs,
) -> int:
    """Write what a paper's appendix needs: page, figures with captions, findings, methods, references."""
    from spectra_cli.views.appendix import write_appendix
    from spectra_cli.views.formatting import count
    from spectra_cli.views.report.commands import PageInputs

    require_report()
    asked = PageInputs(tables, output, *_read(inputs), tuple(rank1 or ()))
    written = write_appendix(asked, lambda name: typer.echo(f"drawing {name}", err=True))
    for name, why in written.left_out:
        typer.echo(f"not drawn: {name}: {why}", err=True)
    figures = count(len(written.figures), "figure")
    typer.echo(f"{printable(output, 400)}/ · {figures}, report.html, findings, methods, references.bib", err=True)
    return 0


def _read(inputs: RunInputs) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...] | None]:
    """Return logs, their columns, and labels. Raises SpectraError, code 2, where one cannot be understood."""
    from spectra_cli.studies.inputs.parse import parse_columns, parse_labels

    return tuple(inputs.loss or ()), parse_columns(inputs.loss_columns), parse_labels(inputs.label)
