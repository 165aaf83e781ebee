"""Keeps a scan's finished checkpoints safe beside its output until all are there. Knows tables, not what is in them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from spectra_cli.errors import SpectraError
from spectra_cli.table import write_table

MOST_NAMED = 5


@dataclass
class Parts:
    """The folder `FILE.parts/`: a lock, a manifest of the request, one Parquet file per finished checkpoint.

    Every file is written under another name, flushed to the disk and then renamed, so that a kill at any moment
    leaves whole parts only. request: what must be the same for parts of an earlier run to count. restart: throw
    away what an earlier run left. Use it in a `with` block; raises SpectraError where the folder cannot be written,
    another process is at work on the same output, or the earlier run was another request.
    """

    output: Path
    request: Mapping[str, Any]
    restart: bool = False
    _entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Where the parts lie."""
        return self.output.with_name(self.output.name + ".parts")

    def __enter__(self) -> Parts:
        """Take the lock and read what an earlier run left."""
        try:
            _check_target(self.output)
            self.folder.mkdir(exist_ok=True)
            self._lock = _take_lock(self.folder / "lock", self.output)
            if self.restart:
                self._clear()
            self._load()
        except OSError as error:
            self._release()
            raise cannot_write(self.output, error) from None
        except SpectraError:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lock; the parts stay unless they were assembled, or there are none."""
        if not self._entries:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._release()

    def done(self, key: str) -> dict[str, Any] | None:
        """Give the notes that were kept with the part of this key; None where there is no whole part."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        path = self.folder / entry["file"]
        if path.is_file() and _digest(path) == entry["sha256"]:
            return dict(entry["notes"])
        del self._entries[key]
        return None

    def write(self, key: str, part: pa.Table, notes: Mapping[str, Any]) -> None:
        """Keep the part of one checkpoint, and notes that go with it, so that no kill can lose them."""
        name = hashlib.sha256(key.encode()).hexdigest()[:16] + ".parquet"
        try:
            _replace(self.folder / name, lambda path: pq.write_table(part, path, compression="zstd"))
            entry = {"file": name, "sha256": _digest(self.folder / name), "notes": dict(notes)}
            self._entries[key] = entry
            self._save()
        except OSError as error:
            self._entries.pop(key, None)
            raise cannot_write(self.output, error) from None

    def assemble(self, keys: Sequence[str], metadata: dict[str, Any]) -> int:
        """Write the parts of these keys into the output, in their order, and remove the parts; give the rows."""
        files = [self.folder / self._entries[key]["file"] for key in keys]
        rows = write_whole(self.output, (pq.read_table(file, partitioning=None) for file in files), metadata)
        self._entries.clear()
        return rows

    def _load(self) -> None:
        path = self.folder / "manifest.json"
        if not path.exists():
            self._save()
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            request, parts = kept["request"], dict(kept["parts"])
        except (ValueError, KeyError, TypeError):
            raise SpectraError(f"{path} cannot be read", hint="--restart discards what was begun there") from None
        asked = json.loads(json.dumps(self.request))
        differs = [name for name in sorted({*request, *asked}) if request.get(name) != asked.get(name)]
        if differs:
            name = differs[0]
            what = _difference(request.get(name), asked.get(name))
            raise SpectraError(
                f"{self.output} was begun with another request: {name} {what}",
                hint="give another -o, the same options, or --restart to discard what was begun",
            )
        self._entries = parts

    def _save(self) -> None:
        text = json.dumps({"request": self.request, "parts": self._entries}, sort_keys=True, indent=1)
        _replace(self.folder / "manifest.json", lambda path: path.write_text(text, encoding="utf-8"))

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def write_whole(output: Path, tables: Iterable[pa.Table], metadata: dict[str, Any]) -> int:
    """Write a table whole or not at all; give its rows. Raises SpectraError where it cannot be written."""
    _check_target(output)
    rows = 0

    def write(path: Path) -> None:
        nonlocal rows
        rows = write_table(path, tables, metadata)

    try:
        _replace(output, write)
    except OSError as error:
        raise cannot_write(output, error) from None
    return rows


def write_text_whole(path: Path, text: str) -> None:
    """Write a file of text whole or not at all. Raises SpectraError where it cannot be written."""
    try:
        _replace(path, lambda place: place.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> SpectraError:
    """Say why a file could not be written, in two lines."""
    reason = os.strerror(error.errno) if error.errno else "the file system refused"
    return SpectraError(
        f"{path} cannot be written: {reason}",
        hint="check the folder, its permissions and its free space, or give another -o",
    )


def _difference(was: object, now: object) -> str:
    """Say what differs between two values; of two collections of named things, which.

    >>> _difference({"/step1": 1, "/step2": 2}, {"/step1": 5, "/step3": 3})
    'step1 changed, step2 gone, step3 new'
    """
    if not (isinstance(was, dict) and isinstance(now, dict)):
        return f"{_short(was)}, now {_short(now)}"
    names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    kinds = ["new" if name not in was else "gone" if name not in now else "changed" for name in names]
    said = [f"{name.lstrip('/')} {kind}" for name, kind in zip(names, kinds, strict=True)]
    return ", ".join(said[:MOST_NAMED]) + (f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else "")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _check_target(output: Path) -> None:
    if output.is_dir():
        raise SpectraError(f"{output} is a folder", hint="give -o the name of a file, such as scan.parquet")
    if not output.parent.is_dir():
        raise SpectraError(
            f"{output.parent} is not there, so {output.name} cannot be written",
            hint="make the folder first, or give another -o",
        )


def _take_lock(path: Path, output: Path) -> IO[str]:
    """Hold an advisory lock that dies with this process; its file says who holds it."""
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the lock is held
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(200).strip() or "another process"
        file.close()
        raise SpectraError(f"{output} is being written by {holder}", hint="wait for it, or give another -o") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: under another name, flushed, renamed, the folder flushed."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
