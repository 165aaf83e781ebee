"""Whether there is room for the libraries that draw, where a limit of addresses is set (`ulimit -v`)."""

from __future__ import annotations

import resource
from mmap import mmap

from spectra_cli.errors import SpectraError

ROOM = 300 << 20
"""Bytes of addresses that a figure, or the scripts of a page, take with the libraries that make them."""


def require_room() -> None:
    """Raise SpectraError where a limit of addresses leaves too few for Altair and vl-convert, which die of it."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        try:
            mmap(-1, ROOM).close()
        except OSError:
            raise SpectraError(
                "there are not enough addresses left for a figure (ulimit -v)", hint="raise the limit to 2 GB or more"
            ) from None
