"""The spectrum of one stored matrix, or of its entries in random order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.records import Spectrum
from spectra_cli.svd.batches import in_batches
from spectra_cli.svd.blocks import power_of_two, require_matrices
from spectra_cli.svd.devices import computes_on
from spectra_cli.svd.factors import Factors, spectrum_of_factors
from spectra_cli.svd.rules import as_spectrum, singular_values

if TYPE_CHECKING:
    import torch


def spectrum(matrix: torch.Tensor | Factors, *, device: str = "cpu", shuffle_seed: int | None = None) -> Spectrum:
    """Singular values of a matrix, descending, in float64.

    matrix: (m, n), any real dtype and strides, or two factors whose product is then not formed. σ: (min(m, n),), in
    the unit of the entries, all NaN where the matrix holds NaN or Inf, Inf where σ itself is beyond float64. For every
    i, |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁ and |σ̂ᵢ − σᵢ|/σᵢ ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²); `error` is the bound for this matrix,
    larger than these where roundings that all go the same way would exceed them, which none was seen to do.
    shuffle_seed: where given, `shuffled` is the spectrum of the same entries in the random order of that seed.

    >>> import torch
    >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).sigma
    array([4., 3.])
    """
    if isinstance(matrix, Factors):
        other = (
            None if shuffle_seed is None else spectrum(shuffled(matrix.product(), shuffle_seed), device=device).sigma
        )
        return replace(spectrum_of_factors(matrix), shuffled=other)
    require_matrices(matrix)
    other = None if shuffle_seed is None else spectrum(shuffled(matrix, shuffle_seed), device=device).sigma
    return replace(_spectrum_of_tensor(matrix, computes_on(device)), shuffled=other)


def _spectrum_of_tensor(matrix: torch.Tensor, device: str) -> Spectrum:
    if device != "cpu":
        ((_, attempt),) = in_batches([(None, matrix)], device)
        if attempt.spectrum is not None:
            return attempt.spectrum
    power = power_of_two(matrix)
    return as_spectrum(matrix, power, singular_values(matrix, power))


def shuffled(matrix: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the entries of a matrix in a random order, the same for the same seed and shape, on every machine.

    Returns (m, n) in the stored dtype. Needs one copy of the stored matrix, and no index.

    >>> import torch
    >>> shuffled(torch.arange(6).view(2, 3), seed=0).sum()
    tensor(15)
    """
    import torch

    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[matrix.element_size()]
    copy = matrix.clone(memory_format=torch.contiguous_format)
    np.random.default_rng(seed).shuffle(copy.view(integers).view(-1).numpy())
    return copy
