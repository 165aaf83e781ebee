"""Matrices whose numbers are known in closed form, each from its own decomposition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra_cli.metrics import measure, select
from spectra_cli.records import Spectrum
from tests.support.spectra import Array, spectrum_of


def numbers(spectrum: Spectrum) -> dict[str, float]:
    rows = measure(spectrum, None, None, select(["all"]))
    return {name: value for name, value, _ in rows if value is not None}


def orthogonal(n: int) -> Array:
    return np.asarray(np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0])


@pytest.mark.parametrize(
    "matrix", [np.eye(50), 3.0 * orthogonal(50), orthogonal(50)[:, :20]], ids=["I", "3Q", "tall Q"]
)
def test_an_orthogonal_matrix_is_spread_over_all_directions(matrix: Array) -> None:
    result, r = numbers(spectrum_of(matrix)), min(matrix.shape)
    for name in ("stable_rank", "effective_rank", "participation_ratio", "numerical_rank", "alpha_n"):
        assert result[name] == pytest.approx(r, rel=1e-12), name
    assert result["entropy"] == pytest.approx(math.log(r), rel=1e-12)
    assert result["entropy_energy"] == pytest.approx(math.log(r), rel=1e-12)
    assert result["spectral_gap"] == pytest.approx(1.0, rel=1e-12)
    assert result["condition_number"] == pytest.approx(1.0, rel=1e-12)
    assert result["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert result["mp_outliers"] == 0


def test_equal_singular_values_leave_the_fits_of_tails_undefined() -> None:
    result = numbers(Spectrum.of(*[2.0] * 30))
    assert result["alpha_hill"] == math.inf
    assert all(math.isnan(result[name]) for name in ("alpha_clauset", "alpha_tail", "alpha_r2"))


def test_a_matrix_of_rank_one_is_one_direction() -> None:
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=40), rng.normal(size=70)
    result = numbers(spectrum_of(np.outer(u, v)))
    size = float(np.linalg.norm(u) * np.linalg.norm(v))
    for name in ("nuclear_norm", "frobenius_norm", "spectral_norm"):
        assert result[name] == pytest.approx(size, rel=1e-12), name
    for name in ("stable_rank", "effective_rank", "participation_ratio", "numerical_rank"):
        assert result[name] == pytest.approx(1.0, rel=1e-12), name
    assert result["condition_number"] == math.inf
    assert math.isnan(result["alpha"])
    assert math.isnan(result["mp_outliers"])


def test_a_diagonal_matrix_has_its_diagonal_for_a_spectrum() -> None:
    result = numbers(spectrum_of(np.diag([-3.0, 4.0, 0.0])))
    assert result["nuclear_norm"] == pytest.approx(7.0)
    assert result["frobenius_norm"] == pytest.approx(5.0)
    assert result["stable_rank"] == pytest.approx(25 / 16)
    assert result["spectral_gap"] == pytest.approx(4 / 3)
    assert result["condition_number"] == math.inf


def test_a_circulant_matrix_has_the_fourier_transform_of_its_row() -> None:
    row = np.random.default_rng(4).normal(size=64)
    circulant = np.stack([np.roll(row, shift) for shift in range(64)])
    expected, result = np.abs(np.fft.fft(row)), numbers(spectrum_of(circulant))
    assert result["nuclear_norm"] == pytest.approx(expected.sum(), rel=1e-12)
    assert result["spectral_norm"] == pytest.approx(expected.max(), rel=1e-12)
    assert result["frobenius_norm"] == pytest.approx(8.0 * np.linalg.norm(row), rel=1e-12)
    assert result["condition_number"] == pytest.approx(expected.max() / expected.min(), rel=1e-9)


def test_the_hilbert_matrix_has_its_known_condition() -> None:
    i = np.arange(1, 6)
    assert numbers(spectrum_of(1.0 / (i[:, None] + i - 1)))["condition_number"] == pytest.approx(476607.25, rel=1e-7)


def test_an_exact_power_law_has_its_own_exponent() -> None:
    result = numbers(Spectrum.of(*[7.0 * i**-0.3 for i in range(1, 1001)]))
    assert result["alpha"] == pytest.approx(0.3, rel=1e-12)
    assert result["alpha_ols"] == pytest.approx(0.3, rel=1e-12)
    assert result["alpha_r2"] == pytest.approx(1.0, rel=1e-14)
    assert result["alpha_stderr"] == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("name", ["alpha_hill", "alpha_clauset", "alpha_tail"])
def test_the_density_of_an_exact_power_law_has_exponent_one_plus_half_over_alpha(name: str) -> None:
    result = numbers(Spectrum.of(*[i**-0.25 for i in range(1, 4001)]))
    assert result[name] == pytest.approx(1 + 1 / (2 * 0.25), rel=2e-2)


def test_extreme_entries_in_one_matrix_neither_overflow_nor_warn() -> None:
    result = numbers(Spectrum.of(1e30, 1e30, 65504.0, 1e-40))
    assert result["stable_rank"] == 2.0
    assert result["frobenius_norm"] == pytest.approx(math.sqrt(2.0) * 1e30, rel=1e-15)
    assert result["numerical_rank"] == 2.0
