"""Whether rank and shape part over depth: compression's gradient turns while the exponent's stays. Knows gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectra_cli.studies.lifecycle.gradients import Gradient, Trend
from spectra_cli.studies.lifecycle.significance import CHANCE, correct


@dataclass(frozen=True)
class Dissociation:
    """What becomes of two slopes over depth.

    rank_turns, shape_turns: steps at which the slope of compression, and that of the exponent, change their sign.
    stays_from: the first step at which the exponent's slope has, beyond chance, the sign that it has beyond chance at
    the last checkpoint; None where it has none there.
    """

    rank_turns: tuple[float, ...]
    shape_turns: tuple[float, ...]
    stays_from: int | None

    @property
    def claimed(self) -> bool:
        """Whether compression's slope turned, and the exponent's kept its sign to the end."""
        return bool(self.rank_turns) and not self.shape_turns and self.stays_from is not None


def dissociation(compression: Gradient, exponent: Gradient | None) -> Dissociation | None:
    """Return whether the two part; None without an exponent. Both are of one run, at the same steps."""
    if exponent is None or exponent.last is None:
        return None
    return Dissociation(compression.turns, exponent.turns, _stays_from(exponent, exponent.last))


def _stays_from(gradient: Gradient, last: Trend) -> int | None:
    if last.slope_p >= CHANCE:
        return None
    slopes = np.array([fit.slope if fit else np.nan for fit in gradient.trends])
    alike = (np.sign(slopes) == np.sign(last.slope)) & (correct(gradient.slope_p.tolist()) < CHANCE)
    alike[-1] = True
    return int(gradient.steps[np.argmax(alike)])
