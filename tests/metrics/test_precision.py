"""What rounding leaves in a matrix, and what the error of a spectrum leaves open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spectra_cli.metrics import select
from spectra_cli.metrics.precision import numerical_rank, quantisation_floor
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Pair, Spectrum
from tests.support.spectra import Array, spectrum_of

DTYPES = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def rounded(matrix: Array, dtype: str) -> Array:
    return torch.tensor(matrix).to(getattr(torch, dtype)).double().numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1.37, 0.02, 1e-3])
@pytest.mark.parametrize("shape", [(120, 120), (60, 400)])
def test_the_floor_is_the_norm_of_real_rounding(dtype: str, scale: float, shape: tuple[int, int]) -> None:
    """At 0.02 and below most entries are subnormal in float8, and at 1e-3 all are 0 in one: then nothing is left."""
    matrix = scale * np.random.default_rng(0).normal(size=shape)
    stored = rounded(matrix, dtype)
    floor = quantisation_floor(replace(spectrum_of(stored), dtype=dtype))
    assert floor is not None
    if np.abs(stored).sum() > 0.5 * np.abs(matrix).sum():
        assert np.linalg.norm(stored - matrix, 2) == pytest.approx(floor, rel=0.08)


@pytest.mark.parametrize("dtype", ["int8", "float8_e8m0fnu", "unheard of"])
def test_a_dtype_without_a_significand_has_no_floor(dtype: str) -> None:
    assert quantisation_floor(replace(Spectrum.of(1.0, 0.5), dtype=dtype)) is None


def test_a_floor_lies_beneath_what_was_stored_exactly() -> None:
    spectrum = Spectrum.of(2.0, 1.0, 0.5)
    assert quantisation_floor(replace(spectrum, dtype="float16")) == pytest.approx(
        2**13 * (quantisation_floor(replace(spectrum, dtype="float32")) or 0), rel=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_rounding_gives_a_matrix_little_rank_of_its_own(dtype: str) -> None:
    """None but for the few directions in which the errors of a matrix of low rank, not being independent, add up."""
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(150, 10)) @ generator.normal(size=(10, 200))
    result = numerical_rank(replace(spectrum_of(rounded(matrix, dtype)), dtype=dtype))
    assert 10 <= result <= 20
    assert numerical_rank(replace(spectrum_of(matrix), dtype=dtype)) == 10


def test_in_float64_the_rank_is_numpys() -> None:
    matrix = np.random.default_rng(2).normal(size=(30, 12)) @ np.diag([1.0] * 9 + [1e-12, 1e-15, 1e-16])
    assert numerical_rank(spectrum_of(matrix)) == np.linalg.matrix_rank(matrix)


def test_a_spectrum_without_error_leaves_nothing_open() -> None:
    assert uncertain(Spectrum.of(1.0, 0.5, 1e-12), select(["all"])) == ()


def test_an_error_near_the_smallest_value_opens_what_rests_on_it() -> None:
    spectrum = replace(Spectrum.of(*np.geomspace(1, 1e-9, 40)), error=1e-12)
    result = uncertain(spectrum, select(["all"]))
    assert "condition_number" in result
    assert not {"sd", "nuclear_norm", "stable_rank", "entropy", "alpha", "sd_variation_prev"} & set(result)


def test_a_large_error_opens_nearly_everything() -> None:
    result = uncertain(replace(Spectrum.of(1.0, 0.9, 0.5, 0.1), error=0.05), select(["all"]))
    assert {"sd", "nuclear_norm", "stable_rank", "entropy", "alpha", "spectral_gap"} <= set(result)
    assert "sigma_error" not in result


def test_an_error_that_may_make_a_value_zero_opens_its_ratio() -> None:
    assert uncertain(replace(Spectrum.of(1.0, 1e-10), error=1e-10), {"condition_number"}) == ("condition_number",)


def test_a_matrix_that_is_not_finite_leaves_nothing_open() -> None:
    assert uncertain(replace(Spectrum.of(math.nan), error=1.0), select(["all"])) == ()


def test_what_is_undefined_either_way_is_not_open() -> None:
    names = {"alpha", "alpha_clauset", "spectral_gap", "sigma_error"}
    assert uncertain(replace(Spectrum.of(1.0), error=1e-3), names) == ()


def test_what_an_error_makes_infinite_is_open_and_what_stays_so_is_not() -> None:
    names = {"condition_number"}
    assert uncertain(replace(Spectrum.of(1.0, 1e-12), error=1e-12), names) == ("condition_number",)
    assert uncertain(replace(Spectrum.of(1.0, 0.0), error=1e-20), names) == ()


def pair_of(a: Spectrum, b: Spectrum) -> Pair:
    return Pair(a, b, float(a.sigma @ b.sigma), float(np.linalg.norm(a.sigma - b.sigma)), 10)


def test_a_variation_no_larger_than_the_errors_is_open_and_a_larger_one_is_not() -> None:
    near, far = (replace(Spectrum.of(1.0 + move, 0.5, 0.25 - move), error=1e-12) for move in (1e-10, 1e-3))
    spectrum = replace(Spectrum.of(1.0, 0.5, 0.25), error=1e-12)
    names = {"sd_variation_prev", "stable_rank", "cos_spectrum_prev"}
    assert uncertain(spectrum, names, previous=pair_of(spectrum, near)) == ("sd_variation_prev",)
    assert uncertain(spectrum, names, previous=pair_of(spectrum, far)) == ()
    assert uncertain(spectrum, names, reference=pair_of(spectrum, spectrum)) == ()
