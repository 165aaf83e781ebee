"""What holds for every metric and every matrix: degree, range, invariance, and the inequalities of a pair."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra_cli.metrics import METRICS, measure, violations
from spectra_cli.records import Pair, Spectrum
from tests.support.spectra import Array, pair_of, spectrum_of

NAMES = frozenset(metric.name for metric in METRICS)
BY_NAME = {metric.name: metric for metric in METRICS}
Rows = dict[str, float | Array]

values = st.one_of(st.just(0.0), st.floats(1e-150, 1e150), st.floats(0.1, 10.0), st.sampled_from([1.0, 1e-16, 5e-324]))
spectra = st.lists(values, min_size=1, max_size=12).map(lambda sigma: Spectrum.of(*sigma))
shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))


def measured(spectrum: Spectrum, reference: Pair | None = None, previous: Pair | None = None) -> Rows:
    with np.errstate(all="raise", under="ignore"):
        rows = list(measure(spectrum, reference, previous, NAMES))
    return {name: value if vector is None else vector.astype(np.float64) for name, value, vector in rows}


def measured_pair(a: Array, b: Array) -> Rows:
    pair = pair_of(a, b, vectors=3)
    return measured(pair.a, pair, pair)


def same(left: Rows, right: Rows, tolerance: float, factor: Callable[[str], float] = lambda _: 1.0) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        expected = np.asarray(right[name]) * factor(name)
        assert value == pytest.approx(expected, rel=tolerance, abs=tolerance, nan_ok=True), name


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Array, Array]:
    """Two matrices of one shape: unrelated, or one a small step from the other; of full rank or not."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a, b = generator.normal(size=(2, *draw(shapes)))
    step = draw(st.sampled_from([None, 1.0, 1e-3, 1e-8, 0.0]))
    rank = draw(st.sampled_from([1, 2, 8]))
    left, weights, right = np.linalg.svd(a, full_matrices=False)
    a = (left[:, :rank] * weights[:rank]) @ right[:rank]
    return a, b if step is None else a + step * b


@given(spectra)
def test_every_value_lies_in_its_stated_range(spectrum: Spectrum) -> None:
    for name, value in measured(spectrum).items():
        low, high = BY_NAME[name].limits(spectrum.sigma.size)
        array = np.atleast_1d(value)
        assert ((low <= array) & (array <= high) | np.isnan(array)).all(), f"{name} = {value} is not in {low}…{high}"


@given(matrices())
def test_every_value_of_a_pair_lies_in_its_stated_range(ab: tuple[Array, Array]) -> None:
    for name, value in measured_pair(*ab).items():
        low, high = BY_NAME[name].limits(min(ab[0].shape))
        array = np.atleast_1d(value)
        assert ((low <= array) & (array <= high) | np.isnan(array)).all(), f"{name} = {value} is not in {low}…{high}"


moderate = spectra.filter(lambda s: s.sigma[s.sigma > 0].min(initial=1.0) > 1e-130 and s.sigma[0] < 1e130)


@given(moderate, st.integers(-60, 60))
def test_scaling_by_a_power_of_two_changes_nothing_but_the_scale(spectrum: Spectrum, power: int) -> None:
    scaled = Spectrum(spectrum.sigma * 2.0**power, spectrum.rows, spectrum.cols)
    before, after = measured(spectrum), measured(scaled)
    for metric in METRICS:
        if metric.name in before and metric.degree is not None:
            expected = np.asarray(before[metric.name]) * 2.0 ** (metric.degree * power)
            assert after[metric.name] == pytest.approx(expected, rel=1e-14, nan_ok=True), metric.name


@given(matrices(), st.floats(1e-6, 1e6))
def test_scaling_both_matrices_follows_the_stated_degree(ab: tuple[Array, Array], c: float) -> None:
    a, b = ab
    pair = pair_of(a, b, vectors=2)
    sides = [Spectrum(c * side.sigma, side.rows, side.cols) for side in (pair.a, pair.b)]
    scaled = replace(pair, a=sides[0], b=sides[1], inner=c * c * pair.inner, distance=c * pair.distance)
    before, after = measured(pair.a, pair, pair), measured(scaled.a, scaled, scaled)
    for metric in METRICS:
        if metric.against and metric.degree is not None:
            expected = np.asarray(before[metric.name]) * c**metric.degree
            assert after[metric.name] == pytest.approx(expected, rel=1e-9, abs=1e-13), metric.name


@given(matrices(), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_rotating_or_transposing_both_matrices_changes_no_comparison(ab: tuple[Array, Array], seed: int) -> None:
    a, b = ab
    generator = np.random.default_rng(seed)
    q, p = (np.linalg.qr(generator.normal(size=(n, n)))[0] for n in a.shape)
    before = comparisons(measured_pair(a, b))
    same(before, comparisons(measured_pair(q @ a @ p, q @ b @ p)), 1e-10)
    same(before, comparisons(measured_pair(a.T, b.T)), 1e-10)
    rows, cols = (generator.permutation(n) for n in a.shape)
    same(before, comparisons(measured_pair(a[rows][:, cols], b[rows][:, cols])), 1e-10)


def comparisons(rows: Rows) -> Rows:
    """All but those of singular vectors, which are not unique: `test_vectors.py` has them where they are."""
    return {name: value for name, value in rows.items() if BY_NAME[name].against and not BY_NAME[name].needs}


@pytest.mark.parametrize("shape", [(20, 20), (12, 40), (40, 12), (1, 9), (9, 1)])
def test_rotating_or_transposing_a_matrix_changes_none_of_its_numbers(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(5)
    matrix = generator.normal(size=shape)
    q, p = (np.linalg.qr(generator.normal(size=(n, n)))[0] for n in shape)
    before = measured(spectrum_of(matrix))
    same(before, measured(spectrum_of(q @ matrix @ p)), 1e-8)
    same(before, measured(spectrum_of(matrix.T)), 1e-8)
    same(before, measured(spectrum_of(generator.permutation(matrix))), 1e-8)


@given(matrices())
def test_the_inequalities_hold_for_every_pair(ab: tuple[Array, Array]) -> None:
    a, b = ab
    pair = pair_of(a, b)
    rows = measured(pair.a, pair, pair)
    assert rows["sd_variation_prev"] <= rows["stability_bound_prev"] * (1 + 1e-9) + 1e-13
    assert rows["cos_spectrum_final"] >= np.abs(rows["cos_weights_final"]) - 1e-12
    assert np.abs(pair.a.sigma - pair.b.sigma).max() <= np.linalg.norm(a - b, 2) * (1 + 1e-9) + 1e-13
    assert violations(pair) == []


@given(spectra, st.sampled_from([math.nan, math.inf]), st.sampled_from(["spectrum", "a", "b"]))
def test_a_matrix_that_is_not_finite_gives_nan_everywhere(spectrum: Spectrum, bad: float, where: str) -> None:
    broken = Spectrum.of(*[bad] * spectrum.sigma.size)
    pair = Pair(broken if where != "b" else spectrum, broken if where == "b" else spectrum, bad, bad, steps=10)
    pair = replace(pair, left=np.full((2, 2), bad), right=np.full((2, 2), bad))
    rows = measured(replace(broken, shuffled=broken.sigma), pair, pair)
    assert rows.keys() == NAMES
    for name, value in rows.items():
        assert np.isnan(value).all(), name
