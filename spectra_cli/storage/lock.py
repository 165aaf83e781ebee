"""One writer at a time: an advisory lock on a file beside the output. Knows nothing of what is written.

What is held is `flock`, not the file: the kernel lets go of it when its process ends, however it ends. Over NFS Linux
turns it into a lock at the server, which holds between machines unless the folder was mounted with `nolock` or
`local_lock`; then it holds between the processes of one machine only. Where a file system has no locks at all, a scan
is refused and nothing is written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO, NoReturn

from spectra_cli.errors import SpectraError

LOCK = "lock"
TRIES = 100  # each is lost only where a holder ends within microseconds


def take_lock(folder: Path, output: Path) -> IO[str]:
    """Take the lock of a folder, made if need be, and return its open file, which names the process that holds it.

    The lock ends with this process. Raises SpectraError where another process holds it, or where the file system keeps
    no locks.
    """
    path = folder / LOCK
    for left in reversed(range(TRIES)):
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
            file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the lock is held
        except FileNotFoundError:  # its holder was done just now, and removed the folder
            if not left:
                raise
            continue
        except BaseException:
            with contextlib.suppress(OSError):
                folder.rmdir()  # one that was made just now, and holds nothing
            raise
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            _refuse_lock(file, output, error)
        # A holder removes the folder at its end: whoever waited on the old file would hold a lock on nothing.
        if _is_file_at(file, path):
            with contextlib.suppress(OSError):  # on a full disk the lock holds without its note
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
                file.flush()
            return file
        file.close()
    raise SpectraError(f"{output} is being written by other processes in turn", hint="wait for them")


def remove_folder(folder: Path) -> None:
    """Remove a folder whose lock is held, the lock last: whoever takes it next must find nothing that is to go."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name != LOCK:
                path.unlink()
        (folder / LOCK).unlink()
        folder.rmdir()


def _is_file_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _refuse_lock(file: IO[str], output: Path, error: OSError) -> NoReturn:
    with file:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise SpectraError(f"{output} is being written by {holder}", hint="wait for it, or give another -o")
        raise SpectraError(
            f"{output.parent} cannot lock files ({os.strerror(error.errno or 0)}), so two scans could mix there",
            hint="give -o on another file system, and copy the table when it is done",
        )
