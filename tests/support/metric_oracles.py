"""Every metric a second time, in mpmath with 50 digits, written from the definitions in `docs/metrics.md` alone.

One entry a metric: ONE_MATRIX gives it from the singular values and the spectrum they come from; TWO_MATRICES, in
`pair_oracles.py`, from a pair. NaN is "undefined", None "does not apply". None of it is fast.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

from mpmath import mp, mpf

from spectra_cli.records import Spectrum

mp.dps = 50
NAN, INF = mp.nan, mp.inf
Sigma = list[Any]
OneMatrix = Callable[[Sigma, Spectrum], Any]


def numbers(values: Any) -> Sigma:
    return [mpf(float(value)) for value in values]


def larger(spectrum: Spectrum) -> int:
    return max(spectrum.rows, spectrum.cols)


def shares(s: Sigma) -> Sigma:
    total = mp.fsum(s)
    return [x / total if total else NAN for x in s]


def norm(s: Sigma) -> Any:
    return mp.sqrt(mp.fdot(s, s))


def squares(s: Sigma) -> Sigma:
    return [x**2 for x in s]


def entropy(weights: Sigma) -> Any:
    # ln(1 − 1e-300) has no digit left of 50: the definition, taken literally, needs as many as there are decades in σ.
    with mp.workdps(700):
        return -mp.fsum(p * mp.log(p) for p in shares(weights) if p != 0) if any(weights) else NAN


def participation(s: Sigma, _: Spectrum) -> Any:
    return mp.fsum(squares(s)) ** 2 / mp.fsum(x**4 for x in s) if s[0] else NAN


def above_rounding(s: Sigma, spectrum: Spectrum) -> Sigma:
    """What is above rounding; where the next is no further than the error, it is taken for the same number."""
    kept = [x for x in s if x > s[0] * larger(spectrum) * mpf(2) ** -52]
    tied = kept[:1]
    for before, x in itertools.pairwise(kept):
        tied.append(tied[-1] if before - x <= spectrum.error else x)
    return tied


def condition(s: Sigma, spectrum: Spectrum) -> Any:
    if not s[0]:
        return NAN
    return s[0] / s[-1] if len(above_rounding(s, spectrum)) == len(s) else INF


def line(s: Sigma, spectrum: Spectrum, power: int) -> tuple[Any, Any, Any]:
    """Slope of ln σ on ln i with weights i^power, its standard error, R²: from the normal equations."""
    y = [mp.log(x) for x in above_rounding(s, spectrum)]
    if len(y) < 2:
        return NAN, NAN, NAN
    i = range(1, len(y) + 1)
    x, w = [mp.log(k) for k in i], [mpf(k) ** power for k in i]
    sw, sx, sy = mp.fsum(w), mp.fdot(w, x), mp.fdot(w, y)
    sxx = mp.fsum(a * b * b for a, b in zip(w, x, strict=True))
    sxy = mp.fsum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    slope = (sw * sxy - sx * sy) / (sw * sxx - sx * sx)
    intercept = (sy - slope * sx) / sw
    residual = mp.fsum(a * (c - intercept - slope * b) ** 2 for a, b, c in zip(w, x, y, strict=True))
    spread = mp.fsum(a * (c - sy / sw) ** 2 for a, c in zip(w, y, strict=True))
    error = mp.sqrt(residual / (len(y) - 2) / (sxx - sx * sx / sw)) if len(y) > 2 else NAN
    return slope, error, (1 - residual / spread if len(set(y)) > 1 else NAN)


def hill(s: Sigma, spectrum: Spectrum) -> Any:
    k, kept = len(s) // 2, above_rounding(s, spectrum)
    if k == 0 or len(kept) <= k:
        return NAN
    total = mp.fsum(mp.log(kept[i] ** 2 / kept[k] ** 2) for i in range(k))
    return 1 + k / total if total else INF


@cache
def tail(spectrum: Spectrum, floored: bool) -> dict[str, Any]:
    """The best power-law tail: every distinct eigenvalue is tried, one after the other."""
    eigenvalues = squares(above_rounding(numbers(spectrum.sigma), spectrum))
    least = max(2, -(-len(spectrum.sigma) // 4)) if floored else 2
    best: dict[str, Any] = dict.fromkeys(("alpha", "xmin", "ks", "n", "stderr"), NAN)
    for xmin in sorted(set(eigenvalues))[:-1]:
        values = [x for x in eigenvalues if x >= xmin]
        n = len(values)
        if n < least:
            continue
        alpha = 1 + n / mp.fsum(mp.log(x / xmin) for x in values)
        ks = max(distance(values, x, 1 - (x / xmin) ** (1 - alpha), floored) for x in set(values))
        if not ks >= best["ks"]:
            best = {"alpha": alpha, "xmin": xmin, "ks": ks, "n": n, "stderr": (alpha - 1) / mp.sqrt(n)}
    return best


def distance(values: Sigma, x: Any, model: Any, two_sided: bool) -> Any:
    below, through = sum(v < x for v in values), sum(v <= x for v in values)
    left, right = abs(model - mpf(below) / len(values)), abs(model - mpf(through) / len(values))
    return max(left, right) if two_sided else left


@cache
def marchenko_pastur_median(rows: int, cols: int) -> Any:
    beta = mpf(min(rows, cols)) / max(rows, cols)
    low, high = (1 - mp.sqrt(beta)) ** 2, (1 + mp.sqrt(beta)) ** 2

    def above(x: Any) -> Any:
        return mp.quad(lambda t: mp.sqrt((high - t) * (t - low)) / (2 * mp.pi * beta * t), [x, high])

    with mp.workdps(20):
        return mp.findroot(
            lambda x: above(x) - mpf(1) / 2, (low + (high - low) / 10, high - (high - low) / 4), "anderson"
        )


def edge(s: Sigma, spectrum: Spectrum) -> Any:
    median = (s[len(s) // 2] + s[(len(s) - 1) // 2]) / 2
    if not s[0] or median <= s[0] * larger(spectrum) * mpf(2) ** -52:
        return NAN
    deviation = median / mp.sqrt(larger(spectrum) * marchenko_pastur_median(spectrum.rows, spectrum.cols))
    return deviation * (mp.sqrt(spectrum.rows) + mp.sqrt(spectrum.cols))


def outliers(s: Sigma, spectrum: Spectrum) -> Any:
    a, b = mp.sqrt(spectrum.rows - mpf("0.5")), mp.sqrt(spectrum.cols - mpf("0.5"))
    limit = mp.sqrt((a + b) ** 2 + mpf("2.0234") * (a + b) * mp.cbrt(1 / a + 1 / b))
    limit *= edge(s, spectrum) / (mp.sqrt(spectrum.rows) + mp.sqrt(spectrum.cols))
    return NAN if mp.isnan(limit) else sum(x > limit for x in s)


def rank(s: Sigma, spectrum: Spectrum) -> Any:
    limit = max(spectrum.rounding or 0, s[0] * larger(spectrum) * mpf(2) ** -52)
    return sum(x > limit for x in s)


def divergence(s: Sigma, spectrum: Spectrum) -> Any:
    if spectrum.shuffled is None:
        return None
    p, q = shares(squares(s)), shares(squares(numbers(spectrum.shuffled)))
    halves = [x * mp.log(2 * x / (x + y)) for a, b in ((p, q), (q, p)) for x, y in zip(a, b, strict=True) if x != 0]
    return mp.sqrt(mp.fsum(halves) / 2)


def log_alpha_norm(s: Sigma, spectrum: Spectrum) -> Any:
    return mp.log10(mp.fsum(mp.power(x, 2 * tail(spectrum, False)["alpha"]) for x in s)) if s[0] else NAN


def of_tail(key: str, floored: bool) -> OneMatrix:
    return lambda _, spectrum: tail(spectrum, floored)[key]


ONE_MATRIX: dict[str, OneMatrix] = {
    "sd": lambda s, _: shares(s),
    "nuclear_norm": lambda s, _: mp.fsum(s),
    "frobenius_norm": lambda s, _: norm(s),
    "spectral_norm": lambda s, _: max(s),
    "stable_rank": lambda s, _: mp.fdot(s, s) / s[0] ** 2 if s[0] else NAN,
    "entropy": lambda s, _: entropy(s),
    "entropy_energy": lambda s, _: entropy(squares(s)),
    "effective_rank": lambda s, _: mp.exp(entropy(s)),
    "spectral_gap": lambda s, _: s[0] / s[1] if len(s) > 1 and s[1] else NAN,
    "condition_number": condition,
    "alpha": lambda s, spectrum: -line(s, spectrum, -1)[0],
    "alpha_ols": lambda s, spectrum: -line(s, spectrum, 0)[0],
    "alpha_r2": lambda s, spectrum: line(s, spectrum, -1)[2],
    "alpha_stderr": lambda s, spectrum: line(s, spectrum, -1)[1],
    "alpha_n": lambda s, spectrum: len(above_rounding(s, spectrum)),
    "alpha_hill": hill,
    "alpha_clauset": of_tail("alpha", False),
    "alpha_clauset_xmin": of_tail("xmin", False),
    "alpha_clauset_ks": of_tail("ks", False),
    "alpha_clauset_n": of_tail("n", False),
    "alpha_clauset_stderr": of_tail("stderr", False),
    "alpha_tail": of_tail("alpha", True),
    "alpha_tail_xmin": of_tail("xmin", True),
    "alpha_tail_ks": of_tail("ks", True),
    "alpha_tail_n": of_tail("n", True),
    "alpha_tail_stderr": of_tail("stderr", True),
    "mp_outliers": outliers,
    "spectral_norm_ratio_mp": lambda s, spectrum: s[0] / edge(s, spectrum),
    "alpha_weighted": lambda s, spectrum: tail(spectrum, False)["alpha"] * mp.log10(s[0] ** 2) if s[0] else NAN,
    "log_norm": lambda s, _: mp.log10(mp.fdot(s, s)) if s[0] else NAN,
    "log_alpha_norm": log_alpha_norm,
    "participation_ratio": participation,
    "numerical_rank": rank,
    "sigma_error": lambda _, spectrum: spectrum.error,
    "quantisation_floor": lambda _, spectrum: spectrum.rounding,
    "rand_distance": divergence,
}
