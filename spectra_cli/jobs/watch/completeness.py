"""Whether a checkpoint is all there, from what training programs write last, or from files that no longer change."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spectra_cli import sources, weights
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.watch.conditions import Conditions
from spectra_cli.measure.request import Request
from spectra_cli.records import Checkpoint, Remote
from spectra_cli.weights.files import Boundary, read_json
from spectra_cli.weights.grouping import STATES

TRAINER_STATE, CONFIG = "trainer_state.json", "config.json"
DCP_METADATA = ".metadata"
# Files that hold weights or say what they mean, among results, logs and cards, which may be written at any time.
OF_WEIGHTS = re.compile(
    r"\.(safetensors|bin|pt|pth|ckpt|distcp|npz)$|config|index\.json$|params\.json$|meta[^/]*$", re.IGNORECASE
)
Clock = Callable[[], float]


def files_of(checkpoint: Checkpoint) -> str:
    """Return what tells that a checkpoint's weights were replaced: names, sizes and times of files, or its blobs."""
    path = checkpoint.path
    if isinstance(path, Remote):
        # A folder of a branch keeps its files when the branch moves on to another commit.
        blobs = [[file.name, file.blob] for file in path.files]
        return json.dumps([["", path.repository, path.folder, *([] if blobs else [path.commit])], *blobs])
    own = f"{path.name}/{CONFIG}"
    listed = ((str(name), facts) for name, *facts in sources.fingerprint(path))
    files = {name: [name, *facts] for name, facts in listed if OF_WEIGHTS.search(name)}
    if own in files:
        files.pop(CONFIG, None)  # the run's serves those that have none, and many programs write it at the end
    return json.dumps([*files.values()])


def lacks(before: str, now: str) -> bool:
    """Whether files are gone: the training program removes a checkpoint.

    >>> lacks('[["a.bin", 1, 5], ["b.bin", 2, 5]]', '[["b.bin", 2, 6]]'), lacks('[]', '[["a.bin", 2, 6]]')
    (True, False)
    """
    return not _by_name(before).keys() <= _by_name(now).keys()


def rewritten(before: str, now: str) -> bool:
    """Whether files were written anew, or more came that may matter; states of optimizers may come at any time.

    >>> rewritten('[["a.bin", 1, 5], ["b.bin", 2, 5]]', '[["b.bin", 2, 5], ["step1/rng_state_3.pth", 1, 6]]')
    False
    >>> rewritten('[["a.bin", 1, 5]]', '[["a.bin", 1, 6]]'), rewritten('[["a.bin", 1, 5]]', '[["config.json", 2, 6]]')
    (True, True)
    """
    earlier, later = _by_name(before), _by_name(now)
    new = later.keys() - earlier.keys()
    return any(later[name] != earlier[name] for name in later.keys() & earlier.keys()) or any(
        not STATES.search(name.rpartition("/")[2]) for name in new
    )


def _by_name(files: str) -> dict[str, list[object]]:
    return {name: facts for name, *facts in json.loads(files)}


@dataclass
class _Look:
    files: str
    since: float
    being_removed: bool = False
    whole: bool = False


class Completeness:
    """Remembers since when the files of each checkpoint have not changed, by this process's own clock.

    Times of files are compared with each other only: clocks of machines differ.
    """

    def __init__(self, request: Request, conditions: Conditions, clock: Clock = time.monotonic) -> None:
        """Nothing has been looked at."""
        self._request, self._conditions, self._clock = request, conditions, clock
        self._looks: dict[str, _Look] = {}

    def begin(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Look once at the files of each checkpoint that was not looked at before."""
        for checkpoint in checkpoints:
            if checkpoint.key not in self._looks:
                self.unchanged_for(checkpoint)

    def unchanged_for(self, checkpoint: Checkpoint) -> float:
        """Look at the files, and return for how many seconds they have been what they are."""
        files, now = files_of(checkpoint), self._clock()
        look = self._looks.get(checkpoint.key)
        if look is None or look.files != files:
            look = self._looks[checkpoint.key] = _Look(files, now, look is not None and lacks(look.files, files))
        return now - look.since

    def quiet_in(self, checkpoint: Checkpoint) -> float:
        """Return in how many seconds files that do not change will have been quiet; infinite where they have been."""
        left = self._conditions.quiet - (self._clock() - self._looks[checkpoint.key].since)
        return left if left > 0 else math.inf

    def complete(self, checkpoint: Checkpoint) -> str | None:
        """Return what its files are if it is complete; None where it is not, or not yet known to be.

        What is on the Hub was committed whole. Elsewhere the user's marker counts if one was named; else what its
        training program writes last, or the quiet period. In any case the headers must be met by the files' lengths.
        Where files were removed since the last look, what was written last says nothing: what they said is gone.
        """
        path = checkpoint.path
        rested = self.unchanged_for(checkpoint) >= self._conditions.quiet
        look = self._looks[checkpoint.key]
        if isinstance(path, Remote):
            return look.files
        if self._conditions.marker is not None:
            ready = _marker(path, self._conditions.marker).exists() and (rested or not look.being_removed)
        else:
            ready = rested or (_says_so(path) and not look.being_removed)
        if ready and not look.whole:
            look.whole = self._is_whole(path) and files_of(checkpoint) == look.files
        return look.files if ready and look.whole else None

    def forget(self, key: str) -> None:
        """Forget a checkpoint that was measured, or is gone."""
        self._looks.pop(key, None)

    def _is_whole(self, path: Path) -> bool:
        """Whether all files of the weights are there, of the lengths that their headers declare."""
        try:
            with weights.open_weights(path, follow_links=self._request.follow_links, ema=self._request.ema):
                return True
        except SpectraError:
            return False


def _marker(path: Path, name: str) -> Path:
    """Return where the marker of a checkpoint lies: in its folder, or beside its file, with its name before it."""
    return path / name if path.is_dir() else path.with_name(f"{path.name}.{name}")


def _says_so(path: Path) -> bool:
    """Whether the training program has written what it writes last, and no other file since, as a resumed run does.

    transformers' Trainer: `trainer_state.json`; its folder is younger where a file was added or removed since. torch's
    distributed checkpoints: `.metadata`, renamed once all ranks are done.
    """
    inside = _children(path)
    if any(_is_last(folder / DCP_METADATA, _children(folder)) for folder in (path, *filter(Path.is_dir, inside))):
        return True
    return trainer_state(path) is not None and _is_last(path / TRAINER_STATE, (path, *inside))


def _children(folder: Path) -> list[Path]:
    """Return what a folder holds: nothing where it is none, or is removed at this moment."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_last(last: Path, others: Iterable[Path]) -> bool:
    try:
        written = last.stat().st_mtime_ns
        return all(other.stat().st_mtime_ns <= written for other in others)
    except OSError:  # it is not there, or something is removed at this moment
        return False


def trainer_state(folder: Path) -> dict[str, object] | None:
    """Return what transformers' Trainer left in a folder; None where it is not there, or not whole."""
    try:
        return read_json(folder / TRAINER_STATE, Boundary(folder))[1]
    except SpectraError:
        return None


def says_done(checkpoint: Checkpoint | None, run: Path, done_marker: str | None) -> bool:
    """Whether the run says that it is over: by the user's marker, or by a last step that was the last one planned.

    checkpoint: the last one measured. Nothing else is taken for a sign: weights in the run's own folder may be those
    of an evaluation, and a run that stopped early cannot be told from one that was killed.
    """
    if done_marker is not None:
        return (run / done_marker).exists()
    if checkpoint is None or not isinstance(checkpoint.path, Path):
        return False
    state = trainer_state(checkpoint.path) or {}
    step, planned = state.get("global_step"), state.get("max_steps")
    return isinstance(step, int) and isinstance(planned, int) and 0 < planned <= step
