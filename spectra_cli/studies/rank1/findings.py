"""What the study of a run's last checkpoints finds: frozen records, and the rule of the verdict. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["one-dimensional", "not beyond drift", "too few checkpoints"]

FEWEST = 6  # points of a sequence; with fewer, a walk's share reaches that of a line
CHANCE = 0.05
WHOLE = "all"


@dataclass(frozen=True)
class Beside:
    """What a null gives for a number: its mean, 95% interval, and the two-sided p of the run's own number."""

    share: float
    interval: tuple[float, float]
    p: float

    def is_exceeded(self, value: float) -> bool:
        """Whether a number lies above this null's, beyond chance.

        >>> Beside(0.61, (0.58, 0.64), 0.01).is_exceeded(0.9), Beside(0.61, (0.58, 0.64), 0.3).is_exceeded(0.62)
        (True, False)
        """
        return value > self.share and self.p < CHANCE


@dataclass(frozen=True)
class SequenceFindings:
    """A sequence of checkpoints, raw or merged. shares: of each component, descending, those above a thousandth.

    update_cosine: mean of neighbouring updates'. null_walk, null_persistent: what the first share is beside.
    points: on the first two components, with the index of the last raw checkpoint of each.
    """

    shares: tuple[float, ...]
    null_walk: Beside
    null_persistent: Beside
    update_cosine: float
    verdict: Verdict
    points: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True)
class Halves:
    """Cosine between the raw displacements of the first and the second half of the run, beside the same nulls."""

    cosine: float
    null_walk: Beside
    null_persistent: Beside


@dataclass(frozen=True)
class StepParts:
    """What raw steps are made of, about the merged sequence's first direction, in squares of their length.

    progress: their mean along it, going forward. back_and_forth: the rest along it. across: all else. The three sum
    to 1.
    """

    progress: float
    back_and_forth: float
    across: float


@dataclass(frozen=True)
class GroupFindings:
    """A group of matrices: the whole model, a role, or a layer. elements: how many weights it has.

    dimensions: in how many directions its steps are independent.
    """

    name: str
    role: str | None
    layer: int | None
    elements: int
    raw: SequenceFindings
    merged: SequenceFindings
    halves: Halves
    steps: StepParts
    dimensions: float


@dataclass(frozen=True)
class Rank1:
    """The study of a run. revisions, numbers: name and step of each raw checkpoint. groups: the whole model first."""

    model: str
    window: int
    revisions: tuple[str, ...]
    numbers: tuple[int | None, ...]
    groups: tuple[GroupFindings, ...]

    @property
    def whole(self) -> GroupFindings:
        """The whole model."""
        return self.groups[0]

    @property
    def verdict(self) -> Verdict:
        """Of the whole model's merged checkpoints."""
        return self.whole.merged.verdict


def verdict_of(points: int, share: float, nulls: tuple[Beside, Beside], halves: Halves) -> Verdict:
    """Return the verdict on a sequence: one-dimensional only beyond both nulls, in its share and in its halves."""
    if points < FEWEST:
        return "too few checkpoints"
    beyond = all(null.is_exceeded(share) for null in nulls)
    drifts = all(null.is_exceeded(halves.cosine) for null in (halves.null_walk, halves.null_persistent))
    return "one-dimensional" if beyond and drifts and halves.cosine > 0 else "not beyond drift"
