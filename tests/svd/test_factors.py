"""Spectra, distances and vectors of B·A from its factors: those of the product, which is never formed."""

import numpy as np
import pytest
import torch

from spectra_cli import svd
from tests.support.svd_oracles import assert_within_bounds, true_sigma

SHAPES = pytest.mark.parametrize(("rows", "cols", "rank"), [(9, 6, 2), (6, 9, 1), (5, 4, 7), (1, 8, 1), (7, 7, 7)])


def factors(rows, cols, rank, seed=0, scale=0.75):
    """Whole numbers, so that the product is exact in float64."""
    random = torch.Generator().manual_seed(seed)
    sides = [torch.randint(-9, 10, shape, generator=random).float() for shape in ((rows, rank), (rank, cols))]
    return svd.Factors(*sides, scale)


@SHAPES
def test_the_spectrum_is_that_of_the_product(rows, cols, rank):
    of = factors(rows, cols, rank)
    result = svd.spectrum(of)
    assert (result.rows, result.cols, result.rule) == (rows, cols, "factors")
    kept = min(rank, rows, cols)
    truth = true_sigma(of.product())
    assert_within_bounds(result, truth) if kept == min(rows, cols) else np.testing.assert_allclose(
        result.sigma, np.array(truth, dtype=float), rtol=1e-12, atol=1e-12 * float(truth[0])
    )
    assert not result.sigma[kept:].any()


@SHAPES
def test_two_of_any_ranks_compare_as_their_products_do(rows, cols, rank):
    first, other = factors(rows, cols, rank), factors(rows, cols, rank + 1, seed=1)
    inner, distance = svd.compare(first, other)
    a, b = first.product(), other.product()
    assert inner == pytest.approx(float((a * b).sum()), rel=1e-12)
    assert distance == pytest.approx(float(torch.linalg.norm(a - b)), rel=1e-12)


def test_the_distance_keeps_its_digits_where_the_factors_hardly_differ():
    first = factors(40, 30, 4)
    moved = svd.Factors(first.b.double(), first.a.double() * (1 + 2.0**-45), first.scale)
    assert svd.compare(first, moved)[1] == pytest.approx(2.0**-45 * float(torch.linalg.norm(first.product())), rel=1e-9)
    assert svd.compare(first, first)[1] == 0.0


def test_factors_compare_with_a_whole_matrix():
    first = factors(6, 5, 2)
    assert svd.compare(first, first.product())[1] == 0.0


@SHAPES
def test_the_first_singular_vectors_turn_the_product_into_its_spectrum(rows, cols, rank):
    of = factors(rows, cols, rank)
    left, right = svd.singular_vectors(of, 3)
    kept = min(3, rows, cols)
    np.testing.assert_allclose(left.T @ left, np.eye(kept), atol=1e-12)
    np.testing.assert_allclose(right.T @ right, np.eye(kept), atol=1e-12)
    expected = np.diag(svd.spectrum(of).sigma[:kept])
    np.testing.assert_allclose(left.T @ of.product().numpy() @ right, expected, atol=1e-10)


def test_nan_in_a_factor_gives_nan():
    of = factors(6, 5, 2)
    of.b[0, 0] = torch.nan
    assert np.isnan(svd.spectrum(of).sigma).all()
    assert np.isnan(svd.compare(of, factors(6, 5, 2))).all()
    assert np.isnan(svd.singular_vectors(of, 1)[0]).all()


def test_large_matrices_cost_no_more_than_their_factors():
    """A product of 2 TB, that no machine would form."""
    random = torch.Generator().manual_seed(0)
    b, a = torch.randn(500_000, 4, generator=random), torch.randn(4, 500_000, generator=random)
    assert svd.spectrum(svd.Factors(b, a)).sigma[4] == 0.0
    assert svd.compare(svd.Factors(b, a), svd.Factors(b, a, 2.0))[1] > 0.0
