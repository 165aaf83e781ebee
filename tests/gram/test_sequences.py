"""Merged sequences and their components from inner products alone, against weights that are really merged."""

import numpy as np
import pytest

from spectra_cli.gram import components, distances, merged, moving_average, origin_at, update_gram

COUNT = 20


@pytest.fixture
def points():
    return np.random.default_rng(3).normal(size=(COUNT, 300)).cumsum(axis=0)


def share(gram, window=1):
    return components(merged(gram, moving_average(len(gram), window))).shares[0]


def brownian(count):
    steps = np.arange(count)
    return np.minimum(steps[:, None], steps[None, :]).astype(float)


@pytest.mark.parametrize(("window", "limit"), [(1, 0.611), (3, 0.694), (5, 0.768), (10, 0.921)])
def test_averaging_raises_the_share_of_a_walk_to_its_known_limits(window, limit):
    assert share(brownian(COUNT), window) == pytest.approx(limit, abs=0.0005)


@pytest.mark.parametrize(("window", "limit"), [(1, 0.053), (3, 0.185), (5, 0.342), (10, 0.617)])
def test_averaging_raises_the_share_of_white_noise_to_its_known_limits(window, limit):
    assert share(np.eye(COUNT), window) == pytest.approx(limit, abs=0.0005)


def test_a_long_walk_has_the_share_of_brownian_motion():
    assert share(brownian(100)) == pytest.approx(6 / np.pi**2, abs=1e-3)


@pytest.mark.parametrize("window", [2, 5, 10])
def test_neighbouring_merged_updates_of_a_walk_have_the_cosine_of_their_overlap(window):
    updates = update_gram(merged(brownian(COUNT), moving_average(COUNT, window)))
    assert updates[1, 0] / updates[0, 0] == pytest.approx(1 - 1 / window)


def test_merged_inner_products_are_those_of_merged_points(points):
    weights = moving_average(COUNT, 4)
    np.testing.assert_allclose(merged(points @ points.T, weights), (weights @ points) @ (weights @ points).T)


def test_components_are_those_of_a_singular_value_decomposition_of_the_points(points):
    centred = points - points.mean(axis=0)
    left, sigma, right = np.linalg.svd(centred, full_matrices=False)
    found = components(points @ points.T)
    np.testing.assert_allclose(found.variances[:5], sigma[:5] ** 2, rtol=1e-9)
    np.testing.assert_allclose(np.abs(found.coordinates[:, :5]), np.abs(left * sigma)[:, :5], rtol=1e-6, atol=1e-6)
    directions = found.directions.T @ points
    np.testing.assert_allclose(np.abs(directions[:5] @ right[:5].T), np.eye(5), atol=1e-8)
    assert found.coordinates[-1, 0] > found.coordinates[0, 0]


def test_points_that_are_all_equal_have_no_share():
    found = components(np.ones((4, 4)))
    assert np.isnan(found.shares).all()
    assert not found.directions.any()


def test_the_origin_does_not_change_what_is_between_points(points):
    gram = points @ points.T
    moved = origin_at(gram, 7)
    assert moved[7, 7] == pytest.approx(0)
    np.testing.assert_allclose(distances(moved), distances(gram), atol=1e-5)
    np.testing.assert_allclose(update_gram(moved), update_gram(gram), atol=1e-8)
