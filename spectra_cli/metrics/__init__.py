"""The metrics: pure functions of stacks of spectra or of pairs of them, and METRICS, the list of them all.

To add one, write a function in a module of this folder, an entry in METRICS and a case in
`tests/support/metric_oracles.py`. Knows singular values, and nothing of devices, files or tables. NaN is "undefined";
what does not apply has no row. A function takes one spectrum or plain singular values too: `stable_rank([2.0, 1.0])`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Sequence

from spectra_cli.errors import SpectraError
from spectra_cli.metrics.metric import Metric
from spectra_cli.metrics.norms import frobenius_norm, nuclear_norm, sd, spectral_norm
from spectra_cli.metrics.other_tools import alpha_weighted, log_alpha_norm, log_norm, rand_distance
from spectra_cli.metrics.pairs import (
    cos_spectrum,
    cos_weights,
    sd_variation,
    sd_variation_rate,
    stability_bound,
    update_norm,
    violations,
)
from spectra_cli.metrics.power_law import alpha, alpha_hill, alpha_n, alpha_ols, alpha_r2, alpha_stderr
from spectra_cli.metrics.precision import numerical_rank, quantisation_floor, sigma_error
from spectra_cli.metrics.random_matrix import mp_outliers, on_random_baseline, spectral_norm_ratio_mp
from spectra_cli.metrics.rank_range import ALL_RANKS, RankRange
from spectra_cli.metrics.ranks import (
    condition_number,
    effective_rank,
    entropy,
    entropy_energy,
    participation_ratio,
    spectral_gap,
    stable_rank,
)
from spectra_cli.metrics.stacks import Numbers, Pairs, Spectra, Vectors
from spectra_cli.metrics.subspaces import (
    cos_left_vectors,
    cos_right_vectors,
    overlap_left_vectors,
    overlap_right_vectors,
)
from spectra_cli.metrics.tails import (
    alpha_clauset,
    alpha_clauset_ks,
    alpha_clauset_n,
    alpha_clauset_stderr,
    alpha_clauset_xmin,
    alpha_tail,
    alpha_tail_ks,
    alpha_tail_n,
    alpha_tail_stderr,
    alpha_tail_xmin,
)
from spectra_cli.records import Pair, Spectrum

__all__ = [
    "METRICS", "Metric", "RankRange", "alpha", "alpha_clauset", "alpha_clauset_ks", "alpha_clauset_n",
    "alpha_clauset_stderr", "alpha_clauset_xmin", "alpha_hill", "alpha_n", "alpha_ols", "alpha_r2", "alpha_stderr",
    "alpha_tail", "alpha_tail_ks", "alpha_tail_n", "alpha_tail_stderr", "alpha_tail_xmin", "alpha_weighted",
    "condition_number", "cos_left_vectors", "cos_right_vectors", "cos_spectrum", "cos_weights", "effective_rank",
    "entropy", "entropy_energy", "frobenius_norm", "log_alpha_norm", "log_norm", "measure", "mp_outliers",
    "nuclear_norm", "numerical_rank", "on_random_baseline", "overlap_left_vectors", "overlap_right_vectors",
    "participation_ratio", "quantisation_floor", "rand_distance", "sd", "sd_variation", "sd_variation_rate", "select",
    "sigma_error", "spectral_gap", "spectral_norm", "spectral_norm_ratio_mp", "stability_bound", "stable_rank",
    "update_norm", "violations",
]  # fmt: skip

SQRT2 = math.sqrt(2.0)
TAIL_COST = "one fit for the family, 3 ms for 2,048 values"
VECTORS_COST = "the top K singular vectors of both matrices"

METRICS: tuple[Metric, ...] = (
    Metric("sd", sd, low=0, high=1),
    Metric("nuclear_norm", nuclear_norm, degree=1, low=0),
    Metric("frobenius_norm", frobenius_norm, degree=1, low=0),
    Metric("spectral_norm", spectral_norm, degree=1, low=0),
    Metric("stable_rank", stable_rank, low=1, high="r"),
    Metric("entropy", entropy, low=0, high="ln r"),
    Metric("entropy_energy", entropy_energy, low=0, high="ln r"),
    Metric("effective_rank", effective_rank, low=1, high="r"),
    Metric("spectral_gap", spectral_gap, low=1),
    Metric("condition_number", condition_number, low=1),
    Metric("alpha", alpha, low=0, ranged=True),
    Metric("alpha_ols", alpha_ols, low=0, ranged=True),
    Metric("alpha_r2", alpha_r2, low=0, high=1, ranged=True),
    Metric("alpha_hill", alpha_hill, low=1),
    Metric("alpha_clauset", alpha_clauset, low=1, cost=TAIL_COST),
    Metric("alpha_clauset_xmin", alpha_clauset_xmin, degree=2, low=0, cost=TAIL_COST),
    Metric("alpha_clauset_ks", alpha_clauset_ks, low=0, high=1, cost=TAIL_COST),
    Metric("alpha_clauset_n", alpha_clauset_n, low=2, high="r", cost=TAIL_COST),
    Metric("alpha_clauset_stderr", alpha_clauset_stderr, low=0, cost=TAIL_COST),
    Metric("alpha_tail", alpha_tail, low=1, cost=TAIL_COST),
    Metric("alpha_tail_xmin", alpha_tail_xmin, degree=2, low=0, cost=TAIL_COST),
    Metric("alpha_tail_ks", alpha_tail_ks, low=0, high=1, cost=TAIL_COST),
    Metric("alpha_tail_n", alpha_tail_n, low=2, high="r", cost=TAIL_COST),
    Metric("alpha_tail_stderr", alpha_tail_stderr, low=0, cost=TAIL_COST),
    Metric("mp_outliers", mp_outliers, low=0, high="r"),
    Metric("spectral_norm_ratio_mp", spectral_norm_ratio_mp, low=0),
    Metric("alpha_stderr", alpha_stderr, low=0, ranged=True),
    Metric("alpha_n", alpha_n, low=0, high="r", ranged=True),
    Metric("alpha_weighted", alpha_weighted, degree=None, cost=TAIL_COST),
    Metric("log_norm", log_norm, degree=None),
    Metric("log_alpha_norm", log_alpha_norm, degree=None, cost=TAIL_COST),
    Metric("participation_ratio", participation_ratio, low=1, high="r"),
    Metric("numerical_rank", numerical_rank, low=0, high="r", needs="rounding"),
    Metric("sigma_error", sigma_error, degree=1, low=0),
    Metric("quantisation_floor", quantisation_floor, degree=1, low=0, needs="rounding"),
    Metric(
        "rand_distance", rand_distance, low=0, high=math.sqrt(math.log(2.0)),
        default=False, cost="the spectrum of a second matrix of this size", needs="shuffled",
    ),
    Metric("sd_variation_final", sd_variation, "final", low=0, high=SQRT2),
    Metric("sd_variation_prev", sd_variation, "prev", low=0, high=SQRT2),
    Metric("sd_variation_rate", sd_variation_rate, "prev", low=0),
    Metric("cos_weights_final", cos_weights, "final", low=-1, high=1),
    Metric("cos_weights_prev", cos_weights, "prev", low=-1, high=1),
    Metric("cos_spectrum_final", cos_spectrum, "final", low=0, high=1),
    Metric("cos_spectrum_prev", cos_spectrum, "prev", low=0, high=1),
    Metric("update_norm_prev", update_norm, "prev", degree=1, low=0),
    Metric("stability_bound_prev", stability_bound, "prev", low=0),
    Metric(
        "overlap_left_vectors_final", overlap_left_vectors, "final", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
    Metric(
        "overlap_left_vectors_prev", overlap_left_vectors, "prev", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
    Metric(
        "overlap_right_vectors_final", overlap_right_vectors, "final", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
    Metric(
        "overlap_right_vectors_prev", overlap_right_vectors, "prev", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
    Metric(
        "cos_left_vectors_final", cos_left_vectors, "final", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
    Metric(
        "cos_right_vectors_final", cos_right_vectors, "final", low=0, high=1,
        default=False, cost=VECTORS_COST, needs="vectors",
    ),
)  # fmt: skip


def measure_together(
    spectra: Spectra,
    reference: Pairs | None,
    previous: Pairs | None,
    names: Collection[str],
    *,
    alpha_range: RankRange = ALL_RANKS,
) -> Iterator[tuple[str, Numbers | Vectors]]:
    """Yield the numbers, (b,), or the vectors, (b, k), of each named metric that applies to a stack of matrices.

    As `measure` does of one. reference, previous: as many pairs, of which these spectra are the first.

    >>> stack = Spectra.of([Spectrum.of(2.0, 1.0, 1.0), Spectrum.of(1.0, 0.0, 0.0)])
    >>> dict(measure_together(stack, None, None, {"stable_rank"}))
    {'stable_rank': array([1.5, 1. ])}
    """
    subjects = {None: spectra, "final": reference, "prev": previous}
    for metric in METRICS:
        subject = subjects[metric.against]
        if metric.name not in names or subject is None:
            continue
        result = metric.function(subject, alpha_range) if metric.ranged else metric.function(subject)
        if result is not None:
            yield metric.name, result


def measure(
    spectrum: Spectrum,
    reference: Pair | None,
    previous: Pair | None,
    names: Collection[str],
    *,
    alpha_range: RankRange = ALL_RANKS,
) -> Iterator[tuple[str, float | None, Vectors | None]]:
    """Yield (metric, value, vector) for each of the named metrics that applies, in the order of METRICS.

    reference, previous: this matrix against the reference's and the previous checkpoint's; None where there is none,
    and then none of its metrics applies. alpha_range: the ranks that the fits marked `ranged` use. Either value or
    vector is None. NaN or Inf in a matrix, or in either of a pair: NaN.

    >>> list(measure(Spectrum.of(2.0, 1.0, 1.0), None, None, {"stable_rank", "spectral_norm", "sd_variation_prev"}))
    [('spectral_norm', 2.0, None), ('stable_rank', 1.5, None)]
    """
    spectra = Spectra.of([spectrum])
    first, second = (None if pair is None else Pairs.of([pair]) for pair in (reference, previous))
    for name, result in measure_together(spectra, first, second, names, alpha_range=alpha_range):
        if result.ndim > 1:
            yield name, None, result[0]
        else:
            yield name, float(result[0]), None


def select(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the metrics asked for, in the order of METRICS: None is the defaults, `all` is all.

    Raises SpectraError for a name that is not in the catalogue.

    >>> select(["stable_rank", "alpha"])
    ('stable_rank', 'alpha')
    """
    if names is None:
        return tuple(metric.name for metric in METRICS if metric.default)
    catalogue = [metric.name for metric in METRICS]
    for name in names:
        if name != "all" and name not in catalogue:
            raise _unknown(name, catalogue)
    return tuple(catalogue) if "all" in names else tuple(name for name in catalogue if name in names)


def _unknown(name: str, catalogue: list[str]) -> SpectraError:
    close = difflib.get_close_matches(name, catalogue, n=3)
    nearest = f"; the closest are {', '.join(close)}" if close else ""
    return SpectraError(f"there is no metric {name!r}{nearest}", hint="`spectra metrics` lists them", code=2)
