"""Writes a file whole or not at all, whenever the power goes. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from spectra_cli.errors import SpectraError

WRITING = ".writing"  # how the name of a file ends while it is written


def temporary_name(path: Path) -> Path:
    """Return the name that a file has while it is written."""
    return path.with_name(f".{path.name}{WRITING}")


def check_target(path: Path) -> None:
    """Raise SpectraError for a place that no file may take: a device, a pipe, a socket, a folder.

    A link is no such place: it is replaced by the file, and what it leads to stays as it is.
    """
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except OSError:
        return
    if kind not in (stat.S_IFREG, stat.S_IFLNK):
        what = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}.get(kind, "a device")
        raise SpectraError(f"{path} is {what}", hint="give -o the name of a file, such as scan.parquet")


def replace_file(path: Path, write: Callable[[IO[bytes]], int], *, shared: bool = False) -> int:
    """Write a file whole or not at all: under another name, flushed, renamed, the folder flushed.

    write: takes the open file and returns a count, which is returned. shared: no lock keeps other processes from
    writing the same file at once, so the other name holds this process's number. Either name is made anew: a link that
    someone left there is not written through. Raises OSError where the file cannot be written, SpectraError where
    something else than a file is there.
    """
    check_target(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}") if shared else temporary_name(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:
            result = write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return result


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
