"""How spread and extremes of α over depth, its peak and the wave go with the number of layers, over several models.

The range of chance values grows with their number by itself: each power is judged against what chance gives. Knows
tables, shows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS

from spectra_cli.errors import SpectraError
from spectra_cli.records import Summarised
from spectra_cli.storage.table import read_rows
from spectra_cli.studies.inputs.run_inputs import RunInput, read_inputs
from spectra_cli.studies.lifecycle import CHANCE, ENTROPY, RANK, lifecycle
from spectra_cli.studies.null_exponents import deviation, largest, null_exponents, smallest, spread_range

Array = NDArray[np.float64]

FEWEST_MODELS = 3
DRAWS = 2000
ROUNDING = 1e-12  # of logarithms: what is nearer to their mean is equal to it


@dataclass(frozen=True)
class Model:
    """One model at its last checkpoint.

    family: the architecture that its table names, "" where it names none. profile: its α over depth. peak: of α, None
    if it has none inside. velocity: of the wave of compression, in shares of the depth a step; None without a wave.
    """

    label: str
    family: str
    layers: int
    parameters: int
    profile: tuple[float, ...]
    peak: float | None
    velocity: float | None

    @property
    def spread(self) -> float:
        """Δα, the largest minus the smallest value."""
        return float(spread_range(np.array(self.profile)))

    @property
    def deviation(self) -> float:
        """The standard deviation over depth."""
        return float(deviation(np.array(self.profile)))

    @property
    def speed(self) -> float | None:
        """The velocity without its direction."""
        return None if self.velocity is None else abs(self.velocity)

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value over depth."""
        return min(self.profile), max(self.profile)


@dataclass(frozen=True)
class PowerLaw:
    """y ∝ x^exponent by least squares of logarithms.

    interval: 95%, by Student's t. null: the smallest and largest exponent that chance gives at these depths, and p that
    the exponent is one of these; 0 where chance gives none. bootstrap: 90%, from
    residuals drawn anew, which for few models is far too narrow: of 400 nulls, 33% of three models and 13% of five were
    outside even at 95%. r2: in the sample. left_out: the largest relative error of the y that is predicted for each
    model by a fit to the others. n: models. family: the models' where they are of one among several, else "".
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
    family: str = ""


@dataclass(frozen=True, repr=False)
class Scaling(Summarised):
    """The models, and what α over depth is against their layers and parameters, and the wave against their layers.

    The peak and the velocity have laws only where three models of different depth have one. Where there are several
    families, each that has three depths has its own laws beside those of all models. tests: how many p-values there
    are, each of a law by itself.
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
    inputs = read_inputs(tables, (RANK, ENTROPY, alpha), labels=labels)
    models = tuple(_model(given, alpha) for given in inputs)
    if len({model.layers for model in models}) < FEWEST_MODELS:
        raise SpectraError(
            "the tables hold fewer than three different numbers of layers", hint="give models of different depth"
        )
    laws = tuple(law for family, members in _families(models).items() for law in _laws(members, alpha, family))
    return Scaling(alpha, models, laws, len(laws))


def _families(models: Sequence[Model]) -> dict[str, list[Model]]:
    """Return all models as "", and where there are several families each that has enough depths for a law."""
    groups = {"": list(models)}
    names = dict.fromkeys(model.family for model in models)
    for name in names if len(names) > 1 else ():
        members = [model for model in models if model.family == name]
        if name and _enough(members):
            groups[name] = members
    return groups


def _enough(models: Sequence[Model]) -> bool:
    return len({model.layers for model in models}) >= FEWEST_MODELS


def _laws(models: Sequence[Model], alpha: str, family: str) -> list[PowerLaw]:
    laws = [
        law
        for size in ("layers", "parameters")
        for law in (*_spread_laws(models, alpha, size), *_law_of(models, "the depth of the peak", "peak", size))
    ]
    laws += [*_extreme_laws(models, alpha), *_law_of(models, "the wave's speed, in depths a step,", "speed", "layers")]
    return [replace(law, family=family) for law in laws]


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


def _extreme_laws(models: Sequence[Model], alpha: str) -> list[PowerLaw]:
    """Return the laws of the largest and the smallest value, where all values are positive."""
    if min(model.extremes[0] for model in models) <= 0:
        return []
    layers = np.array([model.layers for model in models], np.float64)
    profiles = [np.log(model.profile) for model in models]
    return [
        power_law(
            layers, np.array([extreme(values) for values in profiles]), f"the {name} {alpha}", "layers",
            null=null_exponents(profiles, layers, extreme),
        )
        for name, extreme in (("largest", largest), ("smallest", smallest))
    ]  # fmt: skip


def _law_of(models: Sequence[Model], of: str, name: str, size: str) -> list[PowerLaw]:
    """Return the law of a number that not every model has, of those models that have it."""
    having = [model for model in models if getattr(model, name) is not None]
    if not _enough(having):
        return []
    sizes, values = (np.array([getattr(model, what) for model in having], np.float64) for what in (size, name))
    return [power_law(sizes, values, of, size)]


def _model(given: RunInput, alpha: str) -> Model:
    run = lifecycle(given.run, alpha)
    last = run.alpha_gradient.last if run.alpha_gradient else None
    if run.alpha_gradient is None or last is None or not last.spread > 0:
        raise SpectraError(f"{run.label} holds no {run.alpha} over depth", hint="scan it again with that metric")
    shapes = read_rows(given.path, columns=("matrix", "rows", "cols")).to_pandas().drop_duplicates("matrix")
    parameters = int((shapes["rows"].astype(np.int64) * shapes["cols"]).sum())
    peak = last.peak if last.peak is not None and 0 < last.peak < 1 else None
    values = run.alpha_gradient.values[:, -1]
    profile = tuple(values[np.isfinite(values)].tolist())
    velocity = run.wave.velocity / (run.layers - 1) if run.wave.p < CHANCE else None
    return Model(run.label, given.run.family, run.layers, parameters, profile, peak, velocity)


def power_law(
    x: Array, y: Array, of: str, on: str, *, null: tuple[float, float] = (0.0, 0.0), seed: int = 0
) -> PowerLaw:
    """Fit y ∝ x^b. x, y: (n,) positive, n ≥ 3. null: the smallest and largest b that mean nothing.

    >>> round(power_law(np.array([1.0, 2.0, 4.0]), np.array([3.0, 6.0, 12.0]), "y", "x").exponent, 9)
    1.0
    """
    a, b = np.log(x), np.log(y)
    b = np.where(np.abs(b - b.mean()) <= ROUNDING, 0.0, b - b.mean())
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
