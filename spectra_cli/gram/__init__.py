"""Inner products of whole checkpoints, and what follows from them alone. Knows no file, no model and no study."""

from spectra_cli.gram.sequences import (
    Components,
    components,
    distances,
    merged,
    moving_average,
    origin_at,
    update_gram,
)
from spectra_cli.gram.streaming import ORIGIN, Owners, ReadElements, block_bytes, tensor_grams

__all__ = [
    "ORIGIN", "Components", "Owners", "ReadElements", "block_bytes", "components", "distances", "merged",
    "moving_average", "origin_at", "tensor_grams", "update_gram",
]  # fmt: skip
