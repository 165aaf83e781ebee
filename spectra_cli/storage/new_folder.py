"""A new folder: whole or absent whenever the program ends, and one process at a time.

It grows inside another folder beside its place, whose lock is held, and is renamed at the end. Knows nothing of what is
in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spectra_cli.errors import SpectraError, printable
from spectra_cli.storage.atomic import temporary_name
from spectra_cli.storage.lock import remove_folder, take_lock


def check_output(output: Path, nbytes: int = 0) -> None:
    """Raise SpectraError where no folder of so many bytes can be written there, before anything is read for it."""
    shown = printable(output, 400)
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise SpectraError(f"{shown} is there and no folder", hint="give -o the name of a new folder")
    if output.is_dir() and any(output.iterdir()):
        raise SpectraError(f"{shown} is not empty", hint="give -o the name of a new folder, or remove this one")
    parent = output.absolute().parent
    if not parent.is_dir():
        raise SpectraError(f"the folder {printable(parent, 400)} is not there", hint="make it, or give another -o")
    free = shutil.disk_usage(parent).free
    if free < nbytes:
        raise SpectraError(
            f"{shown} needs {nbytes:,} bytes, and {free:,} are free there", hint="free some space, or give another -o"
        )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Open a folder that gets its name at the end of the block, and is removed where that raises."""
    target = output.absolute()
    with _locked(temporary_name(target), output) as inside:
        inside.mkdir()
        yield inside
        _flush_folder(inside)
        os.rename(inside, target)  # replaces an empty folder, and fails on any other
        _flush_folder(target.parent)


@contextmanager
def scratch_beside(output: Path, purpose: str) -> Iterator[Path]:
    """Open a place beside an output for a folder that the block makes, and remove it at the end.

    purpose: what its name ends with, so that several may stand beside one output.
    """
    target = output.absolute()
    with _locked(target.with_name(f".{target.name}.{purpose}"), output) as inside:
        yield inside


@contextmanager
def _locked(around: Path, output: Path) -> Iterator[Path]:
    """Open the place of a folder within another one, whose lock is held, and remove what is left of both at the end.

    What a process that was killed left is removed by the next one: the lock is the kernel's.
    """
    inside = around / "checkpoint"
    try:
        with take_lock(around, output):
            try:
                shutil.rmtree(inside, ignore_errors=True)
                yield inside
            finally:
                shutil.rmtree(inside, ignore_errors=True)
                remove_folder(around)
    except OSError as error:
        raise SpectraError(
            f"{printable(output, 400)} cannot be written: {error.strerror or error}",
            hint="look at its permissions and the free space there; nothing was left",
        ) from None


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
