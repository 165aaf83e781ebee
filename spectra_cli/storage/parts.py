"""Keeps a scan's finished checkpoints safe beside its output until all are there. Knows tables, not what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from spectra_cli.errors import SpectraError, printable
from spectra_cli.storage.atomic import WRITING, check_target, digest, replace_file, temporary_name
from spectra_cli.storage.lock import LOCK, remove_folder, take_lock
from spectra_cli.storage.manifest import (
    CheckpointNotes,
    FinishedPart,
    Manifest,
    differences,
    manifest_text,
    part_name,
    read_manifest,
)
from spectra_cli.storage.table import PARQUET, write_table

OWN = re.compile(rf"{LOCK}|manifest\.json|[0-9a-f]{{16}}\.parquet")  # what a scan keeps in its folder


@dataclass
class Parts:
    """The folder `FILE.parts/`: a lock, a manifest of the request, one Parquet file per finished checkpoint.

    Every file is written under another name, flushed to the disk and then renamed, so that a kill at any moment
    leaves whole parts only. manifest: what must be the same for parts of an earlier run to count. restart: discard
    what an earlier run left. Use it in a `with` block; raises SpectraError where the folder cannot be written,
    another process is at work on the same output, or the earlier run was another request.
    """

    output: Path
    manifest: Manifest
    restart: bool = False
    _finished: dict[str, FinishedPart] = field(default_factory=dict)
    _lock: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.output.with_name(self.output.name + ".parts")

    @property
    def _manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    def __enter__(self) -> Parts:
        """Take the lock and read what an earlier run left."""
        try:
            _check_target(self.output)
            _refuse_foreign(self.folder)
            self._lock = take_lock(self.folder, self.output)
            self._clear(everything=self.restart)
            self._load()
        except OSError as error:
            self._give_up()
            raise cannot_write(self.output, error) from None
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock; the parts stay unless they were assembled, or there are none."""
        if not self._finished:
            with contextlib.suppress(OSError):
                self._manifest_path.unlink()  # first: where a kill comes now, it names no part that is gone
            remove_folder(self.folder)
        self._release()

    def notes(self, key: str) -> CheckpointNotes | None:
        """Return the notes that were kept with the part of this key; None where there is no whole part."""
        part = self._finished.get(key)
        if part is None:
            return None
        path = self.folder / part.file
        if path.is_file() and digest(path) == part.sha256:
            return part.notes
        del self._finished[key]
        return None

    def write(self, key: str, rows: pa.Table, notes: CheckpointNotes) -> None:
        """Keep the rows of one checkpoint, and notes that go with them, so that no kill can lose them."""
        name = part_name(key)
        try:
            replace_file(self.folder / name, lambda file: pq.write_table(rows, file, **PARQUET))
            self._finished[key] = FinishedPart(name, digest(self.folder / name), notes)
            self._save()
        except OSError as error:
            self._finished.pop(key, None)
            raise self._refused(error) from None

    def assemble(self, keys: Sequence[str], metadata: dict[str, Any]) -> int:
        """Write the parts of these keys into the output, in their order, and remove the parts; return the rows."""
        try:
            rows = replace_file(self.output, lambda file: write_table(file, map(self.read, keys), metadata))
        except OSError as error:
            raise self._refused(error) from None
        self._finished.clear()
        return rows

    def read(self, key: str) -> pa.Table:
        """Read a part back that `notes` knows.

        One that was damaged since it was looked at is dropped, so that a next run measures it.
        """
        path = self.folder / self._finished[key].file
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() == self._finished[key].sha256:
            return pq.read_table(pa.BufferReader(data), partitioning=None)
        del self._finished[key]
        raise SpectraError(f"{path} was changed by another program", hint="the same command measures it again")

    def _refused(self, error: OSError) -> SpectraError:
        """Return why nothing more can be written, and that what was done is not lost."""
        refusal = cannot_write(self.output, error)
        if not self._finished:
            return refusal
        hint = f"{_checkpoints(len(self._finished))} kept: make room, and the same command goes on from there"
        return SpectraError(refusal.message, hint=hint)

    def _load(self) -> None:
        path = self._manifest_path
        if not path.exists():
            try:
                self._save()
            except BaseException:  # even one that came after the rename: there is nothing yet to go on from
                path.unlink(missing_ok=True)
                raise
            return
        request, parts = read_manifest(path)
        if changes := differences(request, self.manifest.as_json()):
            more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise SpectraError(
                f"{self.output} was begun with another request: {'; '.join(changes[:3])}{more}",
                hint="give another -o, the same options, or --restart to discard what was begun",
            )
        self._finished = parts

    def _save(self) -> None:
        text = manifest_text(self.manifest, self._finished)
        replace_file(self._manifest_path, lambda file: file.write(text.encode()))

    def _clear(self, *, everything: bool) -> None:
        """Remove what a killed run was in the middle of writing, or all that it left."""
        temporary_name(self.output).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name != LOCK and (everything or path.name.endswith(WRITING)):
                path.unlink()

    def _give_up(self) -> None:
        """Leave no folder behind that holds nothing of an earlier run."""
        if self._lock is not None and not self._manifest_path.exists():
            remove_folder(self.folder)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def write_whole(output: Path, tables: Iterable[pa.Table], metadata: dict[str, Any]) -> int:
    """Write a table whole or not at all; return its rows. Raises SpectraError where it cannot be written."""
    _check_target(output)
    try:
        return replace_file(output, lambda file: write_table(file, tables, metadata))
    except OSError as error:
        raise cannot_write(output, error) from None


def write_text_whole(path: Path, text: str) -> None:
    """Write a file of text whole or not at all. Raises SpectraError where it cannot be written."""
    try:
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> SpectraError:
    """Return why a file could not be written, in two lines."""
    reason = os.strerror(error.errno) if error.errno else "the file system refused"
    return SpectraError(
        f"{path} cannot be written: {reason}",
        hint="check the folder, its permissions and its free space, or give another -o",
    )


def _checkpoints(count: int) -> str:
    return "1 checkpoint is" if count == 1 else f"{count} checkpoints are"


def _refuse_foreign(folder: Path) -> None:
    """Raise SpectraError where a folder is not one that a scan made: what is in it would be deleted at the end."""
    try:
        is_folder = stat.S_ISDIR(folder.lstat().st_mode)
        names = sorted(path.name for path in folder.iterdir()) if is_folder else [folder.name]
    except FileNotFoundError:  # it is not there, or its holder was done just now
        return
    foreign = next((name for name in names if not OWN.fullmatch(name.removesuffix(WRITING).lstrip("."))), "")
    if foreign:
        raise SpectraError(
            f"{folder} is not a folder that a scan made: {printable(foreign)} is there",
            hint="move it away, or give another -o; a scan keeps its own files under that name",
        )


def _check_target(output: Path) -> None:
    check_target(output)
    if not output.parent.is_dir():
        raise SpectraError(
            f"{output.parent} is not there, so {output.name} cannot be written",
            hint="make the folder first, or give another -o",
        )
