"""What the figures of the Lifecycle study share: its titles, their columns, sizes of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectra_cli.errors import printable
from spectra_cli.views.figures.figure import Chart
from spectra_cli.views.figures.frames import wrapped

WIDTH = 560
FITTED = 60  # points of a fitted curve


def title(label: str, *sentences: str) -> Any:
    """Return the title of a run's column: its label, and sentences beneath."""
    import altair as alt

    return alt.Title(printable(label), subtitle=wrapped(sentences))


def side_by_side(columns: Sequence[Chart]) -> Chart:
    """Return the columns of several runs next to each other."""
    import altair as alt

    return columns[0] if len(columns) == 1 else alt.hconcat(*columns).resolve_scale(color="shared")
