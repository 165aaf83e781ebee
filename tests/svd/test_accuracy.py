"""Spectra against 50 digits: planted conditions, degenerate shapes, extreme scales, every stored dtype."""

import mpmath
import numpy as np
import pytest
import torch

from spectra_cli import svd
from tests.support.svd_oracles import (
    assert_within_bounds,
    exact_by_construction,
    planted,
    true_sigma,
    true_sigma_of_integers,
    true_sigma_of_tall,
)

SHAPES = ((8, 8), (24, 24), (40, 12), (12, 40))
CONDITIONS = (0, 2, 4, 5, 5.5, 6, 7, 8, 12, 16)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exponent", CONDITIONS)
def test_graded_spectra_of_every_condition_number(shape, exponent):
    matrix = planted(np.logspace(0, -exponent, min(shape)), *shape)
    assert_within_bounds(svd.spectrum(matrix), true_sigma(matrix))


@pytest.mark.parametrize("smallest", [1e-3, 1e-5, 3e-6, 1e-6, 1e-7, 1e-11, 0.0])
@pytest.mark.parametrize("many", [1, 8, 15])
def test_flat_spectra_with_small_values_at_the_end(smallest, many):
    matrix = planted([1.0] * (16 - many) + [smallest] * many, 16, 16)
    assert_within_bounds(svd.spectrum(matrix), true_sigma(matrix))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_rows_columns_and_single_entries(shape):
    matrix = torch.arange(1, 1 + shape[0] * shape[1], dtype=torch.float64).view(shape) / 7
    assert_within_bounds(svd.spectrum(matrix), true_sigma(matrix))


@pytest.mark.parametrize("shape", [(5, 5), (3000, 3), (1, 4)])
def test_zero_matrix_has_zero_spectrum(shape):
    result = svd.spectrum(torch.zeros(shape))
    assert result.sigma.tolist() == [0.0] * min(shape)
    assert result.error == 0


def test_one_repeated_value_is_rank_one():
    matrix = torch.full((12, 20), 0.1, dtype=torch.float32)
    assert_within_bounds(svd.spectrum(matrix), true_sigma(matrix))


def test_identity_has_all_values_equal():
    assert svd.spectrum(torch.eye(64)).sigma == pytest.approx(np.ones(64), abs=0, rel=1e-14)


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-150, 1e-30, 1e30, 1e150, 1e306])
def test_scales_at_the_ends_of_float64(scale):
    matrix = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [4.0, 4.0, 9.0]], dtype=torch.float64) * scale
    truth = true_sigma(matrix)
    result = svd.spectrum(matrix)
    assert result.sigma == pytest.approx([float(item) for item in truth], rel=1e-12, abs=5e-324)


def test_entries_of_1e_minus_40_and_1e30_in_one_matrix():
    matrix = planted(np.ones(6), 6, 6)
    matrix[:, 0] *= 1e30
    matrix[:, 1] *= 1e-40
    assert_within_bounds(svd.spectrum(matrix), true_sigma(matrix, digits=200))
    assert_within_bounds(svd.spectrum(matrix.float()), true_sigma(matrix.float(), digits=200))


def test_sigma_beyond_float64_is_inf_without_a_warning():
    assert svd.spectrum(torch.full((9, 9), 1.7e308, dtype=torch.float64)).sigma[0] == np.inf


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_largest_and_smallest_numbers_of_each_dtype(dtype):
    limits = torch.finfo(dtype)
    matrix = torch.diag(torch.tensor([limits.max / 4, limits.tiny, limits.smallest_normal], dtype=dtype)) + 0
    assert svd.spectrum(matrix).sigma[0] == limits.max / 4
    full = torch.full((6, 6), limits.max / 8, dtype=dtype)
    assert_within_bounds(svd.spectrum(full), true_sigma(full))


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32, torch.float16, torch.bfloat16, torch.int8,
        torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    ],
)  # fmt: skip
def test_stored_entries_are_taken_as_they_are(dtype):
    matrix = (planted(np.linspace(40, 1, 9), 20, 9)).to(dtype)
    result = svd.spectrum(matrix)
    assert result.dtype == str(dtype).removeprefix("torch.")
    assert_within_bounds(result, true_sigma(matrix))


@pytest.mark.parametrize("smallest", [1 << 20, 1 << 10, 4, 1])
def test_wide_spectra_of_a_256_square_matrix_known_exactly(smallest):
    random = np.random.default_rng(0)
    sigma = [smallest, 1 << 20, *random.integers(smallest, (1 << 20) + 1, 254).tolist()]
    matrix, truth = exact_by_construction(sigma)
    assert_within_bounds(svd.spectrum(matrix), truth)


def test_half_of_256_values_at_a_millionth_of_the_other_half():
    matrix, truth = exact_by_construction([1 << 20] * 128 + [1] * 128)
    assert_within_bounds(svd.spectrum(matrix), truth)


@pytest.mark.parametrize("smallest", [1 << 12, 1, 0])
def test_tall_and_wide_matrices_over_many_blocks(smallest):
    matrix, truth = exact_by_construction([smallest, 1 << 20, *range(1 << 14, 1 << 15, 265)], copies=96)
    assert_within_bounds(svd.spectrum(matrix), truth)
    assert_within_bounds(svd.spectrum(matrix.T), truth)


def test_thousands_of_rows_of_positive_entries():
    matrix = torch.rand(5000, 5, generator=torch.Generator().manual_seed(0)).half() + 1
    assert_within_bounds(svd.spectrum(matrix), true_sigma_of_tall(matrix))


FEW_NUMBERS = {
    "constant": lambda _, shape: np.ones(shape, dtype=int),
    "plus or minus": lambda random, shape: random.choice([-1, 1], shape),
    "ternary": lambda random, shape: random.integers(-1, 2, shape),
    "integers": lambda random, shape: random.integers(0, 16, shape),
    "one and two": lambda random, shape: 1 + (random.random(shape) < 0.01),
}


@pytest.mark.parametrize("kind", FEW_NUMBERS)
@pytest.mark.parametrize("shape", [(384, 1), (1, 1024), (4096, 3), (50304, 2)])
def test_roundings_that_all_go_the_same_way_stay_within_the_bound(kind, shape):
    """Few numbers, times a scale of 24 bits: their σ are those of the whole numbers, times the scale."""
    random = np.random.default_rng(0)
    for scale in random.uniform(0.5, 1.0, 5).astype(np.float32):
        whole = FEW_NUMBERS[kind](random, shape)
        truth = true_sigma_of_integers(whole, float(scale))
        assert_within_bounds(svd.spectrum(torch.from_numpy(whole * np.float64(scale))), truth)


@pytest.mark.parametrize("kind", ["constant", "plus or minus"])
def test_factors_whose_roundings_go_the_same_way_stay_within_the_bound(kind):
    random = np.random.default_rng(1)
    scale = float(np.float32(0.7123))
    b = FEW_NUMBERS[kind](random, (20000, 1)) * np.ones(4)
    a = np.ones((4, 700))
    result = svd.spectrum(svd.Factors(torch.from_numpy(b * scale), torch.from_numpy(a)))
    with mpmath.workdps(50):
        assert abs(mpmath.mpf(float(result.sigma[0])) - 4 * mpmath.mpf(scale) * mpmath.sqrt(14 * 10**6)) <= result.error


@pytest.mark.slow
def test_a_million_equal_rows_keep_the_promise():
    scale = float(np.float32(0.7123))
    whole = np.ones((1 << 20, 4))
    with mpmath.workdps(60):
        truth = [mpmath.mpf(scale) * (1 << 11), *[mpmath.mpf(0)] * 3]
    assert_within_bounds(svd.spectrum(torch.from_numpy(whole * scale)), truth)


@pytest.mark.parametrize(
    ("shape", "rank", "rule"),
    [((30, 30), 30, "gram"), ((2500, 30), 30, "gram"), ((30, 30), 29, "svd"), ((2500, 30), 29, "qr+svd")],
)
def test_spectrum_says_by_which_rule_it_was_found(shape, rank, rule):
    assert svd.spectrum(planted(np.linspace(2, 1, rank), *shape)).rule == rule
    assert svd.spectrum(planted(np.linspace(2, 1, rank), *shape[::-1])).rule == rule


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 4), (3000, 4), (4, 3000), (1, 3)])
def test_nan_or_inf_anywhere_makes_every_sigma_nan(bad, dtype, shape):
    matrix = torch.ones(shape, dtype=dtype)
    matrix[-1, -1] = bad
    result = svd.spectrum(matrix)
    assert np.isnan(result.sigma).all()
    assert result.sigma.shape == (min(shape),)
    assert np.isnan(result.error)
