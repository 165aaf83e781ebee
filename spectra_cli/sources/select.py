"""Chooses among listed checkpoints: by name, by step, and the one that the others are compared with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os.path import commonprefix

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.sources.folder import Listing
from spectra_cli.sources.stages import DateOf, StageOrder, in_order


@dataclass(frozen=True)
class StepRange:
    """Steps from `first` to `last`, both included, None for an open end; of the checkpoints there, every `every`-th.

    text: as it was written.
    """

    first: int | None = None
    last: int | None = None
    every: int = 1
    text: str = field(default=":", compare=False)

    @classmethod
    def parse(cls, text: str) -> StepRange:
        """Read `A:B[:N]`, of which A or B may be left out, or a single step. Raises SpectraError for anything else.

        >>> StepRange.parse("1000::2"), StepRange.parse("4").last
        (StepRange(first=1000, last=None, every=2, text='1000::2'), 4)
        """
        try:
            pieces = [int(piece) if piece.strip() else None for piece in text.split(":")]
            pieces = pieces * 2 if len(pieces) == 1 else pieces
            first, last, every = pieces if len(pieces) > 2 else [*pieces, 1]
            if every is None or every < 1:
                raise ValueError
        except ValueError:
            raise SpectraError(
                f"'{text}' is not a range of steps", hint="write A:B or A:B:N, as in 0:1000 or 0::5", code=2
            ) from None
        return cls(first, last, every, text)

    def __str__(self) -> str:
        """Return the range as it was written."""
        return self.text

    def holds(self, step: int | None) -> bool:
        """Whether a step is in the range; an unknown one is not.

        >>> [StepRange(2, 4).holds(step) for step in (1, 2, 4, 5, None)]
        [False, True, True, False, False]
        """
        if step is None:
            return False
        return (self.first is None or step >= self.first) and (self.last is None or step <= self.last)

    def of(self, checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
        """Return the checkpoints in the range. Raises SpectraError where there is none."""
        inside = tuple(checkpoint for checkpoint in checkpoints if self.holds(checkpoint.step))
        if not inside:
            known = [checkpoint.step for checkpoint in checkpoints if checkpoint.step is not None]
            spread = f"the steps run from {min(known)} to {max(known)}" if known else "no checkpoint has a step"
            raise SpectraError(f"no checkpoint lies in steps {self.text}", hint=spread, code=2)
        return inside

    def thinned(self, checkpoints: tuple[Checkpoint, ...]) -> tuple[Checkpoint, ...]:
        """Return every N-th of some checkpoints, the last always among them."""
        return checkpoints[:: -self.every][::-1]


@dataclass(frozen=True)
class Chosen:
    """The checkpoints that are wanted, in the order of training, and how their stages follow each other."""

    checkpoints: tuple[Checkpoint, ...]
    stages: StageOrder = StageOrder()


def choose(
    listing: Listing, revisions: Sequence[str] = (), steps: StepRange | None = None, date_of: DateOf = lambda _: None
) -> Chosen:
    """Return the checkpoints that match any of the patterns and lie in the range of steps, in the order of training.

    revisions: shell patterns, each perhaps a comma-separated list. date_of: returns when a checkpoint was committed;
    it is asked only where names do not tell which of two stages came first. Raises SpectraError where nothing is left,
    where two of those left have the same stage and step, or where nothing orders their stages.
    """
    patterns = [piece.strip() for text in revisions for piece in text.split(",") if piece.strip()]
    every = listing.checkpoints
    chosen = tuple(c for c in every if not patterns or any(fnmatchcase(c.revision, p) for p in patterns))
    if not chosen:
        raise _nothing(", ".join(patterns), every)
    chosen = chosen if steps is None else steps.of(chosen)
    seen: dict[tuple[str | None, int], Checkpoint] = {}
    for checkpoint in chosen:
        if checkpoint.step is None:
            continue
        twin = seen.setdefault((checkpoint.stage, checkpoint.step), checkpoint)
        if twin is not checkpoint:
            raise SpectraError(
                f"{twin.revision} and {checkpoint.revision} of {checkpoint.model} are both step {checkpoint.step}",
                hint=f"choose one of them, as with --revisions '{_without(chosen, twin)}', or give steps with --map",
            )
    ordered, stages = in_order(chosen, listing.mapped_stages, date_of)
    return Chosen(ordered if steps is None else steps.thinned(ordered), stages)


def _without(checkpoints: Sequence[Checkpoint], twin: Checkpoint) -> str:
    """Return a value for --revisions that leaves one of two checkpoints out."""
    names = [checkpoint.revision for checkpoint in checkpoints if checkpoint is not twin]
    pattern = commonprefix(names) + "*"
    if names[1:] and not fnmatchcase(twin.revision, pattern):
        return pattern
    return ",".join(names)


def _nothing(patterns: str, checkpoints: Sequence[Checkpoint]) -> SpectraError:
    """Return the error for patterns that match nothing, with the nearest name."""
    names = [checkpoint.revision for checkpoint in checkpoints]
    near = difflib.get_close_matches(patterns, names, 1, 0.4)
    wide = f"; the nearest is '{near[0]}'" if near else ""
    shown = ", ".join(names[:3])
    return SpectraError(
        f"no checkpoint of {checkpoints[0].model} matches '{patterns}'",
        hint=f"there are {len(names)}, among them {shown}{wide}",
        code=2,
    )


def pick_reference(checkpoints: Sequence[Checkpoint], name: str | None) -> Checkpoint:
    """Return the checkpoint that all are compared with: the last, or the one of that revision or step.

    Raises SpectraError where no checkpoint of the list answers to the name.
    """
    if name is None:
        return checkpoints[-1]
    for checkpoint in checkpoints:
        if checkpoint.revision == name or (checkpoint.step is not None and str(checkpoint.step) == name):
            return checkpoint
    near = difflib.get_close_matches(name, [checkpoint.revision for checkpoint in checkpoints], 3, 0.3)
    raise SpectraError(
        f"no checkpoint of {checkpoints[0].model} is called '{name}'",
        hint=f"--reference takes one of the scanned checkpoints{', such as ' + ', '.join(near) if near else ''}",
        code=2,
    )
