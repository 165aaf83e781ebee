"""Singular vectors and shuffles, which are measured only when asked for."""

import numpy as np
import pytest
import torch

from spectra_cli import svd
from tests.support.svd_oracles import planted


@pytest.mark.parametrize("shape", [(20, 20), (3000, 12), (12, 3000)])
def test_vectors_carry_each_other_by_their_singular_value(shape):
    matrix = planted([8.0, 4.0, 2.0, 1.0, 0.5], *shape)
    left, right = svd.singular_vectors(matrix, 5)
    assert left.shape == (shape[0], 5)
    assert right.shape == (shape[1], 5)
    assert matrix.numpy() @ right == pytest.approx(left * [8, 4, 2, 1, 0.5], abs=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("rank", [1, 3, 10])
def test_columns_are_orthonormal_even_where_the_matrix_has_lower_rank(rank, scale):
    for vectors in svd.singular_vectors(planted(np.ones(rank), 10, 14) * scale, 7):
        assert vectors.T @ vectors == pytest.approx(np.eye(7), abs=1e-13)


def test_more_vectors_than_there_are_means_all_of_them():
    left, right = svd.singular_vectors(torch.eye(3, 5), 99)
    assert left.shape == (3, 3)
    assert right.shape == (5, 3)


def test_vectors_turn_with_the_matrix():
    matrix, turn = planted([3.0, 2.0, 1.0], 6, 6), planted(np.ones(6), 6, 6, seed=1)
    left, right = svd.singular_vectors(matrix, 3)
    turned_left, turned_right = svd.singular_vectors(turn @ matrix, 3)
    assert np.abs(turned_left.T @ (turn.numpy() @ left)) == pytest.approx(np.eye(3), abs=1e-12)
    assert np.abs(turned_right.T @ right) == pytest.approx(np.eye(3), abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (4, 9), (9, 4)])
def test_vectors_of_a_matrix_with_nan_are_nan(shape):
    left, right = svd.singular_vectors(torch.full(shape, float("nan")), 2)
    assert np.isnan(left).all()
    assert np.isnan(right).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_shuffle_keeps_every_entry_and_depends_on_the_seed_alone(dtype):
    matrix = torch.arange(60).view(6, 10).to(dtype).T
    first, again, other = (svd.shuffled(matrix, seed) for seed in (3, 3, 4))
    assert first.dtype == dtype
    assert first.shape == matrix.shape
    assert sorted(first.double().flatten().tolist()) == sorted(matrix.double().flatten().tolist())
    assert first.tolist() == again.tolist() != other.tolist()


def test_shuffled_spectrum_comes_along_where_a_seed_is_given():
    matrix = planted([5.0, 1.0], 30, 20)
    found = svd.spectrum(matrix, shuffle_seed=1)
    assert found.shuffled == pytest.approx(svd.spectrum(svd.shuffled(matrix, 1)).sigma, abs=0)
    assert (found.sigma == svd.spectrum(matrix).sigma).all()
    assert svd.spectrum(matrix).shuffled is None
