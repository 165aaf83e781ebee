"""The two phases of a run, from the variation of its spectra: `stability` of a run, `compare_tables` of tables."""

from spectra_cli.studies.stability.compare import compare_tables, ratios
from spectra_cli.studies.stability.findings import (
    RATE,
    Decoupling,
    Floor,
    GroupStability,
    Interval,
    LossStability,
    Onset,
    Peak,
    RateResponse,
    RateSeries,
    Ratio,
    RunComparison,
    RunStability,
    ShapeContrast,
)
from spectra_cli.studies.stability.study import METRICS, stability

__all__ = [
    "METRICS", "RATE", "Decoupling", "Floor", "GroupStability", "Interval", "LossStability", "Onset", "Peak",
    "RateResponse", "RateSeries", "Ratio", "RunComparison", "RunStability", "ShapeContrast", "compare_tables", "ratios",
    "stability",
]  # fmt: skip
