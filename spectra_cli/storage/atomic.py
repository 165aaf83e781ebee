"""Writes a file whole or not at all, whenever the power goes. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

WRITING = ".writing"  # how the name of a file ends while it is written


def temporary_name(path: Path) -> Path:
    """Return the name that a file has while it is written."""
    return path.with_name(f".{path.name}{WRITING}")


def replace_file(path: Path, write: Callable[[IO[bytes]], int], *, shared: bool = False) -> int:
    """Write a file whole or not at all: under another name, flushed, renamed, the folder flushed.

    write: takes the open file and returns a count, which is returned. shared: no lock keeps other processes from
    writing the same file at once, so the other name holds this process's number. Either name is made anew: a link that
    someone left there is not written through. Raises OSError where the file cannot be written.
    """
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
