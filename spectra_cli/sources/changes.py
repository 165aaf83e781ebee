"""What tells that a checkpoint is another one than before: names, sizes and times of its files, and what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from spectra_cli.records import Remote

SAMPLED = 65536  # bytes of a file's beginning, and of its end: headers, and the last weights


def fingerprint(path: Path | Remote) -> list[list[object]]:
    """Return what tells that a checkpoint was replaced: its commit and blobs, or names, sizes and times of change."""
    if isinstance(path, Remote):
        return [
            [path.repository, path.commit, path.folder],
            *([file.name, file.size, file.blob] for file in path.files),
        ]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, _, stat in _files(path)]


def contents(path: Path | Remote) -> str:
    """Return a digest that a copy of a checkpoint has too: of its commit and blobs, or of names, sizes and samples.

    A link counts by where it leads, and what lies there is not read.
    """
    if isinstance(path, Remote):
        return hashlib.sha256(json.dumps(fingerprint(path)).encode()).hexdigest()
    total = hashlib.sha256()
    for name, file, stat in _files(path):
        with contextlib.suppress(OSError):  # opening it for its tensors raises the error
            total.update(f"{name} {stat.st_size} ".encode(errors="surrogateescape"))
            total.update(os.readlink(file).encode(errors="surrogateescape") if file.is_symlink() else _sample(file))
    return total.hexdigest()


def last_change(path: Path | Remote) -> int:
    """Return when a file of a checkpoint changed last, in nanoseconds of its file system; 0 on the Hub."""
    if isinstance(path, Remote):
        return 0
    return max((max(stat.st_mtime_ns, stat.st_ctime_ns) for _, _, stat in _files(path)), default=0)


def _files(path: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)  # ranks may have folders
    files = sorted(inside) if path.is_dir() else [path]
    files.append(path.parent / "config.json")  # the run's own, for checkpoints that have none
    for file in files:
        with contextlib.suppress(OSError):  # gone since it was listed, or not to be read: opening it raises the error
            if file.is_file():
                yield str(file.relative_to(path.parent)), file, file.stat()


def _sample(path: Path) -> bytes:
    with open(path, "rb") as file:
        beginning = file.read(SAMPLED)
        file.seek(max(file.tell(), os.fstat(file.fileno()).st_size - SAMPLED))
        return beginning + file.read(SAMPLED)
