"""What shapes and algebra give for nothing: attention against the MLP, a peak of a constant rate."""

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.stability.findings import BY_NOISE
from spectra_cli.studies.stability.noise import chance_of_constant, rises_and_falls
from spectra_cli.studies.stability.shapes import attention_over_mlp, variation_of_shape
from tests.studies.stability.test_nulls import correlated, uneven_steps

WIDTH = 32
SHAPES = {"q": (1, 1), "k": (1, 1), "v": (1, 1), "o": (1, 1), "up": (4, 1), "down": (1, 4)}


def shares(matrix):
    sigma = np.linalg.svd(matrix, compute_uv=False)
    return sigma / sigma.sum()


def updated(random, layers, attention_moves):
    """Return the rates of Gaussian matrices that are updated six times, attention's so many times as far."""
    lines = []
    for layer in range(layers):
        for role, (tall, wide) in SHAPES.items():
            matrix = random.standard_normal((tall * WIDTH, wide * WIDTH))
            for order in range(6):
                size = 0.02 / (1 + abs(order - 2)) * (attention_moves if role in "qkvo" else 1)
                moved = matrix + size * random.standard_normal(matrix.shape)
                rate = float(np.linalg.norm(shares(moved) - shares(matrix)))
                rows, cols = matrix.shape
                lines.append((f"{layer}.{role}", role, rows, cols, order, rate))
                matrix = moved
    frame = pd.DataFrame(lines, columns=["matrix", "role", "rows", "cols", "order", "sd_variation_rate"])
    attention = frame["role"].isin(list("qkvo"))
    return attention_over_mlp(frame[attention], frame[~attention])


def test_what_shapes_give_is_what_gaussian_matrices_do():
    random = np.random.default_rng(0)
    for rows, cols in ((200, 200), (400, 100), (60, 300)):
        matrix = random.standard_normal((rows, cols))
        moves = [shares(matrix + 1e-3 * random.standard_normal((rows, cols))) - shares(matrix) for _ in range(4)]
        assert np.mean(np.linalg.norm(moves, axis=1)) == pytest.approx(1e-3 * variation_of_shape(rows, cols), rel=0.1)


@pytest.mark.slow
def test_equal_relative_updates_make_no_difference_and_larger_ones_do():
    runs = [np.random.default_rng(seed) for seed in range(40)]
    assert sum(updated(random, 4, 1.0).beyond for random in runs) <= 2
    assert sum(updated(random, 4, 1.7).beyond for random in runs) >= 38


def test_of_few_matrices_there_is_no_telling():
    assert not updated(np.random.default_rng(0), 1, 3.0).beyond


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_noise_about_a_constant_does_not_rise_and_fall_tenfold(correlation):
    random = np.random.default_rng(0)
    assert not any(rises_and_falls(0.3 * correlated(random, 40, correlation)) for _ in range(1000))


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("count", [14, 40])
def test_a_constant_rate_has_no_course(count, correlation):
    claims = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        x = np.log(uneven_steps(random, count))
        claims += chance_of_constant(x, 0.15 * correlated(random, len(x), correlation)) <= BY_NOISE
    assert claims <= 7
