"""The singular values of a matrix that a user holds, as a tensor or as an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spectra_cli.errors import SpectraError
from spectra_cli.records import Spectrum
from spectra_cli.svd.decomposition import spectrum
from spectra_cli.svd.devices import choose_device

if TYPE_CHECKING:
    import torch


def singular_values(matrix: torch.Tensor | ArrayLike, *, device: str = "cpu") -> Spectrum:
    """Return the singular values of a matrix as `sigma`, and as `error` the bound on their error.

    matrix: (m, n) real numbers: a tensor of any dtype and strides in the machine's memory, or what NumPy takes for an
    array. device: what computes, as torch names it, or auto. sigma: (min(m, n),) float64, descending, in the unit of
    the entries: |σ̂ᵢ − σᵢ| ≤ error for every i. NaN or Inf in the matrix: all NaN. The result is what the functions of
    `spectra_cli.metrics` take. Raises SpectraError for what is no real matrix.
    Source: docs/accuracy.md.

    >>> import numpy as np
    >>> spectrum = singular_values(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> spectrum.sigma, 0 < spectrum.error < 1e-12
    (array([4., 3.]), True)
    """
    return spectrum(_tensor(matrix), device=choose_device(device))


def _tensor(matrix: torch.Tensor | ArrayLike) -> torch.Tensor:
    import torch

    if isinstance(matrix, torch.Tensor):
        return matrix.detach()
    try:
        array = np.array(matrix)  # a copy: torch takes no strides below 0, and nothing that must not be written
        return torch.from_numpy(array)
    except (TypeError, ValueError):
        raise SpectraError("this is no matrix of real numbers", hint="give a two-dimensional array of them") from None
