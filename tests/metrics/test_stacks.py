"""The numbers of a matrix are the same to the last bit whatever matrices its metrics are computed beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spectra_cli.metrics import METRICS, measure, measure_together, on_random_baseline, violations
from spectra_cli.metrics.stacks import Pairs, Spectra
from spectra_cli.metrics.uncertainty import uncertain, uncertain_each
from spectra_cli.records import Pair, Spectrum

NAMES = frozenset(metric.name for metric in METRICS)
KINDS = ("gaussian", "power law", "rank deficient", "ties", "all equal", "one value", "zero", "nan", "tiny")


def sigma(kind: str, r: int, random: np.random.Generator) -> np.ndarray:
    """Singular values, descending, of one kind."""
    gaussian = np.linalg.svd(random.normal(size=(r, 2 * r)), compute_uv=False)
    return {
        "gaussian": lambda: gaussian,
        "power law": lambda: np.arange(1, r + 1) ** -0.7,
        "rank deficient": lambda: np.where(np.arange(r) < (r + 1) // 2, gaussian, 1e-17),
        "ties": lambda: np.repeat(gaussian[::3], 3)[:r],
        "all equal": lambda: np.ones(r),
        "one value": lambda: np.where(np.arange(r) == 0, 2.0, 0.0),
        "zero": lambda: np.zeros(r),
        "nan": lambda: np.full(r, np.nan),
        "tiny": lambda: 1e-200 * gaussian,
    }[kind]()


def spectra(r: int, error: float) -> list[Spectrum]:
    random = np.random.default_rng(r)
    return [
        Spectrum(
            sigma(kind, r, random), r, 2 * r, error=error, rounding=1e-4, shuffled=sigma(kind, r, random)
        )
        for kind in KINDS
        for _ in range(2)
    ]  # fmt: skip


def pair(a: Spectrum, b: Spectrum) -> Pair:
    products = np.random.default_rng(0).uniform(-1, 1, size=(2, 3, 3))
    inner, distance = float(a.sigma @ b.sigma), float(np.linalg.norm(a.sigma - b.sigma))
    return Pair(a, b, inner, distance, 10, *products)


@pytest.mark.parametrize("error", [0.0, 1e-9])
@pytest.mark.parametrize("r", [1, 2, 7, 64, 128, 129, 200])
def test_a_stack_has_the_numbers_of_each_by_itself(r: int, error: float) -> None:
    each = spectra(r, error)
    copies = [replace(own, sigma=own.sigma.copy()) for own in each]
    finals = [pair(own, other) for own, other in zip(each, each[1:] + each[:1], strict=True)]
    previous = [pair(own, copy) for own, copy in zip(each, copies, strict=True)]
    stack = Spectra.of(each)
    together = dict(measure_together(stack, Pairs.of(finals, stack), Pairs.of(previous, stack), NAMES))
    random = on_random_baseline(stack)
    doubts = uncertain_each(stack, Pairs.of(finals, stack), Pairs.of(previous, stack), together)
    for index, own in enumerate(each):
        alone = measure(own, finals[index], previous[index], NAMES)
        for name, value, vector in alone:
            expected = value if vector is None else vector
            np.testing.assert_array_equal(together[name][index], expected, err_msg=f"{name} of {KINDS[index // 2]}")
        assert random[index] == on_random_baseline(own)
        assert doubts[index] == uncertain(own, NAMES, reference=finals[index], previous=previous[index])


def test_of_a_stack_every_broken_pair_is_told() -> None:
    a, b = Spectrum.of(4.0, 3.0), Spectrum.of(5.0, 0.0)
    sound, broken = Pair(a, a, 25.0, 0.0), Pair(a, b, 0.0, 0.1)
    assert violations(Pairs.of([sound, broken, broken])) == 2 * violations(broken)
    assert violations(Pairs.of([sound, sound])) == []


def test_what_is_known_of_some_only_is_known_of_none() -> None:
    known = replace(Spectrum.of(2.0, 1.0), rounding=0.5, shuffled=np.array([2.0, 1.0]))
    stack = Spectra.of([known, Spectrum.of(3.0, 1.0)])
    assert (stack.rounding, stack.shuffled) == (None, None)
    assert Spectra.of([known, known]).at(np.array([1])).rounding == [0.5]
