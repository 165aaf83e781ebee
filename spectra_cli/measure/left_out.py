"""The one rule of what may be left out of a table without a word. Knows no format and no family.

A stored tensor with two axes or more, of floating or quantised numbers, is measured, or is part of one that is (a
mask, a scale), or is named as a problem, so that the exit code is 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spectra_cli.records import Checkpoint, Problem, Skipped, StoredTensor


def lost(
    skipped: Iterable[Skipped], unreadable: Iterable[Skipped], tensors: Mapping[str, StoredTensor]
) -> tuple[Skipped, ...]:
    """Return what looks like a weight and is not measured.

    skipped: tensors that were read and gave no matrix. unreadable: those that could not be read. tensors: by name, what
    is known of those that were read.

    >>> tensors = {"w": StoredTensor("w", (2, 3, 4), "float32"), "bias": StoredTensor("bias", (3,), "float32")}
    >>> lost([Skipped("w", "3 axes"), Skipped("bias", "vector")], [], tensors)
    (Skipped(tensor='w', reason='3 axes', harmless=False),)
    """
    weights = (skip for skip in skipped if skip.tensor not in tensors or tensors[skip.tensor].looks_like_weight)
    return tuple(dict.fromkeys(skip for skip in (*unreadable, *weights) if not skip.harmless))


def left_out_problem(checkpoint: Checkpoint, skipped: Skipped) -> Problem:
    """Return what is reported of a tensor that looks like a weight and is not measured."""
    return Problem(
        f"{checkpoint.revision}: {skipped.tensor} is left out: {skipped.reason}", "the other tensors are measured"
    )
