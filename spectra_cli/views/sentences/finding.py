"""A finding as people read it: its sentence, what was looked for, and whether that is there. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence on one claim.

    claim: what was looked for, a key of `views.report.claims`. sentence: whole and safe to print. seen: whether it was
    found; False where it was looked for in vain, or cannot be judged.
    """

    claim: str
    sentence: str
    seen: bool = True
