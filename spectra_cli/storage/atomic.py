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
    """Give the name that a file has while it is written."""
    return path.with_name(f".{path.name}{WRITING}")


def replace_file(path: Path, write: Callable[[IO[bytes]], int]) -> int:
    """Write a file whole or not at all: under another name, flushed, renamed, the folder flushed; give write's result.

    The other name is made anew, so that a link which someone left there is not written through.
    """
    temporary = temporary_name(path)
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
    """Give the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
