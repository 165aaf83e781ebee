"""Whether an exponent and the loss go together from checkpoint to checkpoint, beyond their trends. Knows arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.lifecycle.significance import CHANCE
from spectra_cli.studies.stability.together import beyond_trends

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AlphaAndLoss:
    """Spearman's ρ of what is new in both at each checkpoint, and its p-value; None where there is no telling.

    n: checkpoints with a loss.
    """

    rho: float | None
    p: float | None
    n: int

    @property
    def claimed(self) -> bool:
        """Whether the two go together beyond chance."""
        return self.p is not None and self.p < CHANCE


def alpha_and_loss(steps: NDArray[np.int64], exponent: Array, losses: Losses | None) -> AlphaAndLoss | None:
    """Set an exponent, (T,) mean over layers, beside the loss at its steps; None without a log.

    Between two lines of the log the loss is on a line; outside of the log there is none.
    """
    if losses is None:
        return None
    logged = losses.frame[["step", "loss"]].dropna()
    loss = np.interp(steps, logged["step"], logged["loss"], left=np.nan, right=np.nan)
    known = np.isfinite(exponent) & np.isfinite(loss)
    rho, p = beyond_trends(np.log1p(steps[known].astype(float)), exponent[known], loss[known]) or (None, None)
    return AlphaAndLoss(rho, p, int(known.sum()))
