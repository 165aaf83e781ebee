"""Chooses among listed checkpoints: by name, by step, and the one that the others are compared with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.sources.names import read_name


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
        """Return the checkpoints in the range, thinned to every N-th, the last always among them.

        Raises SpectraError where there is none.
        """
        inside = tuple(checkpoint for checkpoint in checkpoints if self.holds(checkpoint.step))
        if not inside:
            known = [checkpoint.step for checkpoint in checkpoints if checkpoint.step is not None]
            spread = f"the steps run from {min(known)} to {max(known)}" if known else "no checkpoint has a step"
            raise SpectraError(f"no checkpoint lies in steps {self.text}", hint=spread, code=2)
        return inside[:: -self.every][::-1]


def choose(
    checkpoints: Sequence[Checkpoint], revisions: Sequence[str] = (), steps: StepRange | None = None
) -> tuple[Checkpoint, ...]:
    """Return the checkpoints that match any of the patterns and lie in the range of steps, in the order given.

    revisions: shell patterns, each perhaps a comma-separated list. Raises SpectraError where nothing is left, or
    where two of those left have the same stage and step.
    """
    patterns = [piece.strip() for text in revisions for piece in text.split(",") if piece.strip()]
    chosen = tuple(c for c in checkpoints if not patterns or any(fnmatchcase(c.revision, p) for p in patterns))
    if not chosen:
        raise _nothing(", ".join(patterns), checkpoints)
    chosen = chosen if steps is None else steps.of(chosen)
    seen: dict[tuple[str | None, int], Checkpoint] = {}
    for checkpoint in chosen:
        if checkpoint.step is None:
            continue
        twin = seen.setdefault((checkpoint.stage, checkpoint.step), checkpoint)
        if twin is not checkpoint:
            raise SpectraError(
                f"{twin.revision} and {checkpoint.revision} of {checkpoint.model} are both step {checkpoint.step}",
                hint=_which(twin, checkpoint),
            )
    return chosen


def _which(*twins: Checkpoint) -> str:
    """Return a hint on how to keep one of two checkpoints of the same step."""
    seeds = [read_name(twin.revision).seed for twin in twins]
    if None not in seeds and len(set(seeds)) == len(seeds):
        return f"they are of two runs, by their seeds: scan one at a time, with --revisions '*seed{seeds[0]}*', say"
    return "choose one of them with --revisions, or give other steps with --map"


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
