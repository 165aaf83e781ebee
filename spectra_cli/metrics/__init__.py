"""The metrics: pure functions of a spectrum or a pair of them, and METRICS, the list of them all.

Adding one is a function in a module of this folder, an entry in METRICS and a case in `tests/metrics/oracles.py`.
Knows singular values, and nothing of devices, files or tables. NaN is "undefined"; what does not apply gives nothing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from spectra_cli.errors import SpectraError
from spectra_cli.metrics.catalogue import Metric, Vector
from spectra_cli.metrics.norms import frobenius_norm, nuclear_norm, sd, spectral_norm
from spectra_cli.metrics.pairs import (
    cos_spectrum,
    cos_weights,
    sd_variation,
    sd_variation_rate,
    stability_bound,
    update_norm,
    violations,
)
from spectra_cli.metrics.power_law import alpha, alpha_hill, alpha_ols, alpha_r2
from spectra_cli.metrics.ranks import (
    condition_number,
    effective_rank,
    entropy,
    entropy_energy,
    spectral_gap,
    stable_rank,
)
from spectra_cli.records import Pair, Spectrum

__all__ = ["METRICS", "Metric", "measure", "select", "violations"]

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
    Metric("alpha", alpha, low=0),
    Metric("alpha_ols", alpha_ols, low=0),
    Metric("alpha_r2", alpha_r2, low=0, high=1),
    Metric("alpha_hill", alpha_hill, low=1),
    Metric("sd_variation_final", sd_variation, against="final", low=0, high=math.sqrt(2)),
    Metric("sd_variation_prev", sd_variation, against="prev", low=0, high=math.sqrt(2)),
    Metric("sd_variation_rate", sd_variation_rate, against="prev", low=0),
    Metric("cos_weights_final", cos_weights, against="final", low=-1, high=1),
    Metric("cos_weights_prev", cos_weights, against="prev", low=-1, high=1),
    Metric("cos_spectrum_final", cos_spectrum, against="final", low=0, high=1),
    Metric("cos_spectrum_prev", cos_spectrum, against="prev", low=0, high=1),
    Metric("update_norm_prev", update_norm, against="prev", degree=1, low=0),
    Metric("stability_bound_prev", stability_bound, against="prev", low=0),
)


def measure(
    spectrum: Spectrum, final: Pair | None, prev: Pair | None, names: Collection[str]
) -> Iterator[tuple[str, float | None, Vector | None]]:
    """Give (metric, value, vector) for each of the named metrics that applies, in the order of METRICS.

    final, prev: this matrix against the reference's and the previous checkpoint's; None where there is none, and then
    none of its metrics applies. Either value or vector is None. NaN or Inf in a matrix, or in either of a pair: NaN.

    >>> list(measure(Spectrum.of(2.0, 1.0, 1.0), None, None, {"stable_rank", "spectral_norm", "sd_variation_prev"}))
    [('spectral_norm', 2.0, None), ('stable_rank', 1.5, None)]
    """
    subjects = {None: spectrum, "final": final, "prev": prev}
    for metric in METRICS:
        subject = subjects[metric.against]
        if metric.name not in names or subject is None:
            continue
        result = metric.function(subject)
        if isinstance(result, np.ndarray):
            yield metric.name, None, result
        elif result is not None:
            yield metric.name, float(result), None


def select(names: Sequence[str] | None) -> tuple[str, ...]:
    """Turn what the user asked for into names, in the order of METRICS: None is the defaults, `all` is all.

    Raises SpectraError for a name that is not in the catalogue.

    >>> select(["stable_rank", "alpha"])
    ('stable_rank', 'alpha')
    """
    if names is None:
        return tuple(metric.name for metric in METRICS if metric.default)
    known = [metric.name for metric in METRICS]
    for name in names:
        if name != "all" and name not in known:
            raise _unknown(name, known)
    return tuple(known) if "all" in names else tuple(name for name in known if name in names)


def _unknown(name: str, known: list[str]) -> SpectraError:
    close = difflib.get_close_matches(name, known, n=3)
    nearest = f"; the closest are {', '.join(close)}" if close else ""
    return SpectraError(f"there is no metric {name!r}{nearest}", hint="`spectra metrics` lists them", code=2)
