"""Makes new checkpoints out of others. Knows no command, and measures nothing.

`write_checkpoint` is the one writer of checkpoints: a folder that transformers loads, whole or absent.
"""

from spectra_cli.storage.new_folder import check_output, scratch_beside
from spectra_cli.surgery.card import model_card
from spectra_cli.surgery.made_of import provenance
from spectra_cli.surgery.original import Original, open_original
from spectra_cli.surgery.writing import (
    Description,
    TensorToWrite,
    Written,
    write_checkpoint,
)

__all__ = [
    "Description", "Original", "TensorToWrite", "Written", "check_output", "model_card", "open_original",
    "provenance", "scratch_beside", "write_checkpoint",
]  # fmt: skip
