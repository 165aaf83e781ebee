"""Whether a checkpoint is all there, from what training programs write last, or from files that no longer change."""

from __future__ import annotations

import json
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

TRAINER_STATE = "trainer_state.json"
DCP_METADATA, DCP_CHUNK = ".metadata", ".distcp"
Clock = Callable[[], float]


def files_of(checkpoint: Checkpoint) -> str:
    """Return what tells that a checkpoint's weights were replaced: names, sizes and times of files, or its blobs.

    States of optimizers and the like are left out: a program may add or remove them later.
    """
    path = checkpoint.path
    if isinstance(path, Remote):
        # A folder of a branch keeps its files when the branch moves on to another commit.
        blobs = [[file.name, file.blob] for file in path.files]
        return json.dumps([path.repository, path.folder, blobs or path.commit])
    return json.dumps([file for file in sources.fingerprint(path) if _of_weights(str(file[0]))])


def _of_weights(name: str) -> bool:
    return name.endswith(DCP_CHUNK) or not STATES.search(name.rpartition("/")[2])


def lacks_only(before: str, now: str) -> bool:
    """Whether files are gone and none is new or changed: the training program removes a checkpoint.

    >>> lacks_only('[["a", 1, 5], ["b", 2, 5]]', '[["b", 2, 5]]'), lacks_only('[["a", 1, 5]]', '[["a", 2, 6]]')
    (True, False)
    """
    earlier, later = ({json.dumps(file) for file in json.loads(files)} for files in (before, now))
    return later < earlier


@dataclass
class _Look:
    files: str
    since: float


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
            look = self._looks[checkpoint.key] = _Look(files, now)
        return now - look.since

    def complete(self, checkpoint: Checkpoint) -> str | None:
        """Return what its files are if it is complete; None where it is not, or not yet known to be.

        What is on the Hub was committed whole. Elsewhere the user's marker counts if one was named; else what its
        training program writes last, or the quiet period. In any case the headers must be met by the files' lengths.
        """
        path = checkpoint.path
        quiet = self.unchanged_for(checkpoint)
        files = self._looks[checkpoint.key].files
        if isinstance(path, Remote):
            return files
        if self._conditions.marker is not None:
            ready = _marker(path, self._conditions.marker).exists()
        else:
            ready = _says_so(path) or quiet >= self._conditions.quiet
        return files if ready and self._is_whole(path) and files_of(checkpoint) == files else None

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
    """Whether the training program has written what it writes last.

    transformers' Trainer: `trainer_state.json`, no older than any other file of the folder's weights, since a resumed
    run writes into the folders that are there. torch's distributed checkpoints: `.metadata`, renamed once all ranks are
    done.
    """
    if not path.is_dir():
        return False
    if any((folder / DCP_METADATA).is_file() for folder in (path, *path.glob("*/"))):
        return True
    return trainer_state(path) is not None and _is_last(path / TRAINER_STATE)


def _is_last(state: Path) -> bool:
    try:
        written = [file.stat().st_mtime_ns for file in state.parent.iterdir() if _of_weights(file.name)]
        return max(written, default=0) <= state.stat().st_mtime_ns
    except OSError:
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
