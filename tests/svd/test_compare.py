"""Inner products and distances of two matrices, from the entries themselves."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra_cli import svd
from spectra_cli.errors import SpectraError


def whole(shape, seed, dtype=torch.float16):
    return torch.randint(-9, 9, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**31), st.sampled_from([torch.float16, torch.float64]))
def test_exact_for_whole_numbers(rows, cols, seed, dtype):
    a, b = whole((rows, cols), seed), whole((rows, cols), seed + 1, dtype)
    inner, distance = svd.compare(a, b)
    assert inner == int((a.long() * b.long()).sum())
    assert distance == math.sqrt(int((a.long() - b.long()).square().sum()))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 80), st.sampled_from([torch.float16, torch.float64]))
def test_the_same_bits_are_told_from_any_others(rows, cols, place, dtype):
    a = whole((rows, cols), 0, dtype)
    b = a.clone()
    assert svd.same_bits(a, b)
    assert svd.same_bits(a.T, b.T.contiguous())
    b.view(-1)[place % b.numel()] += 1
    assert not svd.same_bits(a, b)
    assert not svd.same_bits(a, a.float())


def test_many_blocks_and_views_count_every_entry_once():
    a, b = whole((70_000, 3), 0), whole((70_000, 3), 1)
    expected = int((a.long() * b.long()).sum())
    for x, y in ((a, b), (a.T, b.T), (a.T.contiguous().T, b), (a.T, b.T.contiguous())):
        assert svd.compare(x, y)[0] == expected


def test_distance_comes_from_the_difference_and_keeps_its_digits():
    a = torch.ones(100, 100, dtype=torch.float64)
    assert svd.compare(a, a * (1 + 2.0**-50))[1] == 100 * 2.0**-50


def test_a_matrix_is_at_distance_zero_from_itself():
    a = whole((50, 40), 0)
    assert svd.compare(a, a.clone()) == (float(a.double().square().sum()), 0.0)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scales_whose_squares_leave_the_range_of_float64(scale):
    a = torch.full((3, 3), scale, dtype=torch.float64)
    inner, distance = svd.compare(a, -a)
    assert inner == pytest.approx(-9 * scale**2, rel=1e-14)
    assert distance == pytest.approx(6 * scale, rel=1e-14)


def test_a_huge_matrix_against_a_tiny_one():
    a = torch.full((2, 2), 1e200, dtype=torch.float64)
    inner, distance = svd.compare(a, a * 1e-400 + 1e-200)
    assert inner == pytest.approx(4.0, rel=1e-14)
    assert distance == pytest.approx(2e200, rel=1e-14)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_nan_where_either_holds_nan_or_inf(bad, dtype):
    a, b = torch.ones(3, 3, dtype=dtype), torch.ones(3, 3, dtype=dtype)
    b[1, 1] = bad
    for pair in ((a, b), (b, a), (b, b)):
        assert all(math.isnan(number) for number in svd.compare(*pair))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(30, 20), (3, 300_000), (70_000, 5)])
def test_several_at_once_give_what_each_alone_gives(shape, dtype):
    a, b, c = (whole(shape, seed, dtype) for seed in range(3))
    assert svd.compare_each(a, [b, c, a]) == [svd.compare(a, other) for other in (b, c, a)]


def test_several_of_very_different_scales_do_not_disturb_each_other():
    a = torch.full((4, 4), 1e200, dtype=torch.float64)
    others = [a * 1e-300, -a, a * 1e-400 + 1e-200, a.clone()]
    result = svd.compare_each(a, others)
    assert result == [svd.compare(a, other) for other in others]
    assert result[2][0] == pytest.approx(16.0, rel=1e-14)
    assert result[3] == (math.inf, 0.0)


def test_the_strides_of_either_do_not_change_a_bit():
    a, b = (torch.randn(300, 2000, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert svd.compare(a, b) == svd.compare(a.T.contiguous().T, b) == svd.compare(a, b.T.contiguous().T)


def test_factors_are_compared_with_whole_matrices_and_with_factors_in_one_call():
    a, b = (svd.Factors(whole((6, 2), seed).double(), whole((2, 5), seed + 1).double()) for seed in (0, 5))
    dense = whole((6, 5), 9).double()
    assert svd.compare_each(a, [b, dense]) == [svd.compare(a, b), svd.compare(a, dense)]
    assert svd.compare_each(dense, [a, b]) == [svd.compare(dense, a), svd.compare(dense, b)]


def test_different_shapes_are_refused_with_both_named():
    with pytest.raises(SpectraError, match=r"\(2, 3\) and \(3, 2\)"):
        svd.compare(torch.ones(2, 3), torch.ones(3, 2))


@pytest.mark.parametrize("tensor", [torch.ones(3), torch.ones(2, 2, 2), torch.ones(2, 2, dtype=torch.complex64)])
def test_what_is_no_real_matrix_is_refused(tensor):
    with pytest.raises(SpectraError, match="no real matrix"):
        svd.spectrum(tensor)
