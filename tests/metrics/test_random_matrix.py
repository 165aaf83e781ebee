"""What stands out of noise, and what is nothing but noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import airy

from spectra_cli.metrics import on_random_baseline
from spectra_cli.metrics.random_matrix import ONE_IN_100, THREE_IN_100, mp_outliers, spectral_norm_ratio_mp
from spectra_cli.records import Spectrum
from tests.support.spectra import Array, spectrum_of

SHAPES = [(64, 64), (128, 512), (300, 60), (200, 199), (16, 1000)]


def noise(shape: tuple[int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def spikes(shape: tuple[int, int], *sizes: float) -> Array:
    """A matrix with these singular values."""
    generator = np.random.default_rng(9)
    left, right = (np.linalg.qr(generator.normal(size=(n, len(sizes))))[0] for n in shape)
    return np.asarray((left * sizes) @ right.T)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_ends_at_the_edge(shape: tuple[int, int]) -> None:
    assert spectral_norm_ratio_mp(spectrum_of(0.02 * noise(shape))) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("shape", SHAPES)
def test_directions_planted_above_the_edge_are_counted(shape: tuple[int, int]) -> None:
    edge = math.sqrt(shape[0]) + math.sqrt(shape[1])
    planted = noise(shape) + spikes(shape, 5 * edge, 4 * edge, 3 * edge)
    assert mp_outliers(spectrum_of(planted)) - mp_outliers(spectrum_of(noise(shape))) in (2.0, 3.0)
    assert spectral_norm_ratio_mp(spectrum_of(planted)) == pytest.approx(5.0, rel=0.06)


def test_the_edge_of_a_square_matrix_is_the_published_one() -> None:
    """Gavish & Donoho: the threshold 4/√3·√n·s is 2.858 σ_med, so that the edge, 2√n·s, is 2.858·√3/2 σ_med."""
    spectrum = Spectrum.of(1.0, 1.0, 1.0)
    assert 1 / spectral_norm_ratio_mp(spectrum) == pytest.approx(2.858 * math.sqrt(3) / 2, rel=2e-4)


@pytest.mark.parametrize(("quantile", "share"), [(ONE_IN_100, 0.99), (THREE_IN_100, 0.97)])
def test_the_quantiles_are_those_of_tracy_and_widom(quantile: float, share: float) -> None:
    """det(1 − K) with K(x, y) = Ai(x + y + s) on 0 … ∞, by Gauss and Legendre (Bornemann 2010)."""
    points, weights = (8.0 * (np.polynomial.legendre.leggauss(40)[0] + 1), 8.0 * np.polynomial.legendre.leggauss(40)[1])
    kernel = airy(points[:, None] + points + quantile)[0] * np.sqrt(np.outer(weights, weights))
    assert np.linalg.det(np.eye(40) - kernel) == pytest.approx(share, abs=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (16, 300)])
def test_noise_has_few_outliers_and_is_on_the_baseline(shape: tuple[int, int]) -> None:
    spectra = [spectrum_of(0.02 * noise(shape, seed)) for seed in range(100)]
    assert sum(mp_outliers(spectrum) > 0 for spectrum in spectra) <= 7
    assert sum(not on_random_baseline(spectrum) for spectrum in spectra) <= 7


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(128, 128), (64, 256), (24, 2000)])
def test_larger_noise_has_few_outliers_and_is_on_the_baseline(shape: tuple[int, int]) -> None:
    spectra = [spectrum_of(noise(shape, seed)) for seed in range(100)]
    assert sum(mp_outliers(spectrum) > 0 for spectrum in spectra) <= 7
    assert sum(not on_random_baseline(spectrum) for spectrum in spectra) <= 7


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "outliers", "off_baseline"), [(1.25, 45, 50), (1.5, 85, 85)])
def test_a_direction_not_far_above_the_least_that_can_be_seen_is_found(
    strength: float, outliers: int, off_baseline: int
) -> None:
    spectra = []
    for seed in range(100):
        u, v = (np.random.default_rng((seed, side)).normal(size=128) for side in (1, 2))
        spike = strength * math.sqrt(128) * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
        spectra.append(spectrum_of(noise((128, 128), seed) + spike))
    assert sum(mp_outliers(spectrum) > 0 for spectrum in spectra) >= outliers
    assert sum(not on_random_baseline(spectrum) for spectrum in spectra) >= off_baseline


@pytest.mark.parametrize("kind", ["uniform", "truncated", "float16"])
def test_other_initialisations_are_on_the_baseline(kind: str) -> None:
    generator = np.random.default_rng(0)
    matrix = {
        "uniform": generator.uniform(-1, 1, size=(128, 256)),
        "truncated": np.clip(noise((128, 256)), -2, 2),
        "float16": (0.02 * noise((128, 256))).astype(np.float16).astype(np.float64),
    }[kind]
    assert on_random_baseline(spectrum_of(matrix))


@pytest.mark.parametrize("shape", SHAPES)
def test_one_direction_above_the_edge_is_off_the_baseline(shape: tuple[int, int]) -> None:
    edge = math.sqrt(shape[0]) + math.sqrt(shape[1])
    assert not on_random_baseline(spectrum_of(noise(shape) + spikes(shape, 2 * edge)))


def test_rows_of_different_size_are_off_the_baseline() -> None:
    assert not on_random_baseline(spectrum_of(noise((128, 256)) * np.geomspace(1, 2, 128)[:, None]))


@pytest.mark.parametrize(
    "spectrum",
    [
        Spectrum.of(*[1.0] * 64),
        Spectrum.of(*range(1, 65)),
        Spectrum.of(*[i**-0.4 for i in range(1, 129)]),
        Spectrum.of(1.0, *[0.0] * 63),
    ],
    ids=["orthogonal", "diagonal", "power law", "rank one"],
)
def test_structure_is_off_the_baseline(spectrum: Spectrum) -> None:
    assert not on_random_baseline(spectrum)


@pytest.mark.parametrize(
    "spectrum",
    [spectrum_of(noise((8, 8))), Spectrum.of(*[0.0] * 32), Spectrum.of(*[math.nan] * 32), Spectrum.of()],
    ids=["small", "zero", "nan", "empty"],
)
def test_where_nothing_can_be_told_there_is_no_alarm(spectrum: Spectrum) -> None:
    assert not on_random_baseline(spectrum)
