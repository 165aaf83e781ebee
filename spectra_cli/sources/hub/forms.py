"""The forms of what a Hub's listing says, checked before any of it becomes part of a path, an address or a table.

Rules are data. Knows nothing of requests, and nothing of checkpoints.
"""

from __future__ import annotations

import re
from typing import Any

from spectra_cli.errors import SpectraError, printable
from spectra_cli.records import RemoteFile

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
BLOB = COMMIT  # git's sha1 of a small file, the sha256 of a large one
LONGEST_NAME = 255  # bytes, of one part of a path: what file systems allow
LONGEST_PATH = 4096
NO_PARTS = frozenset({"", ".", ".."})


def check_reference(where: str, name: Any, commit: Any) -> tuple[str, str]:
    """Return the name and the commit of a branch or tag. Raises SpectraError where they are not of their form."""
    if not _is_text(name) or not 0 < len(name) <= LONGEST_PATH:
        raise _refused(where, "a reference", name)
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise _refused(where, f"for {printable(name, 80)} a commit", commit)
    return name, commit


def check_file(where: str, path: Any, size: Any, blob: Any, *, form: re.Pattern[str] = BLOB) -> RemoteFile:
    """Return a file of a listing; form: what its blob looks like.

    Raises SpectraError where its path, size or blob is not of its form.

    >>> check_file("hf:a/b", "sub/config.json", 12, "ab" * 20).name
    'sub/config.json'
    """
    if not _is_text(path) or len(path) > LONGEST_PATH or not all(map(_is_part, path.split("/"))):
        raise _refused(where, "a file", path)
    if type(size) is not int or not 0 <= size < 2**63:
        raise _refused(where, f"for {printable(path, 80)} a size", size)
    if not isinstance(blob, str) or not form.fullmatch(blob):
        raise _refused(where, f"for {printable(path, 80)} a blob", blob)
    return RemoteFile(path, size, blob)


def check_apart(where: str, files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """Return the files of a listing. Raises SpectraError where two cannot both lie in one folder."""
    names: set[str] = set()
    for file in files:
        if file.name in names:
            raise _damaged(f"the listing of {where} names {printable(file.name, 80)} twice")
        names.add(file.name)
    for file in files:
        parts = file.name.split("/")
        if any("/".join(parts[:depth]) in names for depth in range(1, len(parts))):
            raise _damaged(f"the listing of {where} names {printable(file.name, 80)}, which lies within a file")
    return files


def _is_part(part: str) -> bool:
    return part not in NO_PARTS and "\0" not in part and len(part.encode()) <= LONGEST_NAME


def _is_text(value: Any) -> bool:
    """Whether it is a text that UTF-8 can write: JSON may hold half of a pair of surrogates."""
    return isinstance(value, str) and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _refused(where: str, what: str, value: Any) -> SpectraError:
    shown = printable(repr(value) if isinstance(value, str | int | float) else type(value).__name__, 80)
    return _damaged(f"the listing of {where} names {what} that is none: {shown}")


def _damaged(message: str) -> SpectraError:
    hint = "the answer is damaged or made up: check HF_ENDPOINT or AWS_ENDPOINT_URL, and whatever lies between"
    return SpectraError(message, hint=hint, stops=True)
