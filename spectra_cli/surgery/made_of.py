"""What a new checkpoint was made of, for programs: the one form of provenance.json. Knows no command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectra_cli import __version__


def provenance(command: str, source: str, facts: Mapping[str, Any], rounding: Mapping[str, float]) -> dict[str, Any]:
    """Return what provenance.json holds.

    command: that made the checkpoint. source: as it was given. facts: what it was made of, and how. rounding: what
    storing the result cost, by stored dtype; empty where stored numbers were copied.

    >>> made = provenance("prune", "runs/a", {"removed": [3]}, {})
    >>> made["tool"], made["command"], made["removed"], made["rounding"]
    ('spectra', 'prune', [3], {})
    """
    head = {"tool": "spectra", "version": __version__, "command": command, "source": source}
    return {**head, **facts, "rounding": dict(rounding)}
