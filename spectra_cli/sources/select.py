"""Chooses among listed checkpoints: by name, by step, and the one that the others are compared with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.sources.names import read_name


def choose(
    checkpoints: Sequence[Checkpoint], revisions: Sequence[str] = (), steps: str | None = None
) -> tuple[Checkpoint, ...]:
    """Keep the checkpoints that match any of the patterns and lie in the range of steps.

    revisions: shell patterns, each perhaps a comma-separated list. steps: `A:B[:N]`, both ends included, either may
    be left out, and of those every N-th, the last always among them. Raises SpectraError where nothing is left, or
    where two of those left have the same stage and step.
    """
    patterns = [piece.strip() for text in revisions for piece in text.split(",") if piece.strip()]
    kept = [one for one in checkpoints if not patterns or any(fnmatchcase(one.revision, p) for p in patterns)]
    if not kept:
        raise _nothing(", ".join(patterns), checkpoints)
    kept = _in_steps(kept, steps) if steps else kept
    seen: dict[tuple[str | None, int], Checkpoint] = {}
    for one in kept:
        if one.step is None:
            continue
        twin = seen.setdefault((one.stage, one.step), one)
        if twin is not one:
            raise SpectraError(
                f"{twin.revision} and {one.revision} of {one.model} are both step {one.step}",
                hint=_which(twin, one),
            )
    return tuple(kept)


def _which(*twins: Checkpoint) -> str:
    seeds = [read_name(one.revision).seed for one in twins]
    if None not in seeds and len(set(seeds)) == len(seeds):
        return f"they are of two runs, by their seeds: scan one at a time, with --revisions '*seed{seeds[0]}*', say"
    return "choose one of them with --revisions, or give other steps with --map"


def _nothing(patterns: str, checkpoints: Sequence[Checkpoint]) -> SpectraError:
    names = [one.revision for one in checkpoints]
    near = difflib.get_close_matches(patterns, names, 1, 0.4)
    wide = f"; the nearest is '{near[0]}'" if near else ""
    shown = ", ".join(names[:3])
    return SpectraError(
        f"no checkpoint of {checkpoints[0].model} matches '{patterns}'",
        hint=f"there are {len(names)}, among them {shown}{wide}",
        code=2,
    )


def _in_steps(checkpoints: list[Checkpoint], steps: str) -> list[Checkpoint]:
    try:
        pieces = [int(piece) if piece.strip() else None for piece in steps.split(":")]
        first, last, every = (
            pieces if len(pieces) == 3 else [*pieces, 1] if len(pieces) == 2 else [pieces[0], pieces[0], 1]
        )
        if every is None or every < 1:
            raise ValueError
    except (ValueError, IndexError):
        raise SpectraError(
            f"'{steps}' is not a range of steps", hint="write A:B or A:B:N, as in 0:1000 or 0::5", code=2
        ) from None
    inside = [
        one
        for one in checkpoints
        if one.step is not None and (first is None or one.step >= first) and (last is None or one.step <= last)
    ]
    if not inside:
        known = [one.step for one in checkpoints if one.step is not None]
        spread = f"the steps run from {min(known)} to {max(known)}" if known else "no checkpoint has a step"
        raise SpectraError(f"no checkpoint lies in steps {steps}", hint=spread, code=2)
    return inside[::-1][::every][::-1]


def pick_reference(checkpoints: Sequence[Checkpoint], name: str | None) -> Checkpoint:
    """Give the checkpoint that all are compared with: the last, or the one of that revision or step.

    Raises SpectraError where no checkpoint of the list answers to the name.
    """
    if name is None:
        return checkpoints[-1]
    for one in checkpoints:
        if one.revision == name or (one.step is not None and str(one.step) == name):
            return one
    near = difflib.get_close_matches(name, [one.revision for one in checkpoints], 3, 0.3)
    raise SpectraError(
        f"no checkpoint of {checkpoints[0].model} is called '{name}'",
        hint=f"--reference takes one of the scanned checkpoints{', such as ' + ', '.join(near) if near else ''}",
        code=2,
    )
