"""How the spread of α over depth grows with the number of layers, over several models. Knows tables, shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from statsmodels.regression.linear_model import OLS

from spectra_cli.errors import SpectraError
from spectra_cli.storage.table import read_table
from spectra_cli.studies.lifecycle import Lifecycle, correct, lifecycle_tables

Array = NDArray[np.float64]

FEWEST_MODELS = 3
DRAWS = 2000


@dataclass(frozen=True)
class Model:
    """One model at its last checkpoint. spread: Δα. peak: depth of α's vertex, None where it has none inside."""

    label: str
    layers: int
    parameters: int
    spread: float
    peak: float | None


@dataclass(frozen=True)
class PowerLaw:
    """y ∝ x^exponent by least squares of logarithms.

    interval: 95%, by Student's t. p: that the exponent is 0, corrected for the laws beside it. bootstrap: 90%, from
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


@dataclass(frozen=True)
class Scaling:
    """The models, and Δα and the depth of the peak against layers and parameters. tests: how many p-values there are.

    The peak has laws only where three models of different depth have one.
    """

    alpha: str
    models: tuple[Model, ...]
    laws: tuple[PowerLaw, ...]
    tests: int


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
    laws = [
        power_law(np.array([getattr(model, size) for model in fitted], np.float64), np.array(values), of, size)
        for of, fitted, values in _quantities(models, alpha)
        for size in ("layers", "parameters")
        if len({model.layers for model in fitted}) >= FEWEST_MODELS
    ]
    corrected = correct([law.p for law in laws])
    return Scaling(
        alpha, models, tuple(replace(law, p=float(p)) for law, p in zip(laws, corrected, strict=True)), len(laws)
    )


def _quantities(models: Sequence[Model], alpha: str) -> list[tuple[str, list[Model], list[float]]]:
    """Return what is fitted: Δα of every model, and the depth of the peak of those that have one."""
    peaked = [model for model in models if model.peak is not None]
    return [
        (f"Δ{alpha}", list(models), [model.spread for model in models]),
        ("the depth of the peak", peaked, [model.peak for model in peaked if model.peak is not None]),
    ]


def _model(run: Lifecycle, path: str | Path) -> Model:
    last = run.alpha_gradient.last if run.alpha_gradient else None
    if last is None or not last.spread > 0:
        raise SpectraError(f"{run.label} holds no {run.alpha} over depth", hint="scan it again with that metric")
    shapes = read_table(path, columns=("matrix", "rows", "cols")).to_pandas().drop_duplicates("matrix")
    parameters = int((shapes["rows"].astype(np.int64) * shapes["cols"]).sum())
    peak = last.peak if last.peak is not None and 0 < last.peak < 1 else None
    return Model(run.label, run.layers, parameters, last.spread, peak)


def power_law(x: Array, y: Array, of: str, on: str, *, seed: int = 0) -> PowerLaw:
    """Fit y ∝ x^b. x, y: (n,) positive, n ≥ 3.

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
    slope, p = float(fit.params[1]), float(fit.pvalues[1])
    return PowerLaw(of, on, slope, (low, high), p, bootstrap, r2, float(max(errors)), n)
