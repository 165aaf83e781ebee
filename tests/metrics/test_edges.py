"""Values at the very edges: what is put back into a range and what stays visible, and what an error makes uncertain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.metrics import RankRange, on_random_baseline, select, violations
from spectra_cli.metrics.norms import sd
from spectra_cli.metrics.scale import within
from spectra_cli.metrics.subspaces import cos_left_vectors
from spectra_cli.metrics.uncertainty import uncertain
from spectra_cli.records import Pair, Spectrum


@pytest.mark.parametrize(
    ("value", "low", "high", "result"),
    [
        (1.0 + 5e-13, 0.0, 1.0, 1.0),
        (1.0 + 3e-12, 0.0, 1.0, 1.0 + 3e-12),
        (-5e-13, 0.0, 1.0, 0.0),
        (-3e-12, 0.0, 1.0, -3e-12),
        (100.0 + 5e-11, 0.0, 100.0, 100.0),
        (100.0 + 3e-10, 0.0, 100.0, 100.0 + 3e-10),
        (-100.0 - 5e-11, -100.0, 0.0, -100.0),
        (-100.0 - 3e-10, -100.0, 0.0, -100.0 - 3e-10),
        (0.5 - 8e-13, 0.5, 2.0, 0.5),
        (0.5 - 1.5e-12, 0.5, 2.0, 0.5 - 1.5e-12),
        (2.0 + 1.5e-12, 0.5, 2.0, 2.0),
        (0.25, 0.0, 1.0, 0.25),
    ],
)
def test_rounding_is_put_back_and_a_violation_stays(value: float, low: float, high: float, result: float) -> None:
    assert within(value, low, high) == result


def test_cosines_of_vectors_are_clipped_by_rounding_only() -> None:
    pair = Pair(Spectrum.of(2.0, 1.0), Spectrum.of(2.0, 1.0), 1.0, 0.0, left=np.diag([1.0 + 5e-13, -1.01]))
    result = cos_left_vectors(pair)
    assert result is not None
    assert result.dtype == np.float32
    assert result.tolist() == [1.0, np.float32(1.01)]
    lost = cos_left_vectors(replace(pair, left=np.full((2, 2), np.nan)))
    assert lost is not None
    assert lost.dtype == np.float32
    assert np.isnan(lost).all()


def test_a_zero_matrix_has_a_distribution_of_nan_in_float32() -> None:
    result = sd(Spectrum.of(0.0, 0.0))
    assert result.dtype == np.float32
    assert np.isnan(result).all()


def pair(a: Spectrum, b: Spectrum, distance: float, inner: float | None = None) -> Pair:
    return Pair(a, b, float(a.sigma @ b.sigma) if inner is None else inner, distance, 10)


def test_a_distance_too_short_for_the_spectra_is_a_violation_and_one_just_long_enough_is_none() -> None:
    a, b = Spectrum.of(3.0, 1.0), Spectrum.of(2.0, 2.0)
    variation = float(np.linalg.norm(a.sigma / 4 - b.sigma / 4))
    enough = variation * 4 / (1 + np.sqrt(2))
    assert violations(pair(a, b, enough * (1 + 1e-8))) == []
    assert violations(pair(a, b, enough * 0.999)) != []
    assert violations(pair(a, b, enough * (1 - 1e-7))) != []


def test_weights_closer_than_their_spectra_are_a_violation() -> None:
    a, b = Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0)
    assert violations(pair(a, b, 10.0)) == []
    assert violations(pair(a, b, 10.0, inner=20.0 * (1 + 1e-6))) != []
    wide = [replace(side, error=1e-3) for side in (a, b)]
    assert violations(pair(*wide, 10.0, inner=20.0 * (1 + 1e-6))) == []
    assert violations(pair(*wide, 10.0, inner=20.2)) != []


def test_one_large_value_or_a_wrong_bulk_is_not_the_random_baseline() -> None:
    random = np.linalg.svd(np.random.default_rng(0).normal(size=(200, 300)), compute_uv=False)
    at = lambda sigma: Spectrum(np.sort(sigma)[::-1], 200, 300)  # noqa: E731
    assert on_random_baseline(at(random))
    assert on_random_baseline(at(random * 1e-9))
    stretched = random.copy()
    stretched[0] *= 1.06
    assert not on_random_baseline(at(stretched))
    assert not on_random_baseline(at(random**1.2))


def test_a_range_of_ranks_that_cannot_be_is_told_with_its_form() -> None:
    for text in ("5", "a:b", "9:2", "1:2:3", "0.5:0.1"):
        with pytest.raises(SpectraError) as refused:
            RankRange.parse(text)
        assert refused.value.hint == ("give a:b, ranks as in 2:100 or shares of all as in 0.05:0.5, the smaller first")


def test_names_near_an_unknown_one_are_three_and_in_order() -> None:
    with pytest.raises(SpectraError) as refused:
        select(["alpha_clauset_"])
    assert str(refused.value).endswith("; the closest are alpha_clauset_n, alpha_clauset, alpha_clauset_ks")


NEAR = replace(Spectrum.of(1.0, 0.6, 0.3, 0.1), error=1e-11)


@pytest.mark.parametrize(
    ("moves", "is_uncertain"),
    [
        ((1e-9, 0.0, 0.0, 0.0), True),
        ((0.0, 1e-9, -1e-9, 0.0), True),
        ((0.0, 1e-4, 0.0, 0.0), False),
    ],
)
def test_a_small_variation_is_uncertain_whichever_values_moved(moves: tuple[float, ...], is_uncertain: bool) -> None:
    other = replace(Spectrum(NEAR.sigma + np.array(moves), 4, 4), error=1e-11)
    for suffix, argument in (("final", "reference"), ("prev", "previous")):
        result = uncertain(NEAR, select(["all"]), **{argument: pair(NEAR, other, 1e-9)})
        assert (f"sd_variation_{suffix}" in result) == is_uncertain


def test_the_error_of_the_other_matrix_counts_too() -> None:
    mine, theirs = replace(NEAR, error=0.0), replace(Spectrum(NEAR.sigma * [1, 1, 1, 1.0001], 4, 4), error=1e-6)
    assert "sd_variation_prev" in uncertain(mine, select(["all"]), previous=pair(mine, theirs, 1e-5))
    assert "sd_variation_prev" not in uncertain(
        mine, select(["all"]), previous=pair(mine, replace(theirs, error=0.0), 1e-5)
    )


def test_what_is_not_uncertain_alone_is_not_named_for_a_pair() -> None:
    other = replace(Spectrum(NEAR.sigma + 1e-9, 4, 4), error=1e-11)
    result = uncertain(NEAR, select(["all"]), previous=pair(NEAR, other, 2e-9))
    assert all(name.endswith(("_prev", "_rate")) for name in result)


def test_a_pair_with_nan_leaves_nothing_uncertain() -> None:
    lost = replace(NEAR, sigma=np.full(4, np.nan))
    assert uncertain(NEAR, select(["all"]), previous=pair(NEAR, lost, float("nan"), inner=float("nan"))) == ()
    assert uncertain(lost, select(["all"]), previous=pair(lost, NEAR, float("nan"), inner=float("nan"))) == ()


def test_the_range_of_ranks_counts_in_what_is_uncertain() -> None:
    spectrum = replace(Spectrum.of(*np.geomspace(1, 0.5, 20), 1e-9), error=1e-10)
    assert "alpha" in uncertain(spectrum, {"alpha"})
    assert uncertain(spectrum, {"alpha"}, alpha_range=RankRange(1, 20)) == ()
