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
from spectra_cli.studies.stability.judgements import HOLDS, Judgement, Quantity
from spectra_cli.studies.stability.study import METRICS, stability
from spectra_cli.studies.stability.theory import OUT_OF_REACH

__all__ = [
    "HOLDS", "METRICS", "OUT_OF_REACH", "RATE", "Decoupling", "Floor", "GroupStability", "Interval", "Judgement",
    "LossStability", "Onset", "Peak", "Quantity", "RateResponse", "RateSeries", "Ratio", "RunComparison",
    "RunStability", "ShapeContrast", "compare_tables", "ratios", "stability",
]  # fmt: skip
