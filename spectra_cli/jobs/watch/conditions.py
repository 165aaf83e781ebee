"""When a checkpoint is complete, when a run is over, and how much of the machine watching may take."""

from __future__ import annotations

from dataclasses import dataclass

from spectra_cli.errors import SpectraError


@dataclass(frozen=True)
class Conditions:
    """How a run is watched.

    quiet: seconds without a change of its files after which a checkpoint is complete, where nothing else says so.
    marker: the name of a file that the training program leaves in a checkpoint that is complete. done_marker: of one
    that it leaves in the run's folder at its end. idle: seconds without anything new after which watching ends, None
    for never. poll: seconds between two looks, None for 1, and for 60 at the Hub. share: the most of the time that may
    go to measuring. tries: how often a checkpoint that cannot be read is tried while later ones wait.
    """

    quiet: float = 10.0
    marker: str | None = None
    done_marker: str | None = None
    idle: float | None = None
    poll: float | None = None
    share: float = 1.0
    tries: int = 5

    def __post_init__(self) -> None:
        """Refuse what can never be carried out."""
        if not 0 < self.share <= 1:
            raise SpectraError(f"--share {self.share:g} is no share of the time", hint="give 0.1, say", code=2)
        if self.quiet < 0 or (self.poll is not None and self.poll <= 0) or (self.idle is not None and self.idle <= 0):
            raise SpectraError("a time to wait must be above 0", hint="give 10s, say", code=2)
        for name in (self.marker, self.done_marker):
            if name is not None and (not name or "/" in name or name in (".", "..")):
                raise SpectraError(f"'{name}' is no name of a file", hint="give a name such as DONE", code=2)

    def rest_after(self, seconds: float) -> float:
        """Return how long to rest after measuring for so long.

        >>> Conditions(share=0.25).rest_after(2.0)
        6.0
        """
        return seconds * (1 / self.share - 1)
