"""The record of one metric in the catalogue. Knows no metric in particular."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from spectra_cli.records import Against

Limit = float | Literal["r", "ln r"]


@dataclass(frozen=True)
class Metric:
    """One entry of the catalogue: a name of the table's column `metric` and the function that computes its rows.

    function: of a stack of b Spectra, or of Pairs where `against` names the other matrices; returns (b,) numbers,
    (b, k) float32 for vectors, or None for "does not apply". degree: d in f(cW) = c^d f(W); None where the metric
    follows no such law. low, high: the range, with r the smaller side of the matrix. default: whether a scan computes
    it unasked. cost: beyond the spectrum itself. needs: what of a spectrum or a pair is computed only for such metrics.
    """

    name: str
    function: Callable[..., NDArray[Any] | None]
    against: Against | None = None
    degree: int | None = 0
    low: Limit = -math.inf
    high: Limit = math.inf
    default: bool = True
    cost: str = "O(r)"
    needs: Literal["rounding", "shuffled", "vectors"] | None = None
    ranged: bool = False

    @property
    def documentation(self) -> str:
        """The docstring of the function: what it is, formula, range, when NaN, source, an example."""
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        """First line of the documentation."""
        return self.documentation.partition("\n")[0]

    @property
    def source(self) -> str:
        """Where the definition comes from: the paragraph of the documentation that begins with `Source:`."""
        paragraph = self.documentation.partition("Source:")[2].partition("\n\n")[0]
        return " ".join(paragraph.split())

    def limits(self, r: int) -> tuple[float, float]:
        """Return the range for a matrix whose smaller side is r.

        >>> Metric("entropy", len, low=0, high="ln r").limits(1)
        (0.0, 0.0)
        """
        low, high = ({"r": float(r), "ln r": math.log(max(r, 1))}.get(str(x), x) for x in (self.low, self.high))
        return float(low), float(high)
