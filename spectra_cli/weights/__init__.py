"""Reads the weights of a checkpoint, one tensor at a time, in whatever format they are. Knows nothing of their meaning.

The rooms within: formats/ (what one file holds), layouts/ (how a checkpoint is spread over files), tensors/ (each kind
of tensor, which reads itself). Nothing here imports torch until the first tensor is read.
"""

from spectra_cli.weights.companions import companion_names, files_of_copy, read_companions
from spectra_cli.weights.layouts.unread_files import not_fetched
from spectra_cli.weights.opening import Weights, open_weights
from spectra_cli.weights.recognition import FORMATS, Format, checkpoint_files, header_size, recognise
from spectra_cli.weights.tensors.low_rank import LowRank
from spectra_cli.weights.unread_kinds import why_unread

__all__ = [
    "FORMATS",
    "Format",
    "LowRank",
    "Weights",
    "checkpoint_files",
    "companion_names",
    "files_of_copy",
    "header_size",
    "not_fetched",
    "open_weights",
    "read_companions",
    "recognise",
    "why_unread",
]
