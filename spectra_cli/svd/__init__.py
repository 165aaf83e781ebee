"""Spectra of stored matrices and distances between them: the only place that knows devices and precisions.

Torch tensors of any stored dtype come in; NumPy float64 goes out. It knows nothing of files, models or tables.
The rule and its error are in `rules`. Importing this imports no torch.

On one machine's CPU σ is the same to the last bit for the same entries, dtype and shape, whatever the strides of
the tensor, how many matrices are measured side by side, and what else is asked for. Bits may differ on another
machine or device, for the transpose, with several BLAS threads a matrix instead of one, and on a GPU with the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spectra_cli.errors import SpectraError
from spectra_cli.records import Spectrum
from spectra_cli.svd.batches import Attempt, in_batches
from spectra_cli.svd.blocks import float64_blocks, power_of_two, scale
from spectra_cli.svd.devices import (
    calibrate,
    choose_device,
    computes_on,
    describe,
    gigaflops,
    is_out_of_memory,
    working_bytes,
)
from spectra_cli.svd.factors import Factors, compare_factors, spectrum_of_factors, vectors_of_factors
from spectra_cli.svd.rules import as_spectrum, singular_values
from spectra_cli.svd.singular_vectors import Vectors, shuffled
from spectra_cli.svd.singular_vectors import singular_vectors as vectors_of_tensor

if TYPE_CHECKING:
    import torch

__all__ = [
    "Attempt", "Factors", "Vectors", "calibrate", "choose_device", "compare", "compare_each", "computes_on", "describe",
    "gigaflops", "in_batches", "is_out_of_memory", "shuffled", "singular_vectors", "spectrum", "working_bytes",
]  # fmt: skip

CACHED = 1 << 18
"""Entries of a block of `compare`, read in the order in which they are stored: 2 MB. 50,304×768 in float16 against two
others takes 0.85 ns an entry and pair; 0.98 in blocks of a quarter, and 1.1 against one other at a time."""


def spectrum(matrix: torch.Tensor | Factors, *, device: str = "cpu", shuffle_seed: int | None = None) -> Spectrum:
    """Singular values of a matrix, descending, in float64.

    matrix: (m, n), any real dtype and strides, or two factors whose product is then not formed. σ: (min(m, n),), in
    the unit of the entries, all NaN where the matrix holds NaN or Inf, Inf where σ itself is beyond float64. For every
    i, |σ̂ᵢ − σᵢ| ≤ 1e-9·σ₁ and |σ̂ᵢ − σᵢ|/σᵢ ≤ max(1e-12, 1e-14·(σ₁/σᵢ)²); `error` is the bound for this matrix.
    shuffle_seed: where given, `shuffled` is the spectrum of the same entries in the random order of that seed.

    >>> import torch
    >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).sigma
    array([4., 3.])
    """
    if isinstance(matrix, Factors):
        other = None if shuffle_seed is None else spectrum(shuffled(matrix.whole(), shuffle_seed), device=device).sigma
        return replace(spectrum_of_factors(matrix), shuffled=other)
    _check(matrix)
    other = None if shuffle_seed is None else spectrum(shuffled(matrix, shuffle_seed), device=device).sigma
    return replace(_spectrum(matrix, computes_on(device)), shuffled=other)


def _spectrum(matrix: torch.Tensor, device: str) -> Spectrum:
    if device != "cpu":
        ((_, attempt),) = in_batches([(None, matrix)], device)
        if attempt.spectrum is not None:
            return attempt.spectrum
    power = power_of_two(matrix)
    return as_spectrum(matrix, power, singular_values(matrix, power))


def compare(a: torch.Tensor | Factors, b: torch.Tensor | Factors) -> tuple[float, float]:
    """⟨A,B⟩_F and ‖A − B‖_F of two matrices of one shape, as `compare_each` gives them.

    >>> import torch
    >>> compare(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    (0.0, 5.0)
    """
    return compare_each(a, [b])[0]


def compare_each(a: torch.Tensor | Factors, others: Sequence[torch.Tensor | Factors]) -> list[tuple[float, float]]:
    """⟨A,B⟩_F and ‖A − B‖_F for each B of some matrices of one shape, in float64, the latter from the difference.

    A is converted once for all of them. Two that are kept as factors are compared by these. The dtypes may differ.
    Raises SpectraError where the shapes do. Both NaN where a matrix holds NaN or Inf; Inf or 0 where ⟨A,B⟩ itself is
    beyond float64. Always on the CPU: each entry is read once, 15 ms for 2,048×8,192 in float16, in which time the pair
    would hardly be on a GPU.

    >>> import torch
    >>> compare_each(torch.eye(2), [torch.eye(2), torch.zeros(2, 2)])
    [(2.0, 0.0), (0.0, 1.4142135623730951)]
    """
    if isinstance(a, Factors) and any(isinstance(b, Factors) for b in others):
        return [compare_factors(a, b) if isinstance(b, Factors) else compare(a.whole(), b) for b in others]
    whole, *rest = (one.whole() if isinstance(one, Factors) else one for one in (a, *others))
    _check(whole, *rest)
    power, powers = power_of_two(whole), [power_of_two(b) for b in rest]
    length = max(1, CACHED // max(1, whole.shape[1]))

    def blocks(matrix: torch.Tensor, power: int) -> Iterator[torch.Tensor]:
        return float64_blocks(matrix, length, power=power, by_rows=True)

    sums = [[0.0, 0.0] for _ in rest]
    for left, *rights in zip(blocks(whole, power), *map(blocks, rest, powers), strict=True):
        x = left.view(-1)
        for found, right, other in zip(sums, rights, powers, strict=True):
            y = right.view(-1)
            found[0] += float(x.dot(y))
            common = max(power, other)
            shifted = x if power == common else scale(x.clone(), power - common)
            difference = scale(y, other - common).sub_(shifted)
            found[1] += float(difference.dot(difference))
    return [_distances(inner, squares, power, other) for (inner, squares), other in zip(sums, powers, strict=True)]


def _distances(inner: float, squares: float, power: int, other: int) -> tuple[float, float]:
    """Put back the powers of two by which two matrices were divided."""
    if not math.isfinite(squares):
        return math.nan, math.nan
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(inner, power + other)), float(np.ldexp(math.sqrt(squares), max(power, other)))


def singular_vectors(matrix: torch.Tensor | Factors, count: int) -> Vectors:
    """U and V of the `count` largest singular values, of a tensor (see `vectors`) or of two factors (see `factors`).

    >>> import torch
    >>> left, right = singular_vectors(torch.tensor([[3.0, 4.0]]), 1)
    >>> left, right.round(12).T
    (array([[1.]]), array([[0.6, 0.8]]))
    """
    if isinstance(matrix, Factors):
        return vectors_of_factors(matrix, count)
    return vectors_of_tensor(matrix, count)


def _check(*tensors: torch.Tensor) -> None:
    """Refuse what is not a real matrix, or not of the same shape as the first."""
    for tensor in tensors:
        if tensor.ndim != 2 or tensor.is_complex():
            raise SpectraError(
                f"a {tensor.dtype} tensor of shape {tuple(tensor.shape)} is no real matrix",
                hint="give two dimensions of real numbers",
            )
        if tensor.shape != tensors[0].shape:
            raise SpectraError(
                f"matrices of shapes {tuple(tensors[0].shape)} and {tuple(tensor.shape)} cannot be compared",
                hint="compare matrices of one shape",
            )
