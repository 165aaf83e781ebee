"""What rounding leaves in a matrix, and what the error of a spectrum leaves open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spectra_cli import svd
from spectra_cli.metrics import select
from spectra_cli.metrics.precision import numerical_rank, quantisation_floor
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Pair, Spectrum
from tests.support.spectra import Array, spectrum_of


def rounded(matrix: Array, dtype: str) -> torch.Tensor:
    return torch.tensor(matrix).to(getattr(torch, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_gives_a_matrix_no_rank_of_its_own(dtype: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(150, 10)) @ generator.normal(size=(10, 200))
    assert numerical_rank(svd.spectrum(rounded(matrix, dtype))) == 10


def test_where_the_floor_is_unknown_the_arithmetic_alone_counts() -> None:
    constant = svd.spectrum(torch.full((40, 30), 1.1, dtype=torch.bfloat16))
    assert math.isnan(quantisation_floor(constant) or 0.0)
    assert numerical_rank(constant) == 1


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
