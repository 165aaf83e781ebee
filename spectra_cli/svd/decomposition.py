"""The spectra of stored matrices, and of their entries in random order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.records import Spectrum
from spectra_cli.svd.batches import in_batches
from spectra_cli.svd.blocks import as_integers, power_of_two, require_matrices
from spectra_cli.svd.devices import computes_on
from spectra_cli.svd.factors import Factors, spectrum_of_factors
from spectra_cli.svd.rounding import rounding_norm
from spectra_cli.svd.rules import as_spectrum, singular_values
from spectra_cli.svd.small import is_small, spectra_of_small
from spectra_cli.trace import NO_TRACE, Recorder

if TYPE_CHECKING:
    import torch


def spectrum(
    matrix: torch.Tensor | Factors,
    *,
    device: str = "cpu",
    shuffle_seed: int | None = None,
    rounding: bool = True,
    recorder: Recorder = NO_TRACE,
) -> Spectrum:
    """Singular values of a matrix, descending, in float64.

    matrix: (m, n), any real dtype and strides, or two factors whose product is then not formed. σ: (min(m, n),), in
    the unit of the entries, all NaN where the matrix holds NaN or Inf, Inf where σ itself is beyond float64. For every
    i, |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁ and |σ̂ᵢ − σᵢ|/σᵢ ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²); `error` is the bound for this matrix,
    larger than these where roundings that all go the same way would exceed them, which none was seen to do.
    shuffle_seed: where given, `shuffled` is the spectrum of the same entries in the random order of that seed.
    rounding: whether what storing has left in the matrix is computed too, which reads it twice more. recorder: is told
    how long each step took.

    >>> import torch
    >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).sigma
    array([4., 3.])
    """
    other = None
    if shuffle_seed is not None:
        entries = matrix.product() if isinstance(matrix, Factors) else matrix
        with recorder.span("shuffle"):
            entries = shuffled(entries, shuffle_seed)
        other = spectrum(entries, device=device, rounding=False, recorder=recorder).sigma
    if isinstance(matrix, Factors):
        with recorder.span("decompose factors"):
            return replace(spectrum_of_factors(matrix), shuffled=other)
    require_matrices(matrix)
    result = _spectrum_of_tensor(matrix, computes_on(device), rounding, recorder)
    return result if other is None else replace(result, shuffled=other)


def _spectrum_of_tensor(matrix: torch.Tensor, device: str, rounding: bool, recorder: Recorder) -> Spectrum:
    if device != "cpu":
        ((_, attempt),) = in_batches([(None, matrix)], device, rounding=rounding, recorder=recorder)
        if attempt.spectrum is not None:
            return attempt.spectrum
    if is_small(*matrix.shape):
        return spectra_of_small([matrix], rounding=rounding, recorder=recorder)[0]
    power = power_of_two(matrix)
    with recorder.span("rounding"):
        norm = rounding_norm(matrix) if rounding else None
    return as_spectrum(matrix, power, singular_values(matrix, power, recorder), norm)


def spectra(
    matrices: Sequence[torch.Tensor | Factors],
    *,
    shuffle_seed: int | None = None,
    rounding: bool = True,
    recorder: Recorder = NO_TRACE,
) -> list[Spectrum]:
    """Return `spectrum` of each on the CPU, to the last bit; small ones of one shape and dtype are computed together.

    >>> import torch
    >>> [one.sigma.tolist() for one in spectra([torch.eye(2), 3 * torch.eye(2)])]
    [[1.0, 1.0], [3.0, 3.0]]
    """
    results: dict[int, Spectrum] = {}
    alike: dict[tuple[object, ...], list[tuple[int, torch.Tensor]]] = {}
    for index, matrix in enumerate(matrices):
        if isinstance(matrix, Factors) or not is_small(*matrix.shape):
            results[index] = spectrum(matrix, shuffle_seed=shuffle_seed, rounding=rounding, recorder=recorder)
        else:
            require_matrices(matrix)
            alike.setdefault((matrix.shape, matrix.dtype), []).append((index, matrix))
    for some in alike.values():
        indices, tensors = zip(*some, strict=True)
        computed = spectra_of_small(tensors, rounding=rounding, recorder=recorder)
        if shuffle_seed is not None:
            with recorder.span("shuffle"):
                entries = [shuffled(matrix, shuffle_seed) for matrix in tensors]
            others = spectra_of_small(entries, rounding=False, recorder=recorder)
            computed = [replace(own, shuffled=other.sigma) for own, other in zip(computed, others, strict=True)]
        results.update(zip(indices, computed, strict=True))
    return [results[index] for index in range(len(matrices))]


def shuffled(matrix: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the entries of a matrix in a random order, the same for the same seed and shape, on every machine.

    Returns (m, n) in the stored dtype. Needs one copy of the stored matrix, and no index.

    >>> import torch
    >>> shuffled(torch.arange(6).view(2, 3), seed=0).sum()
    tensor(15)
    """
    import torch

    copy = matrix.clone(memory_format=torch.contiguous_format)
    np.random.default_rng(seed).shuffle(as_integers(copy).view(-1).numpy())
    return copy
