"""Every metric a second time, in mpmath with 50 digits, written from the definitions in `docs/metrics.md` alone.

One entry a metric: ONE_MATRIX gives it from the singular values and the larger side, TWO_MATRICES from a pair. NaN is
"undefined", None "does not apply".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from spectra_cli.records import Pair, Spectrum

mp.dps = 50
NAN, INF = mp.nan, mp.inf
Sigma = list[Any]


def numbers(spectrum: Spectrum) -> Sigma:
    return [mpf(float(value)) for value in spectrum.sigma]


def larger_side(spectrum: Spectrum) -> int:
    return max(spectrum.rows, spectrum.cols)


def shares(s: Sigma) -> Sigma:
    total = mp.fsum(s)
    return [x / total if total else NAN for x in s]


def entropy(weights: Sigma) -> Any:
    # ln(1 − 1e-300) has no digit left of 50: the definition, taken literally, needs as many as there are decades in σ.
    with mp.workdps(700):
        return -mp.fsum(p * mp.log(p) for p in shares(weights) if p != 0) if any(weights) else NAN


def above_rounding(s: Sigma, side: int) -> Sigma:
    return [x for x in s if x > s[0] * side * mpf(2) ** -52]


def line(s: Sigma, side: int, weight: Callable[[int], Any]) -> tuple[Any, Any]:
    """Slope of ln σ on ln i and R², from the normal equations."""
    y = [mp.log(x) for x in above_rounding(s, side)]
    if len(y) < 2:
        return NAN, NAN
    i = range(1, len(y) + 1)
    x, w = [mp.log(k) for k in i], [mpf(1) * weight(k) for k in i]
    sw, sx, sy = mp.fsum(w), mp.fdot(w, x), mp.fdot(w, y)
    sxx = mp.fsum(a * b * b for a, b in zip(w, x, strict=True))
    sxy = mp.fsum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    slope = (sw * sxy - sx * sy) / (sw * sxx - sx * sx)
    intercept = (sy - slope * sx) / sw
    residual = mp.fsum(a * (c - intercept - slope * b) ** 2 for a, b, c in zip(w, x, y, strict=True))
    spread = mp.fsum(a * (c - sy / sw) ** 2 for a, c in zip(w, y, strict=True))
    return slope, (1 - residual / spread if len(set(y)) > 1 else NAN)


def hill(s: Sigma, side: int) -> Any:
    k = len(s) // 2
    if k == 0 or len(above_rounding(s, side)) <= k:
        return NAN
    total = mp.fsum(mp.log(s[i] ** 2 / s[k] ** 2) for i in range(k))
    return 1 + k / total if total else INF


def inverse(k: int) -> Any:
    return mpf(1) / k


def condition(s: Sigma, side: int) -> Any:
    if not s[0]:
        return NAN
    return s[0] / s[-1] if len(above_rounding(s, side)) == len(s) else INF


ONE_MATRIX: dict[str, Callable[[Sigma, int], Any]] = {
    "sd": lambda s, _: shares(s),
    "nuclear_norm": lambda s, _: mp.fsum(s),
    "frobenius_norm": lambda s, _: mp.sqrt(mp.fdot(s, s)),
    "spectral_norm": lambda s, _: max(s),
    "stable_rank": lambda s, _: mp.fdot(s, s) / s[0] ** 2 if s[0] else NAN,
    "entropy": lambda s, _: entropy(s),
    "entropy_energy": lambda s, _: entropy([x**2 for x in s]),
    "effective_rank": lambda s, _: mp.exp(entropy(s)),
    "spectral_gap": lambda s, _: s[0] / s[1] if len(s) > 1 and s[1] else NAN,
    "condition_number": condition,
    "alpha": lambda s, side: -line(s, side, inverse)[0],
    "alpha_ols": lambda s, side: -line(s, side, lambda _: 1)[0],
    "alpha_r2": lambda s, side: line(s, side, inverse)[1],
    "alpha_hill": hill,
}


def norm(s: Sigma) -> Any:
    return mp.sqrt(mp.fdot(s, s))


def variation(pair: Pair) -> Any:
    a, b = shares(numbers(pair.a)), shares(numbers(pair.b))
    return norm([x - y for x, y in zip(a, b, strict=True)])


def rate(pair: Pair) -> Any:
    return variation(pair) / pair.steps if pair.steps is not None and pair.steps > 0 else None


def cosine(inner: Any, pair: Pair) -> Any:
    product = norm(numbers(pair.a)) * norm(numbers(pair.b))
    return inner / product if product else NAN


def cosine_of_spectra(pair: Pair) -> Any:
    return cosine(mp.fdot(numbers(pair.a), numbers(pair.b)), pair)


def cosine_of_weights(pair: Pair) -> Any:
    return cosine(mpf(pair.inner), pair)


def bound(pair: Pair) -> Any:
    a, b = numbers(pair.a), numbers(pair.b)
    larger = max(mp.fsum(a), mp.fsum(b))
    return (1 + mp.sqrt(len(a))) * mpf(pair.distance) / larger if larger else NAN


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
}
