"""Comparisons of two matrices in cases worked out by hand, and the scan's check on its own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra_cli.metrics import violations
from spectra_cli.metrics.pairs import cos_spectrum, cos_weights, sd_variation, sd_variation_rate, stability_bound
from spectra_cli.records import Pair, Spectrum
from tests.support.spectra import PAIRS, diagonal_pair, pair_of


def test_a_matrix_does_not_differ_from_itself() -> None:
    pair = PAIRS["equal"]
    assert (sd_variation(pair), cos_spectrum(pair), stability_bound(pair)) == (0.0, 1.0, 0.0)
    assert cos_weights(pair) == pytest.approx(1.0, abs=1e-15)


def test_rescaling_moves_the_weights_but_neither_the_distribution_nor_the_angles() -> None:
    pair = PAIRS["scaled"]
    assert (sd_variation(pair), cos_spectrum(pair)) == (0.0, 1.0)
    assert cos_weights(pair) == pytest.approx(1.0, abs=1e-15)
    assert stability_bound(pair) > 0


def test_from_one_direction_to_all_is_the_longest_way() -> None:
    r = 1000
    pair = diagonal_pair(Spectrum.of(1.0, *[0.0] * (r - 1)), Spectrum.of(*[1.0] * r))
    assert sd_variation(pair) == pytest.approx(math.sqrt(1 - 1 / r), rel=1e-14)


def test_a_rotation_turns_the_weights_and_leaves_the_spectrum() -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    pair = pair_of(matrix, -matrix)
    assert cos_weights(pair) == pytest.approx(-1.0, abs=1e-14)
    assert cos_spectrum(pair) == pytest.approx(1.0, abs=1e-14)
    assert sd_variation(pair) == pytest.approx(0.0, abs=1e-15)


def test_the_rate_is_the_variation_over_the_steps() -> None:
    pair = Pair(Spectrum.of(1.0, 1.0), Spectrum.of(1.0, 0.0), 1.0, 1.0, steps=1000)
    assert sd_variation_rate(pair) == pytest.approx(math.sqrt(0.5) / 1000, rel=1e-14)


@pytest.mark.parametrize("name", ["unknown steps", "no steps", "steps that restart"])
def test_without_steps_that_advance_there_is_no_rate(name: str) -> None:
    assert sd_variation_rate(PAIRS[name]) is None


def test_a_cosine_carried_past_one_by_rounding_is_put_back() -> None:
    spectrum = Spectrum.of(4.0, 3.0)
    assert cos_weights(Pair(spectrum, spectrum, inner=math.nextafter(25.0, 26.0), distance=0.0)) == 1.0
    assert cos_weights(Pair(spectrum, spectrum, inner=-math.nextafter(25.0, 26.0), distance=10.0)) == -1.0


def test_a_cosine_past_one_by_more_than_rounding_stays_visible() -> None:
    spectrum = Spectrum.of(4.0, 3.0)
    assert cos_weights(Pair(spectrum, spectrum, inner=25.0001, distance=0.0)) == pytest.approx(1.000004, rel=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_real_pairs_violate_nothing(name: str) -> None:
    assert violations(PAIRS[name]) == []


def test_a_difference_that_is_too_small_is_found() -> None:
    pair = pair_of(*np.random.default_rng(1).normal(size=(2, 5, 8)))
    assert "sd_variation" in violations(Pair(pair.a, pair.b, pair.inner, distance=1e-6))[0]


def test_an_inner_product_that_is_too_large_is_found() -> None:
    pair = pair_of(*np.random.default_rng(1).normal(size=(2, 5, 8)))
    for sign in (1, -1):
        result = violations(Pair(pair.a, pair.b, inner=sign * 100.0, distance=pair.distance))
        assert len(result) == 1
        assert "cos_weights" in result[0]


def test_errors_that_the_spectra_declare_are_no_violation() -> None:
    sigma = np.array([1.0, 0.5])
    exact, rough = Spectrum(sigma, 2, 2), Spectrum(sigma + [0.0, 1e-9], 2, 2, error=1e-9)
    assert violations(Pair(exact, rough, inner=1.25, distance=0.0)) == []
    assert violations(Pair(exact, Spectrum(rough.sigma, 2, 2), inner=1.25, distance=0.0)) != []


def test_numbers_that_are_not_numbers_violate_nothing() -> None:
    nan = Spectrum.of(math.nan, math.nan)
    assert violations(Pair(nan, Spectrum.of(1.0, 1.0), math.nan, math.nan)) == []
