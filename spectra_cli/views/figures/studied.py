"""A run as figures get it: its numbers, its log, and the studies that figures and page show, each made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from spectra_cli.studies.inputs.run_inputs import RunInput
    from spectra_cli.studies.inputs.runs import Run
    from spectra_cli.studies.inputs.training_logs import Losses
    from spectra_cli.studies.lifecycle import Lifecycle
    from spectra_cli.studies.stability import RunStability


@dataclass(frozen=True, eq=False)
class StudiedRun:
    """One run. A study of it is made when it is first asked for, and only once."""

    given: RunInput
    lifecycles: dict[str, Lifecycle] = field(default_factory=dict, init=False, repr=False)

    @property
    def path(self) -> Path:
        """The table."""
        return self.given.path

    @property
    def run(self) -> Run:
        """The numbers."""
        return self.given.run

    @property
    def losses(self) -> Losses | None:
        """What the run logged, None where that was not given."""
        return self.given.losses

    @property
    def label(self) -> str:
        """The run's label, safe to draw."""
        return printable(self.run.label)

    @property
    def pool(self) -> str | None:
        """What it and the runs that differ from it by seed alone are called, safe to draw; None where none do."""
        return None if self.given.pool is None else printable(self.given.pool)

    @cached_property
    def stability(self) -> RunStability | None:
        """The two phases, None where the run has no series over steps to find them in."""
        from spectra_cli.studies.series import has_steps
        from spectra_cli.studies.stability import stability

        try:
            return stability(self.run, self.losses) if has_steps(self.run) else None
        except SpectraError:
            return None

    def lifecycle(self, exponent: str | None = None) -> Lifecycle:
        """Return the study over depth with an exponent. Raises SpectraError where the run is too short for it."""
        from spectra_cli.studies.lifecycle import lifecycle

        exponent = exponent or "alpha"
        if exponent not in self.lifecycles:
            self.lifecycles[exponent] = lifecycle(self.run, exponent, self.losses)
        return self.lifecycles[exponent]
