"""What storing leaves in a matrix, against real rounding."""

import math

import numpy as np
import pytest
import torch

from spectra_cli.svd import Factors, spectrum
from spectra_cli.svd.rounding import FORMATS, rounding_norm, rounding_norms

NARROW = [name for name in FORMATS if name != "float64"]


def share(matrix, dtype):
    """The norm of the real errors over what is expected."""
    stored = torch.from_numpy(matrix).to(getattr(torch, dtype))
    return np.linalg.norm(stored.double().numpy() - matrix, 2) / rounding_norm(stored)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("scale", [1.0, 1.37, 0.02])
def test_normal_entries(dtype, scale):
    assert 0.7 <= share(scale * np.random.default_rng(0).normal(size=(120, 90)), dtype) <= 1.05


KINDS = {
    "a few large rows": lambda r: r.normal(size=(99, 80)) * np.where(np.arange(99) < 3, 10, 1)[:, None],
    "one large column": lambda r: r.normal(size=(99, 80)) * np.where(np.arange(80) < 1, 100, 1),
    "rows of all sizes": lambda r: r.normal(size=(99, 80)) * np.exp(r.normal(size=(99, 1))),
    "heavy tails": lambda r: r.standard_t(3, (99, 80)),
    "few entries": lambda r: r.normal(size=(99, 80)) * (r.random((99, 80)) < 0.05),
    "around one": lambda r: 1 + 0.1 * r.normal(size=(99, 80)),
    "low rank": lambda r: r.normal(size=(99, 4)) @ r.normal(size=(4, 80)),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_are_not_alike(kind, dtype):
    assert 0.35 <= share(KINDS[kind](np.random.default_rng(1)), dtype) <= 1.1


@pytest.mark.parametrize("entries", [1.0, 1.1, 1 + 1e-4 * np.random.default_rng(2).normal(size=(20, 30))])
def test_entries_within_one_spacing_say_nothing(entries):
    assert math.isnan(rounding_norm(torch.from_numpy(entries * np.ones((20, 30))).bfloat16()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float8_e5m2])
def test_it_is_of_the_entries_and_neither_of_their_strides_nor_of_their_scale(dtype):
    matrix = torch.randn(70, 50, generator=torch.Generator().manual_seed(3)).to(dtype)
    norm = rounding_norm(matrix)
    assert rounding_norm(matrix.T.contiguous().T) == norm
    assert rounding_norm(matrix.T) == pytest.approx(norm, rel=1e-6)
    assert rounding_norm((matrix.double() * 4).to(dtype)) == 4 * norm


def test_over_many_blocks_it_is_that_of_the_whole():
    matrix = torch.randn(40, 60, generator=torch.Generator().manual_seed(4)).half()
    assert rounding_norm(matrix.repeat(1, 2000)) == pytest.approx(
        rounding_norm(matrix.repeat(1, 2000).T.contiguous()), rel=1e-6
    )


@pytest.mark.parametrize("scale", [1e-310, 1e-150, 1e150, 1e300])
def test_float64_at_its_ends(scale):
    assert rounding_norm(torch.from_numpy(np.random.default_rng(5).normal(size=(9, 8)) * scale)) > 0


@pytest.mark.parametrize(("entry", "norm"), [(0.0, 0.0), (math.nan, math.nan), (math.inf, math.nan)])
def test_nothing_and_what_is_no_number(entry, norm):
    assert rounding_norm(torch.full((3, 4), entry).half()) == pytest.approx(norm, nan_ok=True)


@pytest.mark.parametrize("dtype", FORMATS)
def test_one_entry_that_is_no_number_among_many_leaves_none(dtype):
    matrix = torch.randn(9, 70, generator=torch.Generator().manual_seed(6)).to(getattr(torch, dtype))
    matrix[5, 3] = math.nan
    assert math.isnan(rounding_norm(matrix))


def test_a_first_row_of_one_number_does_not_speak_for_the_others():
    matrix = torch.randn(9, 70, generator=torch.Generator().manual_seed(7)).half()
    whole = rounding_norm(matrix.index_fill(0, torch.tensor([8]), 1.0))
    matrix[0] = 1.0
    assert rounding_norm(matrix) == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_that_of_a_matrix_does_not_depend_on_those_beside_it(dtype):
    scales = torch.tensor([1e-3, 1.0, 1e3, 0.0])[:, None, None]
    matrices = (torch.randn(4, 64, 96, generator=torch.Generator().manual_seed(8)) * scales).to(getattr(torch, dtype))
    many = matrices.repeat(20, 1, 1)
    assert rounding_norms(many) == [rounding_norm(matrix) for matrix in many]


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e8m0fnu])
def test_a_dtype_without_a_significand_has_none(dtype):
    assert rounding_norm(torch.ones(3, 4).to(dtype)) is None


def test_that_of_factors_is_the_norm_of_their_real_errors():
    random = np.random.default_rng(6)
    b, a = random.normal(size=(90, 8)), random.normal(size=(8, 120))
    rounded = Factors(torch.from_numpy(b).bfloat16(), torch.from_numpy(a).bfloat16(), 2.0)
    errors = rounded.product().numpy() - 2 * b @ a
    assert 0.4 <= np.linalg.norm(errors, 2) / spectrum(rounded).rounding <= 1.0
