"""What a whole model takes of memory, against what the machine has: said before it is taken. Loads no weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from spectra_cli.errors import SpectraError
from spectra_cli.evaluation.model import described_sizes
from spectra_cli.records import ITEMSIZE

SMALL = 0.1  # of the machine's memory: nothing is said of less
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


def machine_memory() -> int:
    """Return how many bytes of memory this process may have: the machine's, or its container's."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in LIMITS:
        with suppress(OSError, ValueError):  # `max` is no number: no limit
            sizes.append(int(Path(name).read_text()))
    return min(sizes)


def announce(config: Any, tensors: int, called: str, on_wait: Callable[[str], None], dtype: str = "float32") -> None:
    """Announce what holding a model takes, where it is a tenth of the machine or more. Raises SpectraError beyond it.

    config: transformers' own. tensors: how many the model's files hold. called: its name. dtype: that of its weights.
    on_wait: called with the sentence.
    """
    takes = described_sizes(config, tensors, called)[0] * ITEMSIZE[dtype]
    there = machine_memory()
    sentence = f"{called} takes {_size(takes)} of memory in {dtype}, and this machine has {_size(there)}"
    if takes > there:
        raise SpectraError(sentence, hint="give the command on a machine with more memory, or a smaller model")
    if takes > SMALL * there:
        on_wait(sentence)


def _size(nbytes: float) -> str:
    """Return bytes in a unit of their size.

    >>> _size(4_200_000_000), _size(1_000_000)
    ('4.2 GB', '1.0 MB')
    """
    return f"{nbytes / 1e9:,.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"
