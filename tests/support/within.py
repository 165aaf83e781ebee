"""The oracle of whatever is hostile: it is read or refused within the budget, and nothing but SpectraError leaves."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from spectra_cli import budget
from spectra_cli.errors import SpectraError
from tests.support.checkpoints import read_all


def within(path: Path) -> str:
    """Read everything, within the budget and something for the rest; return what was refused, "" if nothing."""
    memory, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    message = ""
    try:
        read_all(path)
    except SpectraError as error:
        message = error.message
    assert time.thread_time() - begun < budget.SECONDS + 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < (budget.BYTES >> 10) * 1.3
    return message
