"""The same numbers from SciPy, powerlaw and WeightWatcher, where they define them alike."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from spectra_cli.metrics import RankRange
from spectra_cli.metrics.norms import sd
from spectra_cli.metrics.other_tools import alpha_weighted, log_alpha_norm, log_norm, rand_distance
from spectra_cli.metrics.power_law import alpha, alpha_ols, alpha_r2, alpha_stderr
from spectra_cli.metrics.ranks import entropy, entropy_energy
from spectra_cli.metrics.stacks import Spectra
from spectra_cli.metrics.tail_fit import TailFit, clauset_fit, tail_fit
from spectra_cli.records import Spectrum
from tests.support.spectra import Array, spectrum_of


def of_eigenvalues(values: Array) -> Spectrum:
    return Spectrum(np.sort(np.sqrt(values))[::-1], len(values), len(values))


def eigenvalues(kind: str, n: int, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    if kind == "gaussian":
        return np.square(spectrum_of(generator.normal(size=(n, 2 * n))).sigma)
    if kind == "repeated":
        return np.repeat(generator.pareto(1.5, n // 2) + 1.0, 2)
    return np.asarray(generator.pareto(float(kind) - 1.0, n) + 1.0)


KINDS = ["1.3", "1.8", "2.5", "4.0", "7.0", "gaussian", "repeated"]


def test_entropies_are_those_of_scipy() -> None:
    spectrum = spectrum_of(np.random.default_rng(0).normal(size=(60, 90)))
    assert entropy(spectrum) == pytest.approx(stats.entropy(spectrum.sigma), rel=1e-13)
    assert entropy_energy(spectrum) == pytest.approx(stats.entropy(spectrum.sigma**2), rel=1e-13)
    assert stats.entropy(sd(spectrum).astype(float)) == pytest.approx(entropy(spectrum), rel=1e-7)


def test_the_unweighted_fit_is_scipys_regression() -> None:
    spectrum = spectrum_of(np.random.default_rng(1).normal(size=(60, 90)))
    line = stats.linregress(np.log(np.arange(1, 61)), np.log(spectrum.sigma))
    assert alpha_ols(spectrum) == pytest.approx(-line.slope, rel=1e-12)


@pytest.mark.parametrize("ranks", [RankRange(), RankRange(3, 40), RankRange(0.1, 0.9), RankRange(5)], ids=str)
def test_the_weighted_fit_is_numpys_polynomial(ranks: RankRange) -> None:
    spectrum = spectrum_of(np.random.default_rng(2).normal(size=(60, 90)))
    first, last = ranks.of(60)
    i = np.arange(first, last + 1)
    y = np.log(spectrum.sigma[first - 1 : last])
    (slope, intercept), covariance = np.polyfit(np.log(i), y, 1, w=i**-0.5, cov=True)
    residual = np.average((y - intercept - slope * np.log(i)) ** 2, weights=1 / i)
    assert alpha(spectrum, ranks) == pytest.approx(-slope, rel=1e-10)
    assert alpha_stderr(spectrum, ranks) == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-10)
    spread = np.average((y - np.average(y, weights=1 / i)) ** 2, weights=1 / i)
    assert alpha_r2(spectrum, ranks) == pytest.approx(1 - residual / spread, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_of_the_floored_tail_is_scipys(kind: str) -> None:
    values = eigenvalues(kind, 300)
    fit = fitted(tail_fit, of_eigenvalues(values))
    tail = values[values >= fit.xmin * (1 - 1e-12)]
    assert fit.n == len(tail) >= 75
    law = stats.pareto(fit.alpha - 1, scale=tail.min())
    assert fit.ks == pytest.approx(stats.kstest(tail, law.cdf).statistic, abs=1e-12)
    assert fit.alpha - 1 == pytest.approx(stats.pareto.fit(tail, floc=0, fscale=tail.min())[0], rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("two_sided", [False, True], ids=["free", "floored"])
def test_no_other_tail_is_closer(kind: str, two_sided: bool) -> None:
    """The search leaves out candidates that cannot win: here every one is tried."""
    values = np.sort(eigenvalues(kind, 400, seed=3))
    fit = fitted(tail_fit if two_sided else clauset_fit, of_eigenvalues(values))
    least, best = (100 if two_sided else 2), (np.inf, 0.0)
    for start in np.flatnonzero(np.diff(values, prepend=0.0) > 0)[:-1]:
        tail = values[start:]
        exponent = len(tail) / np.log(tail / tail[0]).sum()
        model = 1 - (tail / tail[0]) ** -exponent
        below, through = (np.searchsorted(tail, tail, side=side) / len(tail) for side in ("left", "right"))
        distance = np.abs(model - below).max()
        distance = max(distance, np.abs(through - model).max()) if two_sided else distance
        if len(tail) >= least:
            best = min(best, (float(distance), float(tail[0])))
    assert (fit.ks, fit.xmin) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_tails_agree_with_powerlaw(kind: str) -> None:
    powerlaw = pytest.importorskip("powerlaw", exc_type=ImportError)
    values = eigenvalues(kind, 300)
    fit = fitted(clauset_fit, of_eigenvalues(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Left alone, powerlaw 2.0 confines α to 3 and then chooses another tail.
        theirs = powerlaw.Fit(values, verbose=False, parameter_ranges={"alpha": [1, None]})
    assert (fit.alpha, fit.ks, fit.n) == pytest.approx((theirs.alpha, theirs.D, len(theirs.data)), rel=1e-6)
    assert (fit.xmin, fit.stderr) == pytest.approx((theirs.xmin, theirs.sigma), rel=1e-6)


@pytest.mark.slow
def test_tails_are_found_twenty_times_faster_than_by_powerlaw() -> None:
    powerlaw = pytest.importorskip("powerlaw", exc_type=ImportError)
    values = eigenvalues("2.5", 2048)

    def seconds(once: object) -> float:
        start = time.perf_counter()
        once()  # type: ignore[operator]
        return time.perf_counter() - start

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = min(seconds(lambda: powerlaw.Fit(values, verbose=False)) for _ in range(2))
    ours = min(seconds(lambda: fitted(clauset_fit, of_eigenvalues(values))) for _ in range(5))
    assert theirs / ours >= 20


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "repeated"])
def test_tails_agree_with_weightwatcher(kind: str) -> None:
    fits = pytest.importorskip("weightwatcher.WW_powerlaw", exc_type=ImportError)
    values = eigenvalues(kind, 300)
    fit, theirs = fitted(clauset_fit, of_eigenvalues(values)), fits.WWFit(values)
    assert (fit.alpha, fit.ks, fit.n) == pytest.approx((theirs.alpha, theirs.D, len(theirs.data)), rel=1e-9)
    assert (fit.xmin, fit.stderr) == pytest.approx((theirs.xmin, theirs.sigma), rel=1e-9)


@pytest.mark.slow
def test_a_layer_has_the_numbers_that_weightwatcher_gives_it() -> None:
    weightwatcher = pytest.importorskip("weightwatcher", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.Linear(200, 120, bias=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer)).analyze().iloc[0]
    ours = spectrum_of(layer.weight.detach().double().numpy())
    fit = fitted(clauset_fit, ours)
    assert (fit.alpha, fit.ks, fit.stderr) == pytest.approx((row.alpha, row.D, row.sigma), rel=1e-5)
    assert log_norm(ours) == pytest.approx(row.log_norm, rel=1e-5)
    assert alpha_weighted(ours) == pytest.approx(row.alpha_weighted, rel=1e-5)
    assert log_alpha_norm(ours) == pytest.approx(row.log_alpha_norm, rel=1e-5)


def test_the_distance_to_the_shuffle_is_scipys() -> None:
    generator = np.random.default_rng(6)
    spectrum = spectrum_of(generator.normal(size=(40, 60)) + 3.0)
    shuffled = spectrum_of(generator.normal(size=(40, 60))).sigma
    distance = rand_distance(Spectrum(spectrum.sigma, 40, 60, shuffled=shuffled))
    assert distance == pytest.approx(jensenshannon(spectrum.sigma**2, shuffled**2), rel=1e-12)


def test_a_logarithm_grows_by_that_of_the_scale() -> None:
    small, large = Spectrum.of(3.0, 2.0, 0.5), Spectrum.of(30.0, 20.0, 5.0)
    assert log_norm(large) - log_norm(small) == pytest.approx(2.0, rel=1e-12)
    exponent = fitted(clauset_fit, small).alpha
    assert alpha_weighted(large) - alpha_weighted(small) == pytest.approx(2.0 * exponent, rel=1e-12)
    assert log_alpha_norm(large) - log_alpha_norm(small) == pytest.approx(2.0 * exponent, rel=1e-12)


def fitted(fit: Callable[[Spectra], TailFit], spectrum: Spectrum) -> TailFit:
    """A fit of one spectrum, its numbers those of that one."""
    found = fit(Spectra.of([spectrum]))
    assert not np.isnan(found.alpha)
    return TailFit(*(values[0] for values in (found.alpha, found.xmin, found.ks, found.n)))
