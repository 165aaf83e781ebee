"""This machine as an executor: its processors, with a GPU beside them where there is one."""

from __future__ import annotations

from dataclasses import dataclass

from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import OnMatrix, compute_spectra, measure_matrices
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.measure.results import MatrixResult
from spectra_cli.measure.trajectory import Upcoming


@dataclass
class LocalExecutor:
    """Measures on this machine; `begun` is set once the first checkpoint was waited for."""

    device: str
    begun: bool = False
    reads: bool = True

    def use_waiting_time(self, reference: OpenCheckpoint | None, first: Upcoming) -> None:
        """While the first checkpoint is fetched, compute the spectra of the one that all are compared with."""
        if self.begun or reference is None or reference.checkpoint == first.checkpoint:
            return
        self.begun = True
        if first.is_remote:
            first.prefetch()
            compute_spectra(reference)

    def measure(self, comparison: Comparison, upcoming: Upcoming | None, on_done: OnMatrix) -> list[MatrixResult]:
        """Return a result for each matrix of the current checkpoint, in their order."""
        if upcoming is not None:
            upcoming.prefetch()
        return measure_matrices(comparison, comparison.current.layout.matrices, on_done)
