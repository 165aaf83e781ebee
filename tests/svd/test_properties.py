"""What holds for the spectrum of every matrix, and what is promised to be the same to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from spectra_cli import svd
from spectra_cli.engines import processors
from tests.support.svd_oracles import planted

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SETTINGS = settings(max_examples=60, deadline=None)


@st.composite
def matrices(draw, dtypes=DTYPES):
    rows, cols = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    matrix = torch.randn(rows, cols, dtype=torch.float64, generator=random)
    if draw(st.booleans()):
        rank = draw(st.integers(1, min(rows, cols)))
        matrix = matrix[:, :rank] @ torch.randn(rank, cols, dtype=torch.float64, generator=random)
    return (matrix * 10.0 ** draw(st.integers(-3, 3))).to(draw(st.sampled_from(dtypes)))


def close(result, expected):
    scale = expected.sigma[0]
    assert np.abs(result.sigma - expected.sigma).max() <= result.error + expected.error + 1e-12 * scale


@SETTINGS
@given(matrices())
def test_descending_not_negative_and_as_many_as_the_short_side(matrix):
    sigma = svd.spectrum(matrix).sigma
    assert sigma.shape == (min(matrix.shape),)
    assert sigma.dtype == np.float64
    assert (np.diff(sigma) <= 0).all()
    assert (sigma >= 0).all()


@SETTINGS
@given(matrices())
def test_squares_add_up_to_the_squared_frobenius_norm(matrix):
    squares = float(matrix.double().square().sum())
    assert np.square(svd.spectrum(matrix).sigma).sum() == pytest.approx(squares, rel=1e-12)


@SETTINGS
@given(matrices())
def test_transpose_has_the_same_spectrum(matrix):
    close(svd.spectrum(matrix.T), svd.spectrum(matrix))


@SETTINGS
@given(matrices(), st.randoms(use_true_random=False))
def test_permutation_of_rows_and_columns_changes_nothing(matrix, random):
    rows, cols = (random.sample(range(side), side) for side in matrix.shape)
    close(svd.spectrum(matrix[rows][:, cols]), svd.spectrum(matrix))


@SETTINGS
@given(matrices(dtypes=(torch.float64,)))
def test_orthogonal_matrices_on_either_side_change_nothing(matrix):
    left, right = (planted(np.ones(side), side, side) for side in matrix.shape)
    close(svd.spectrum(left @ matrix @ right), svd.spectrum(matrix))


@SETTINGS
@given(matrices(dtypes=(torch.float64,)), st.integers(-900, 900))
def test_powers_of_two_scale_every_bit_in_float64(matrix, power):
    scaled = svd.spectrum(torch.from_numpy(np.ldexp(matrix.numpy(), power)))
    assert (scaled.sigma == np.ldexp(svd.spectrum(matrix).sigma, power)).all()


@SETTINGS
@given(matrices(dtypes=(torch.float32, torch.bfloat16)), st.integers(-60, 60))
def test_powers_of_two_scale_every_bit_in_narrow_dtypes(matrix, power):
    scaled = svd.spectrum(matrix * 2.0**power)
    assert (scaled.sigma == np.ldexp(svd.spectrum(matrix).sigma, power)).all()


@SETTINGS
@given(matrices(), st.floats(1e-6, 1))
def test_weyl_no_value_moves_further_than_the_spectral_norm_of_the_difference(matrix, size):
    change = size * torch.randn(matrix.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one, other = svd.spectrum(matrix), svd.spectrum(matrix.double() + change)
    moved = np.abs(one.sigma - other.sigma).max()
    assert moved <= svd.spectrum(change).sigma[0] * (1 + 1e-9) + one.error + other.error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(60, 60), (3000, 20), (20, 3000)])
def test_a_view_gives_the_same_bits_as_a_copy(dtype, shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = svd.spectrum(matrix).sigma
    rows, cols = shape
    transposed = matrix.T.contiguous().T
    strided = matrix.repeat_interleave(2, 0).repeat_interleave(3, 1)[::2, ::3]
    inside = torch.zeros(rows + 2, cols + 2, dtype=dtype)
    inside[1:-1, 1:-1] = matrix
    for view in (transposed, strided, inside[1:-1, 1:-1]):
        assert (svd.spectrum(view).sigma == expected).all()


def test_same_bits_however_many_are_measured_side_by_side():
    random = torch.Generator().manual_seed(0)
    stored = [torch.randn(200, 50 * part, generator=random).half() for part in range(1, 7)]
    runs = [list(processors.run(lambda one: svd.spectrum(one).sigma, stored, threads=count)) for count in (1, 2, 5)]
    with threadpool_limits(limits=1):
        runs.append([svd.spectrum(one).sigma for one in stored])
    for run in runs[1:]:
        assert all((a == b).all() for a, b in zip(run, runs[0], strict=True))
