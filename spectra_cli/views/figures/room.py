"""Whether there is room for the libraries that draw, where a limit of addresses is set (`ulimit -v`)."""

from __future__ import annotations

from spectra_cli.budget import has_addresses_for
from spectra_cli.errors import SpectraError

ROOM = 800 << 20
"""Bytes of addresses that a figure, or the scripts of a page, take with the libraries that make them, and the studies
with theirs."""


def require_room() -> None:
    """Raise SpectraError where a limit of addresses leaves too few for Altair and vl-convert, which die of it."""
    if not has_addresses_for(ROOM):
        raise SpectraError(
            "there are not enough addresses left for a figure (ulimit -v)", hint="raise the limit to 2 GB or more"
        )
