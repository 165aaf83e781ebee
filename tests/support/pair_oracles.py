"""The metrics of two matrices a second time, in mpmath with 50 digits: see `metric_oracles.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from spectra_cli.records import Pair
from tests.support.metric_oracles import NAN, norm, numbers, shares, squares


def variation(pair: Pair) -> Any:
    a, b = shares(numbers(pair.a.sigma)), shares(numbers(pair.b.sigma))
    return norm([x - y for x, y in zip(a, b, strict=True)])


def rate(pair: Pair) -> Any:
    return variation(pair) / pair.steps if pair.steps is not None and pair.steps > 0 else None


def cosine(inner: Any, pair: Pair) -> Any:
    product = norm(numbers(pair.a.sigma)) * norm(numbers(pair.b.sigma))
    return inner / product if product else NAN


def cosine_of_spectra(pair: Pair) -> Any:
    return cosine(mp.fdot(numbers(pair.a.sigma), numbers(pair.b.sigma)), pair)


def cosine_of_weights(pair: Pair) -> Any:
    return cosine(mpf(pair.inner), pair)


def bound(pair: Pair) -> Any:
    a, b = numbers(pair.a.sigma), numbers(pair.b.sigma)
    most = max(mp.fsum(a), mp.fsum(b))
    return (1 + mp.sqrt(len(a))) * mpf(pair.distance) / most if most else NAN


def overlap(products: Any) -> Any:
    return None if products is None else mp.fsum(squares(numbers(products.ravel()))) / len(products)


def diagonal(products: Any) -> Any:
    return None if products is None else [abs(products[i][i]) for i in range(len(products))]


TWO_MATRICES: dict[str, Callable[[Pair], Any]] = {
    "sd_variation_final": variation,
    "sd_variation_prev": variation,
    "sd_variation_rate": rate,
    "cos_weights_final": cosine_of_weights,
    "cos_weights_prev": cosine_of_weights,
    "cos_spectrum_final": cosine_of_spectra,
    "cos_spectrum_prev": cosine_of_spectra,
    "update_norm_prev": lambda pair: mpf(pair.distance),
    "stability_bound_prev": bound,
    "overlap_left_vectors_final": lambda pair: overlap(pair.left),
    "overlap_left_vectors_prev": lambda pair: overlap(pair.left),
    "overlap_right_vectors_final": lambda pair: overlap(pair.right),
    "overlap_right_vectors_prev": lambda pair: overlap(pair.right),
    "cos_left_vectors_final": lambda pair: diagonal(pair.left),
    "cos_right_vectors_final": lambda pair: diagonal(pair.right),
}
