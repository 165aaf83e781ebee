"""The names of a table's numbers that are findings of rank 1, and what they can be. Imports nothing heavy."""

import math
import re

KINDS = ("raw", "merged")
NULLS = ("walk", "persistent")
PARTS = ("share", "low", "high", "p")
NEEDED = ("rank1_window", "rank1_raw_share_1", "rank1_merged_share_1")
METRICS = (
    "rank1_elements",
    "rank1_dimensions",
    "rank1_halves_cosine",
    "rank1_progress",
    "rank1_back_and_forth",
    "rank1_across",
    *(f"rank1_{kind}_{name}" for kind in KINDS for name in ("update_cosine", "verdict", "x", "y")),
    *(f"rank1_{of}_{null}_{part}" for of in (*KINDS, "halves") for null in NULLS for part in PARTS),
)

# Names and the least and largest of such a number.
LIMITS = (
    (r"rank1_(raw|merged)_(share_\d+|(walk|persistent)_(share|low|high))", 0.0, 1.0),
    (r"rank1_\w+_p|rank1_(progress|back_and_forth|across)", 0.0, 1.0),
    (r"rank1_((raw|merged)_update|halves)_cosine|rank1_halves_\w+|rank1_(raw|merged)_verdict", -1.0, 1.0),
    (r"rank1_(window|elements|dimensions)", 1.0, math.inf),
    (r"rank1_(raw|merged)_[xy]", -math.inf, math.inf),
)


def limits_of(name: str) -> tuple[float, float] | None:
    """Return the least and largest of a number by its name; None where it is none of rank 1's.

    >>> limits_of("rank1_raw_share_2"), limits_of("alpha")
    ((0.0, 1.0), None)
    """
    return next(((low, high) for pattern, low, high in LIMITS if re.fullmatch(pattern, name)), None)
