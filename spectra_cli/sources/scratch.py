"""A folder for what is fetched, that is gone when the program is: after success, failure, a signal, or a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spectra_cli.errors import SpectraError


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder of this process's own under TMPDIR, and remove it; also those whose processes were killed.

    Each folder holds a file `lock` that its process keeps locked: the system lets go of it when the process dies,
    however it dies. Raises SpectraError where no folder can be made.
    """
    root = Path(tempfile.gettempdir()) / f"spectra-{os.getuid()}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        _refuse_strange(root)
        with _locked(root / "lock"):
            _sweep(root)
            folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=root))
            own = open(folder / "lock", "w")  # noqa: SIM115 - held as long as the folder
            fcntl.flock(own, fcntl.LOCK_EX)
    except OSError as error:
        raise SpectraError(
            f"no scratch folder can be made in {root}: {os.strerror(error.errno or 0)}",
            hint="set TMPDIR to a folder with space",
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        own.close()


def _refuse_strange(root: Path) -> None:
    """Others may write to TMPDIR: take no folder there that is not this user's own."""
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SpectraError(f"{root} is not a folder of this user", hint="set TMPDIR to a folder of your own")


def _sweep(root: Path) -> None:
    for folder in root.glob("scratch-*"):
        try:
            with open(folder / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # its process lives
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
