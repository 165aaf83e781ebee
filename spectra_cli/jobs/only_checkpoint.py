"""Finds the checkpoint that a source is, for commands that take a single one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from spectra_cli import sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint

Wanted = Callable[[Sequence[str]], tuple[str, ...]]


def only_checkpoint(
    source: str, client: sources.Client, *, ema: bool = False, wanted: Wanted = weights.checkpoint_files
) -> Checkpoint:
    """Return the one checkpoint of a source. Raises SpectraError where it holds none, or (code 2) several.

    wanted: returns those names of a folder on the Hub that are read, none where it holds no checkpoint.
    """
    if sources.is_remote(source):
        listing = sources.list_remote(source, (), client, wanted)
    else:
        recognise = partial(weights.recognise, ema=ema)
        listing = sources.list_folder(Path(source), recognise, explain=weights.why_unread)
    if len(listing.checkpoints) > 1:
        names = ", ".join(checkpoint.revision for checkpoint in listing.checkpoints[:3])
        raise SpectraError(
            f"{source} holds {len(listing.checkpoints)} checkpoints", hint=f"name one of them, such as {names}", code=2
        )
    return listing.checkpoints[0]
