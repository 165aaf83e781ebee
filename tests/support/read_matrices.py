"""The matrices of a checkpoint as entries, read and cut as a scan does, for tests that hold them against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectra_cli import architectures
from spectra_cli.weights import open_weights

Arrays = dict[str, NDArray[Any]]


def read_matrices(path: Path) -> tuple[Arrays, tuple[str, ...]]:
    """Return every matrix by its canonical name, and the notes on the checkpoint."""
    with open_weights(path) as opened:
        layout = architectures.layout(opened.config, opened.tensors)
        arrays = {m.name: architectures.cut(opened.read(m.tensor), m).float().numpy() for m in layout.matrices}
        assert all(arrays[m.name].shape == (m.rows, m.cols) for m in layout.matrices)
        return arrays, (*opened.notes, *layout.notes)


def same_matrices(path: Path, truth: Mapping[str, Any]) -> tuple[str, ...]:
    """Check that a checkpoint holds exactly these matrices, entry by entry; returns the notes on it."""
    arrays, notes = read_matrices(path)
    assert set(arrays) == set(truth)
    for name, expected in truth.items():
        np.testing.assert_array_equal(arrays[name], np.asarray(expected), err_msg=name)
    return notes
