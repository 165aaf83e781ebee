"""What σ's error makes uncertain and what it excuses, held to the definition: moved, measured, compared."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from spectra_cli.metrics import violations
from spectra_cli.metrics.norms import nuclear_norm
from spectra_cli.metrics.pairs import cos_weights, sd_variation
from spectra_cli.metrics.power_law import alpha_hill
from spectra_cli.metrics.ranks import condition_number, entropy, spectral_gap, stable_rank
from spectra_cli.metrics.subspaces import cos_left_vectors
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Pair, Spectrum

OF_ONE_MATRIX = {
    "nuclear_norm": nuclear_norm,
    "stable_rank": stable_rank,
    "entropy": entropy,
    "spectral_gap": spectral_gap,
    "condition_number": condition_number,
    "alpha_hill": alpha_hill,
}
DIRECTIONS = np.array([[1, 1, 1, 1, 1], [-1, -1, -1, -1, -1], [1, -1, 1, -1, 1], [-1, 1, -1, 1, -1]])


def moved(spectrum: Spectrum, direction: np.ndarray) -> Spectrum:
    sigma = np.maximum(spectrum.sigma + direction * spectrum.error, 0.0)
    return replace(spectrum, sigma=np.sort(sigma)[::-1], error=3 * spectrum.error)


def changed(before: float, after: float) -> bool:
    """Whether two numbers of everyday size differ by five in the fourth digit."""
    return abs(after - before) > 5e-4 * abs(before)


@pytest.mark.parametrize("seed", range(60))
def test_a_number_of_one_matrix_is_uncertain_where_one_of_four_moves_changes_its_third_digit(seed: int) -> None:
    random = np.random.default_rng(seed)
    sigma = np.sort(random.uniform(0.1, 1.0, 5))[::-1]
    spectrum = replace(Spectrum(sigma, 5, 5), error=float(10 ** random.uniform(-5, -2.5)))
    expected = {
        name
        for name, function in OF_ONE_MATRIX.items()
        if any(changed(function(spectrum), function(moved(spectrum, direction))) for direction in DIRECTIONS)
    }
    assert set(uncertain(spectrum, set(OF_ONE_MATRIX))) == expected


@pytest.mark.parametrize("seed", range(40))
def test_a_variation_is_uncertain_where_opposite_moves_of_its_two_spectra_change_its_third_digit(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = np.sort(random.uniform(0.1, 1.0, 5))[::-1]
    a, b = (
        replace(Spectrum(np.sort(sigma)[::-1], 5, 5), error=float(10 ** random.uniform(-9, -6)))
        for sigma in (first, first + random.normal(size=5) * 1e-3)
    )
    pair = Pair(a, b, float(a.sigma @ b.sigma), 1.0)
    before = sd_variation(pair)
    after = [sd_variation(replace(pair, a=moved(a, direction), b=moved(b, -direction))) for direction in DIRECTIONS]
    expected = ("sd_variation_final",) if any(changed(before, value) for value in after) else ()
    assert uncertain(a, {"sd_variation_final"}, reference=pair) == expected


def test_one_value_alone_can_be_uncertain() -> None:
    assert uncertain(replace(Spectrum.of(1.0), error=1e-3), {"nuclear_norm"}) == ("nuclear_norm",)


def test_a_number_that_an_error_defines_is_uncertain() -> None:
    assert uncertain(replace(Spectrum.of(1.0, 0.0), error=1e-2), {"spectral_gap"}) == ("spectral_gap",)


def test_a_number_of_one_matrix_near_zero_does_not_count() -> None:
    assert uncertain(replace(Spectrum.of(1.0, 1e-13), error=1e-13), {"entropy"}) == ()
    assert uncertain(replace(Spectrum.of(1.0, 1e-8), error=1e-8), {"entropy"}) == ("entropy",)


def slack_of(spectrum: Spectrum, largest: float) -> float:
    return max(spectrum.error, largest * 2.0**-52 * math.sqrt(max(spectrum.rows, spectrum.cols)))


SIDES = [
    Spectrum(np.array([0.3, 0.2, 0.1]), 3, 3, error=1e-4),
    Spectrum(np.array([0.3, 0.2, 0.1]), 5000, 3),
    Spectrum(np.array([30.0, 20.0, 10.0]), 3, 5000, error=2e-3),
]


@pytest.mark.parametrize("side", SIDES, ids=["small", "rounding", "large"])
@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_variation_is_excused_by_the_errors_of_both_spectra_and_by_no_more(side: Spectrum, share: float) -> None:
    """Under weights that have not moved: (1 + √r) times the sum of √r·error/‖σ‖₁."""
    total = float(side.sigma.sum())
    allowed = (1 + math.sqrt(3)) * 2 * slack_of(side, float(side.sigma[0])) * math.sqrt(3) / total
    step = share * allowed * total / math.sqrt(2)
    other = replace(side, sigma=side.sigma + step * np.array([1.0, 0.0, -1.0]))
    pair = Pair(side, other, float(side.sigma @ other.sigma), 0.0)
    assert sd_variation(pair) == pytest.approx(share * allowed, rel=1e-2, abs=0)
    assert (violations(pair) == []) == (share < 1)


@pytest.mark.parametrize("side", SIDES, ids=["small", "rounding", "large"])
@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_cosine_is_excused_by_the_errors_of_both_spectra_and_by_no_more(side: Spectrum, share: float) -> None:
    """Of two matrices with one spectrum: 1e-12 and the sum of 2·√r·error/‖σ‖₂."""
    norm = float(np.linalg.norm(side.sigma))
    allowed = 1e-12 + 2 * 2 * slack_of(side, float(side.sigma[0])) * math.sqrt(3) / norm
    pair = Pair(side, side, norm * norm * (1 + share * allowed), 0.0)
    assert (violations(pair) == []) == (share < 1)
    assert (cos_weights(pair) == 1.0) == (share < 1)


def test_the_bound_itself_is_excused_by_a_part_in_a_billion() -> None:
    a, b = Spectrum.of(3.0, 1.0), Spectrum.of(2.0, 2.0)
    enough = float(np.linalg.norm(a.sigma / 4 - b.sigma / 4)) * 4 / (1 + math.sqrt(2))
    for share, excused in ((0.5e-9, True), (1.5e-9, False)):
        pair = Pair(a, b, float(a.sigma @ b.sigma), enough * (1 - share))
        assert (violations(pair) == []) == excused


def test_cosines_of_vectors_of_a_matrix_with_nan_are_nan_in_float32() -> None:
    lost = Spectrum.of(math.nan, math.nan)
    result = cos_left_vectors(Pair(lost, lost, math.nan, math.nan, left=np.eye(2)))
    assert result is not None
    assert result.dtype == np.float32
    assert np.isnan(result).all()
