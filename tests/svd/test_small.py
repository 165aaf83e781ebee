"""Small matrices computed together: the bits of each alone, whatever lies beside it."""

from dataclasses import astuple

import numpy as np
import pytest
import torch

from spectra_cli import svd
from spectra_cli.records import Spectrum


def bits(spectrum: Spectrum) -> list[object]:
    return [value.tobytes() if isinstance(value, np.ndarray) else repr(value) for value in astuple(spectrum)]


def some(shape: tuple[int, int], dtype: torch.dtype) -> list[torch.Tensor]:
    """Matrices of one shape: random, transposed in memory, zero, of NaN, beyond the Gram, of one number, large."""
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(2))
    graded = first * torch.logspace(0, -9, shape[1], dtype=torch.float64)
    spoiled = second.clone()
    spoiled[0, 0] = torch.nan
    huge = first * (1e180 if dtype == torch.float64 else 1.0)
    made = [first, second.T.contiguous().T, 0 * first, spoiled, graded, torch.full_like(first, 0.125), huge]
    return [matrix.to(dtype) for matrix in made]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("shape", [(64, 96), (96, 64), (1, 9), (128, 128)])
def test_each_has_the_bits_that_it_has_alone(shape, dtype):
    matrices = some(shape, dtype)
    together = svd.spectra(matrices, shuffle_seed=0)
    for matrix, spectrum in zip(matrices, together, strict=True):
        assert bits(spectrum) == bits(svd.spectrum(matrix, shuffle_seed=0))
    alone = svd.spectra(matrices, rounding=False)
    assert [spectrum.rounding for spectrum in alone] == [None] * len(matrices)
    assert [spectrum.sigma.tobytes() for spectrum in alone] == [spectrum.sigma.tobytes() for spectrum in together]


def test_they_are_the_singular_values_within_the_error_that_is_told():
    matrices = [matrix for shape in ((64, 96), (300, 20), (96, 64)) for matrix in some(shape, torch.float64)]
    for matrix, spectrum in zip(matrices, svd.spectra(matrices), strict=True):
        if matrix.isnan().any():
            assert np.isnan(spectrum.sigma).all()
            continue
        truth = np.linalg.svd(matrix.numpy(), compute_uv=False)
        assert np.abs(spectrum.sigma - truth).max() <= spectrum.error + 1e-14 * truth[0]


@pytest.mark.slow
def test_more_than_are_computed_at_once_come_out_in_their_order():
    matrices = [torch.full((128, 1024), float(number)) for number in range(20)]
    assert [round(spectrum.sigma[0] / 128 / 8**0.5) for spectrum in svd.spectra(matrices)] == list(range(20))
