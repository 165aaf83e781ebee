"""The Lifecycle study of a run over depth and training: `lifecycle` of a run, `compare_lifecycles` of tables."""

from spectra_cli.studies.lifecycle.alpha_and_loss import AlphaAndLoss
from spectra_cli.studies.lifecycle.asymmetry import Asymmetry, SpreadRatio
from spectra_cli.studies.lifecycle.dissociation import Dissociation
from spectra_cli.studies.lifecycle.gradients import FIRST, Gradient, Trend, is_inverted_u
from spectra_cli.studies.lifecycle.seeds import LifecycleComparison, compare_lifecycles
from spectra_cli.studies.lifecycle.significance import CHANCE, correct
from spectra_cli.studies.lifecycle.study import ALPHAS, ENTROPY, RANK, Lifecycle, lifecycle
from spectra_cli.studies.lifecycle.timescales import Decay, Timescales
from spectra_cli.studies.lifecycle.waves import Arrival

__all__ = [
    "ALPHAS", "CHANCE", "ENTROPY", "FIRST", "RANK", "AlphaAndLoss", "Arrival", "Asymmetry", "Decay", "Dissociation",
    "Gradient", "Lifecycle", "LifecycleComparison", "SpreadRatio", "Timescales", "Trend", "compare_lifecycles",
    "correct", "is_inverted_u", "lifecycle",
]  # fmt: skip
