"""Makes a folder for what is fetched, that is gone when the program is: after success, failure, a signal or a kill."""

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
    """Make a folder for this process under TMPDIR, and remove it at the end; also those whose processes were killed.

    Each folder holds a file `lock` that its process keeps locked: the system lets go of it when the process dies,
    however it dies. Raises SpectraError where no folder can be made.
    """
    root = Path(tempfile.gettempdir())
    try:
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=root))
        own = open(folder / "new", "w")  # noqa: SIM115 - held as long as the folder
        fcntl.flock(own, fcntl.LOCK_EX)
        (folder / "new").rename(folder / "lock")  # nobody ever sees it unlocked
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


def _prefix() -> str:
    """Return how the names of this user's scratch folders begin."""
    return f"spectra-hub-{os.getuid()}-"


def _sweep(root: Path) -> None:
    """Remove this user's folders whose lock nobody holds; what others keep in TMPDIR is left alone."""
    for folder in root.glob(f"{_prefix()}*"):
        try:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            with open(folder / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # its process lives, or is about to lock it
