"""Spectra of small matrices on the CPU: one call of each kernel for many of one shape, by the rules of `rules`.

To call the kernels for one matrix at a time, with all that belongs to it, took four times as long as the kernels for
64×96. NumPy's take a whole stack in one call, compute each matrix of it by itself, and let other threads run meanwhile.
A matrix this small always takes this way, alone or not, so that its bits do not depend on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.records import Spectrum
from spectra_cli.svd.blocks import power_of_two, scale
from spectra_cli.svd.lapack import eigenvalues_of_each, grams_of_each
from spectra_cli.svd.rounding import rounding_norms
from spectra_cli.svd.rules import as_spectrum, by_grams, exact
from spectra_cli.trace import NO_TRACE, Recorder

if TYPE_CHECKING:
    import torch

ENTRIES = 1 << 21
"""Most entries of what is computed together: 16 MB in float64."""

SHORT, LONG = 128, 1024
"""Largest sides of a matrix that is small: up to these, NumPy's products and eigenvalues are those of `lapack` to the
last bit, with OpenBLAS 0.3.31 on AVX-512, and larger ones keep a core busy one at a time."""


def is_small(rows: int, cols: int) -> bool:
    """Whether a matrix of this shape is computed together with others of its shape.

    >>> is_small(96, 64), is_small(129, 200)
    (True, False)
    """
    return 0 < min(rows, cols) <= SHORT and max(rows, cols) <= LONG


def spectra_of_small(
    matrices: Sequence[torch.Tensor], *, rounding: bool, recorder: Recorder = NO_TRACE
) -> list[Spectrum]:
    """Singular values of some small matrices of one shape and dtype; rounding: whether theirs is computed too."""
    most = ENTRIES // matrices[0].numel()
    starts = range(0, len(matrices), most)
    return [spectrum for start in starts for spectrum in _spectra(matrices[start : start + most], rounding, recorder)]


def _spectra(matrices: Sequence[torch.Tensor], rounding: bool, recorder: Recorder) -> list[Spectrum]:
    stored = _stacked(matrices)
    powers = [power_of_two(matrix) for matrix in matrices]
    with recorder.span("Gram"):
        grams = grams_of_each(_float64(stored, powers).numpy())
        traces = np.trace(grams, axis1=1, axis2=2)
        grams[~np.isfinite(traces)] = 0.0  # the solver refuses a stack in which one holds NaN
    with recorder.span("eigenvalues"):
        squares = np.ascontiguousarray(eigenvalues_of_each(grams)[:, ::-1])
    shape = tuple(matrices[0].shape)
    with recorder.span("rounding"):
        norms = rounding_norms(stored) if rounding else [None] * len(matrices)
    return [
        as_spectrum(matrix, power, solution or exact(matrix, power), norm)
        for matrix, power, solution, norm in zip(matrices, powers, by_grams(squares, traces, shape), norms, strict=True)
    ]


def _stacked(matrices: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return (b, m, n) in the stored dtype."""
    import torch

    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[matrices[0].element_size()]
    return torch.stack([matrix.view(bits) for matrix in matrices]).view(matrices[0].dtype)


def _float64(stored: torch.Tensor, powers: Sequence[int]) -> torch.Tensor:
    """Return matrices in float64, each divided by its power of two."""
    import torch

    narrow = stored.float() if stored.dtype == torch.float16 else stored  # as in `blocks.float64_blocks`
    matrices = narrow.to(torch.float64, copy=True)
    for matrix, power in zip(matrices, powers, strict=True) if any(powers) else ():
        scale(matrix, -power)
    return matrices
