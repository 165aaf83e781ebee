"""The Lifecycle study: waves, gradients over depth, Q/K–V asymmetry, two timescales. Knows runs, shows nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spectra_cli.errors import SpectraError
from spectra_cli.records import Summarised, span_of
from spectra_cli.studies.inputs.runs import MLP, Run
from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.lifecycle.alpha_and_loss import AlphaAndLoss, alpha_and_loss
from spectra_cli.studies.lifecycle.asymmetry import QK, VO, Asymmetry, asymmetries
from spectra_cli.studies.lifecycle.dissociation import Dissociation, dissociation
from spectra_cli.studies.lifecycle.gradients import FEWEST_LAYERS, FIRST, Gradient, gradient, gradients_by_role
from spectra_cli.studies.lifecycle.grids import grids_by_role, mean_of, over_layers
from spectra_cli.studies.lifecycle.timescales import Timescales, timescales
from spectra_cli.studies.lifecycle.waves import Arrival, arrival, compression

Array = NDArray[np.float64]

RANK, ENTROPY = "stable_rank", "entropy"
ALPHAS = ("alpha", "alpha_ols", "alpha_hill", "alpha_tail")
FEWEST_STEPS = 4


@dataclass(frozen=True, eq=False, repr=False)
class Lifecycle(Summarised):
    """The findings on one run, of layers 0 … L−1; those that the table does not hold are NaN. layers: how many it has.

    by_role: compression in %, (T,) of each role, mean over its matrices. gradient: of compression. alpha_by_role: that
    of α in each role, q's first. loss: α beside it, None without a log. Each claim is tested by itself, at the last
    checkpoint where it is of one: it was named before the run.
    """

    label: str
    alpha: str
    layers: int
    steps: NDArray[np.int64]
    by_role: dict[str, Array]
    gradient: Gradient
    wave: Arrival
    alpha_gradient: Gradient | None
    alpha_by_role: dict[str, Gradient]
    entropy_gradient: Gradient | None
    asymmetry: tuple[Asymmetry, ...]
    timescales: Timescales
    loss: AlphaAndLoss | None = None

    def summary(self) -> dict[str, object]:
        """Return the run's size, and how far and in which order its layers compress."""
        low, high = self.span
        return {
            "label": self.label, "layers": self.layers, "checkpoints": span_of(self.steps.tolist()),
            "compression": f"{low:.0f} … {high:.0f}%", "wave_rho": round(self.wave.rho, 2),
            "wave_p": float(f"{self.wave.p:.2g}"), "alpha": self.alpha,
        }  # fmt: skip

    @property
    def dissociation(self) -> Dissociation | None:
        """Whether rank and shape part over depth; None without an exponent."""
        return dissociation(self.gradient, self.alpha_gradient)

    @property
    def compressed(self) -> Array:
        """Compression in %, (L, T), mean over a layer's matrices."""
        return self.gradient.values

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest compression of a layer at the last checkpoint."""
        ends = self.compressed[:, -1]
        ends = ends[np.isfinite(ends)]
        return (float(ends.min()), float(ends.max())) if len(ends) else (np.nan, np.nan)

    @property
    def tests(self) -> int:
        """How many claims were tested at the last checkpoint, those of roles beside q not counted."""
        gradients = (self.gradient, self.alpha_gradient, self.entropy_gradient, self.alpha_by_role.get(FIRST))
        trends = [of.last for of in gradients if of and of.last]
        shapes = 2 * sum(fit.curvature is not None for fit in trends)  # a U is looked for either way up
        spreads = sum(bool(np.isfinite(asymmetry.spread.p)) for asymmetry in self.asymmetry)
        others = (self.timescales.ratio is not None) + (self.loss is not None and self.loss.p is not None)
        return int(np.isfinite(self.wave.p)) + len(trends) + shapes + spreads + others


def lifecycle(run: Run, alpha: str = "alpha", losses: Losses | None = None) -> Lifecycle:
    """Study one run, read with stable_rank, entropy and the exponent `alpha`, one of ALPHAS; losses: what it logged.

    Raises SpectraError where it is none of them, or there is too little of the run for a trend over depth.
    """
    if alpha not in ALPHAS:
        raise SpectraError(
            f"'{alpha}' is no exponent that this study reads", hint=f"one of {', '.join(ALPHAS)}", code=2
        )
    numbers = run.numbers[run.numbers["layer"].notna() & run.numbers["role"].isin((*QK, *VO, *MLP))]
    steps = _steps(run, numbers)
    ranks, exponents, entropies = (grids_by_role(numbers, name) for name in (RANK, alpha, ENTROPY))
    if not ranks:
        raise SpectraError(f"{run.label} holds no {RANK}", hint=f"scan again with {RANK} among the --metrics")
    lost = {role: compression(grid) for role, grid in ranks.items()}
    compressed = mean_of(list(lost.values()))
    exponent = mean_of(list(exponents.values())) if exponents else np.full_like(compressed, np.nan)
    return Lifecycle(
        label=run.label,
        alpha=alpha,
        layers=int(np.isfinite(compressed).any(axis=1).sum()),
        steps=steps,
        by_role={role: over_layers(grid) for role, grid in lost.items()},
        gradient=gradient(steps, compressed),
        wave=arrival(steps.astype(float), compressed),
        alpha_gradient=gradient(steps, exponent) if exponents else None,
        alpha_by_role=gradients_by_role(
            steps, {role: exponents[role] for role in (*QK, *VO, *MLP) if role in exponents}
        ),
        entropy_gradient=gradient(steps, mean_of(list(entropies.values()))) if entropies else None,
        asymmetry=tuple(asymmetries({"compression": lost, alpha: exponents})),
        timescales=timescales(steps, mean_of(list(ranks.values())), exponent),
        loss=alpha_and_loss(steps, over_layers(exponent), losses),
    )


def _steps(run: Run, numbers: pd.DataFrame) -> NDArray[np.int64]:
    steps = run.checkpoints["step"]
    if steps.isna().any() or (steps.diff().dropna() <= 0).any():
        raise SpectraError(
            f"{run.label} has checkpoints without a step, or steps that start anew",
            hint="scan one stage, or give the steps with --map",
        )
    layers = numbers["layer"].nunique()
    if len(steps) < FEWEST_STEPS or layers < FEWEST_LAYERS:
        many = f"{len(steps)} checkpoint{'s' * (len(steps) != 1)} of {layers} layers"
        raise SpectraError(
            f"{run.label} has {many}: too few for a course over depth",
            hint=f"it takes {FEWEST_STEPS} checkpoints and {FEWEST_LAYERS} layers",
        )
    return np.asarray(steps, dtype=np.int64)
