"""How the spread of α over depth grows with the number of layers, over several models. Knows tables, shows nothing.

The range of chance values grows with their number by itself: each power is judged against what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS

from spectra_cli.errors import SpectraError
from spectra_cli.records import Summarised
from spectra_cli.storage.table import read_rows
from spectra_cli.studies.lifecycle import Lifecycle, lifecycle_tables
from spectra_cli.studies.null_exponents import deviation, null_exponents, spread_range

Array = NDArray[np.float64]

FEWEST_MODELS = 3
DRAWS = 2000


@dataclass(frozen=True)
class Model:
    """One model at its last checkpoint. profile: its α over depth. peak: of α, None if it has none inside."""

    label: str
    layers: int
    parameters: int
    profile: tuple[float, ...]
    peak: float | None

    @property
    def spread(self) -> float:
        """Δα, the largest minus the smallest value."""
        return float(spread_range(np.array(self.profile)))

    @property
    def deviation(self) -> float:
        """The standard deviation over depth."""
        return float(deviation(np.array(self.profile)))


@dataclass(frozen=True)
class PowerLaw:
    """y ∝ x^exponent by least squares of logarithms.

    interval: 95%, by Student's t. null: the smallest and largest exponent that chance gives at these depths, and p that
    the exponent is one of these; 0 where chance gives none. bootstrap: 90%, from
    residuals drawn anew, which for few models is far too narrow: of 400 nulls, 33% of three models and 13% of five were
    outside even at 95%. r2: in the sample. left_out: the largest relative error of the y that is predicted for each
    model by a fit to the others. n: models.
    """

    of: str
    on: str
    exponent: float
    interval: tuple[float, float]
    p: float
    bootstrap: tuple[float, float]
    r2: float
    left_out: float
    n: int
    null: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, repr=False)
class Scaling(Summarised):
    """The models, and Δα, α's deviation and the depth of the peak against layers and parameters.

    The peak has laws only where three models of different depth have one. tests: how many p-values there are, each of
    a law by itself.
    """

    alpha: str
    models: tuple[Model, ...]
    laws: tuple[PowerLaw, ...]
    tests: int

    def summary(self) -> dict[str, object]:
        """Return the models, and the power of each law with its p-value."""
        laws = [f"{law.of} with {law.on}: {law.exponent:.2g} (p {law.p:.2g})" for law in self.laws]
        return {"models": [model.label for model in self.models], "laws": laws}


def scaling(tables: Sequence[str | Path], labels: Sequence[str] | None, alpha: str) -> Scaling:
    """Fit Δα, and the depth of α's peak, over models. alpha: as for `lifecycle`.

    Raises SpectraError for fewer than three different depths.
    """
    if len(tables) < FEWEST_MODELS:
        raise SpectraError(
            f"{len(tables)} tables are too few for a fit over models", hint="give three or more, one a model", code=2
        )
    runs = lifecycle_tables(tables, labels, alpha)
    models = tuple(_model(run, path) for run, path in zip(runs, tables, strict=True))
    if len({model.layers for model in models}) < FEWEST_MODELS:
        raise SpectraError(
            "the tables hold fewer than three different numbers of layers", hint="give models of different depth"
        )
    laws = tuple(
        law
        for size in ("layers", "parameters")
        for law in (*_spread_laws(models, alpha, size), *_peak_law(models, size))
    )
    return Scaling(alpha, models, laws, len(laws))


def _spread_laws(models: Sequence[Model], alpha: str, size: str) -> list[PowerLaw]:
    sizes = np.array([getattr(model, size) for model in models], np.float64)
    profiles = [np.array(model.profile) for model in models]
    return [
        power_law(
            sizes, np.array([spread(values) for values in profiles]), of, size,
            null=null_exponents(profiles, sizes, spread),
        )
        for of, spread in ((f"Δ{alpha}", spread_range), (f"the deviation of {alpha}", deviation))
    ]  # fmt: skip


def _peak_law(models: Sequence[Model], size: str) -> list[PowerLaw]:
    """Return the law of the depth of the peak, of those models that have one."""
    peaked = [model for model in models if model.peak is not None]
    if len({model.layers for model in peaked}) < FEWEST_MODELS:
        return []
    sizes = np.array([getattr(model, size) for model in peaked], np.float64)
    return [power_law(sizes, np.array([model.peak for model in peaked], np.float64), "the depth of the peak", size)]


def _model(run: Lifecycle, path: str | Path) -> Model:
    last = run.alpha_gradient.last if run.alpha_gradient else None
    if run.alpha_gradient is None or last is None or not last.spread > 0:
        raise SpectraError(f"{run.label} holds no {run.alpha} over depth", hint="scan it again with that metric")
    shapes = read_rows(path, columns=("matrix", "rows", "cols")).to_pandas().drop_duplicates("matrix")
    parameters = int((shapes["rows"].astype(np.int64) * shapes["cols"]).sum())
    peak = last.peak if last.peak is not None and 0 < last.peak < 1 else None
    values = run.alpha_gradient.values[:, -1]
    return Model(run.label, run.layers, parameters, tuple(values[np.isfinite(values)].tolist()), peak)


def power_law(
    x: Array, y: Array, of: str, on: str, *, null: tuple[float, float] = (0.0, 0.0), seed: int = 0
) -> PowerLaw:
    """Fit y ∝ x^b. x, y: (n,) positive, n ≥ 3. null: the smallest and largest b that mean nothing.

    >>> round(power_law(np.array([1.0, 2.0, 4.0]), np.array([3.0, 6.0, 12.0]), "y", "x").exponent, 9)
    1.0
    """
    a, b = np.log(x), np.log(y)
    design = np.column_stack([np.ones_like(a), a])
    fit = OLS(b, design).fit()
    n = len(a)
    residuals = fit.resid * np.sqrt(n / (n - 2))
    random = np.random.default_rng(seed)
    drawn = fit.fittedvalues + random.choice(residuals, (DRAWS, n))
    slopes = np.linalg.lstsq(design, drawn.T, rcond=None)[0][1]
    errors = []
    for out in range(n):
        others = np.arange(n) != out
        if np.ptp(a[others]) > 0:
            slope, intercept = np.polyfit(a[others], b[others], 1)
            errors.append(abs(np.expm1(intercept + slope * a[out] - b[out])))
    bootstrap = float(np.quantile(slopes, 0.05)), float(np.quantile(slopes, 0.95))
    low, high = map(float, fit.conf_int()[1])
    r2 = float(fit.rsquared) if np.ptp(b) > 0 else 0.0
    slope, error = float(fit.params[1]), float(fit.bse[1])
    away = abs(slope - float(np.clip(slope, *null)))
    p = 2 * float(stats.t.sf(away / error, n - 2)) if error > 0 else float(away == 0)
    return PowerLaw(of, on, slope, (low, high), p, bootstrap, r2, float(max(errors)), n, null)
