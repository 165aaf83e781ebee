"""Writes a chart to a file: PNG, SVG and PDF without a browser, HTML as one page that needs no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectra_cli.budget import has_limited_addresses
from spectra_cli.errors import SpectraError
from spectra_cli.storage.atomic import replace_file
from spectra_cli.views.figures.colours import theme
from spectra_cli.views.figures.figure import Chart
from spectra_cli.views.figures.look import INCH, Look, looking
from spectra_cli.views.figures.room import require_room

LARGEST = 20_000_000
SUFFIXES = (".png", ".svg", ".html", ".pdf")
PNG_SCALE = 2.0


def suffix_of(output: str) -> str:
    """Return the kind of file asked for, `-` for the terminal. Raises SpectraError, code 2, where it is unknown."""
    suffix = "-" if output == "-" else Path(output).suffix.lower()
    if suffix not in ("-", *SUFFIXES):
        raise SpectraError(
            f"a figure cannot be written as {output}", hint=f"end it in {', '.join(SUFFIXES)}; - draws here", code=2
        )
    return suffix


def save(chart: Chart, output: str, title: str, look: Look | None = None) -> None:
    """Write the chart as the suffix says. look: None for the figure's own.

    Raises SpectraError where it would be larger than LARGEST, or the place cannot be written.
    """
    save_all(chart, [output], title, look)


def save_all(chart: Chart, outputs: Sequence[str], title: str, look: Look | None = None) -> None:
    """Write one chart into several files as `save` does; what fits it into a width is found once."""
    look = look or Look()
    suffixes = [suffix_of(output) for output in outputs]
    spec = looking(specification(chart), look, _size)
    for output, suffix in zip(outputs, suffixes, strict=True):
        content = _content(spec, suffix, title, look.dpi)
        if len(content) > LARGEST:
            raise SpectraError(
                f"{output} would have {len(content):,} bytes",
                hint="fewer matrices with --match or --roles make it smaller",
            )
        write_whole(Path(output), content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises SpectraError where the place cannot be written."""
    try:
        replace_file(path, lambda file: file.write(content), shared=True)
    except OSError as error:
        raise SpectraError(f"{path} cannot be written: {error.strerror}", hint="give another -o FILE") from None


def specification(chart: Chart) -> dict[str, Any]:
    """Return a chart as Vega-Lite in the house's look, with its data in it."""
    require_room()
    import altair as alt

    with alt.data_transformers.enable("default", max_rows=None), alt.theme.enable("none"):
        spec: dict[str, Any] = chart.to_dict()
    return {**spec, "config": theme(), "padding": 12}


def _refuse_little_address_space(suffix: str) -> None:
    """Raise SpectraError under a limit of addresses: what draws reserves thousands of GB, and dies where it cannot."""
    if has_limited_addresses():
        raise SpectraError(
            f"a {suffix[1:].upper()} cannot be drawn where addresses are limited (ulimit -v)",
            hint="give -o FILE.html, which needs no drawing here, or `ulimit -v unlimited`",
        )


def _size(spec: dict[str, Any]) -> tuple[float, float]:
    """Return the width and height that a chart takes."""
    _refuse_little_address_space(".svg")
    import vl_convert

    drawn = re.search(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"', str(vl_convert.vegalite_to_svg(spec)))
    return (float(drawn[1]), float(drawn[2])) if drawn else (0.0, 0.0)


def _content(spec: dict[str, Any], suffix: str, title: str, dpi: int | None) -> bytes:
    if suffix == ".html":
        from spectra_cli.views.report.shell import figure_page

        return figure_page(spec, title).encode()
    _refuse_little_address_space(suffix)
    import vl_convert

    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=dpi / INCH if dpi else PNG_SCALE))
    if suffix == ".pdf":
        return bytes(vl_convert.vegalite_to_pdf(spec))
    return str(vl_convert.vegalite_to_svg(spec)).encode()
