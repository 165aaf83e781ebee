"""The names of a table's numbers that are findings of rank 1. Imports nothing."""

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
