"""What is asked of a merge, and what follows from it before any tensor is read: checkpoints, coefficients. No file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.surgery.combinations import (
    DIRECTIONS,
    FEWEST_MERGED,
    METHODS,
    Array,
    Line,
    parse_coefficients,
    principal,
    secant,
    window_line,
)
from spectra_cli.surgery.windows import Extent, Run, choose_run


@dataclass(frozen=True)
class MergeOptions:
    """How checkpoints are merged; every option of `spectra merge` with its one default, as it was written.

    method: one of METHODS. window: how much of the run's end is averaged, as `5`, `5000steps` or `20Btokens`. spacing:
    how far apart the averaged checkpoints are, likewise. direction: in which an extrapolation goes, one of DIRECTIONS.
    coefficients: how far, as in `0,1,2`; None for the default grid.
    """

    method: str = "mean"
    window: str = "5"
    spacing: str = "1"
    direction: str = "secant"
    coefficients: str | None = None

    def __post_init__(self) -> None:
        """Raise SpectraError, code 2, for what can never be carried out."""
        for option, value, known in (
            ("--method", self.method, METHODS),
            ("--direction", self.direction, DIRECTIONS),
        ):
            if value not in known:
                raise SpectraError(f"{option} {value} is none of these", hint=f"give {', '.join(known)}", code=2)
        if self.coefficients is not None and not self.extrapolates:
            raise SpectraError("--coefficients are for --method extra", hint="leave them out, or add it", code=2)
        _ = self.extents, self.grid

    @property
    def extrapolates(self) -> bool:
        """Whether it goes beyond averages of checkpoints."""
        return self.method == "extra"

    @cached_property
    def extents(self) -> tuple[Extent, Extent]:
        """The window and the spacing."""
        return Extent.parse(self.window, "--window"), Extent.parse(self.spacing, "--spacing")

    @cached_property
    def grid(self) -> tuple[float, ...] | None:
        """The coefficients that were given; None for the default ones."""
        return parse_coefficients(self.coefficients) if self.coefficients is not None else None

    @property
    def follows_component(self) -> bool:
        """Whether the checkpoints must be read to know their coefficients."""
        return self.extrapolates and self.direction == "pc1"

    @property
    def needs_before(self) -> int:
        """How many checkpoints there must be before the window."""
        if not self.extrapolates:
            return 0
        return FEWEST_MERGED - 1 if self.follows_component else 1

    def run_of(self, checkpoints: Sequence[Checkpoint]) -> Run:
        """Return the checkpoints of a run that are merged, in order. Raises SpectraError, code 2, where it is short."""
        run = choose_run(checkpoints, *self.extents, beyond=self.needs_before)
        if self.follows_component:
            return run
        return replace(run, checkpoints=run.checkpoints[-run.window - self.needs_before :])

    def line(self, run: Run, gram: Array | None = None) -> Line:
        """Return the merged checkpoints among which one is chosen. gram: of the run's checkpoints, for a component."""
        count = len(run.checkpoints)
        if not self.extrapolates:
            return window_line(self.method, count, run.window)
        return secant(count, run.window) if gram is None else principal(gram, run.window)

    def candidates(self, line: Line) -> tuple[Candidate, ...]:
        """Return those among which one is chosen: along the line, or the one that the method gives."""
        grid = self.grid or (line.default_grid() if self.extrapolates else (0.0,))
        return tuple(Candidate.on(line, c) for c in dict.fromkeys(grid))

    def check_choice(self, *, by_text: bool) -> None:
        """Raise SpectraError, code 2, where nothing says which of several candidates is to be written."""
        if self.extrapolates and not by_text and len(self.grid or (0, 1)) > 1:
            raise SpectraError(
                "nothing chooses how far --method extra goes",
                hint="give --text FILE to choose by the loss on it, or one number, as in --coefficients 1", code=2,
            )  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One merged checkpoint that may be chosen. coefficients: of the run's checkpoints, oldest first."""

    c: float
    lead: float
    coefficients: tuple[float, ...]

    @classmethod
    def on(cls, line: Line, c: float) -> Candidate:
        """Return the one at a place of a line."""
        return cls(c, line.lead(c), tuple(map(float, line.at(c))))
