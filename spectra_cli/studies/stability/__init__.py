"""The two phases of a run, from the variation of its spectra: `stability` of a run, `compare_tables` of tables."""

from spectra_cli.studies.stability.compare import compare_tables, ratios
from spectra_cli.studies.stability.findings import (
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
)
from spectra_cli.studies.stability.study import METRICS, RATE, stability

__all__ = [
    "METRICS", "RATE", "Decoupling", "Floor", "GroupStability", "Interval", "LossStability", "Onset", "Peak",
    "RateResponse", "RateSeries", "Ratio", "RunComparison", "RunStability", "compare_tables", "ratios", "stability",
]  # fmt: skip
