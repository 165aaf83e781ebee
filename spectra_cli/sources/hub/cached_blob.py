"""One blob of the Hub in the scratch folder: which bytes of it are there, and who needs them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import ByteRange, missing

BLOCK = 4096  # a file system counts by blocks of about this


@dataclass(eq=False)
class CachedBlob:
    """A file of the full size from the start, with holes where nothing was fetched.

    ranges: what is there. occupied: the bytes of disk that this takes. pins: readers that must not lose it; waiting:
    those of them that wait for room, and so read nothing yet. users: the numbers of the views that it belongs to.
    broken: why it will not be fetched again.
    """

    remote: Remote
    file: RemoteFile
    path: Path
    ranges: list[ByteRange] = field(default_factory=list)
    occupied: int = 0
    pins: int = 0
    waiting: int = 0
    users: set[int] = field(default_factory=set)
    broken: SpectraError | None = None
    fetching: threading.Lock = field(default_factory=threading.Lock)

    def has(self, byte_range: ByteRange) -> bool:
        """Whether all bytes of a range are there."""
        return not missing([byte_range], self.ranges)


def disk_bytes(byte_range: ByteRange) -> int:
    """Return the bytes of disk that a range takes, in whole blocks.

    >>> disk_bytes((4095, 4097))
    8192
    """
    return -(-byte_range[1] // BLOCK) * BLOCK - byte_range[0] // BLOCK * BLOCK
