"""One checkpoint's files under their own names, fetched into the store when they are about to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spectra_cli.records import FileRange
from spectra_cli.sources.hub.byte_ranges import ByteRange, merged, missing
from spectra_cli.sources.hub.cached_blob import CachedBlob

if TYPE_CHECKING:
    from spectra_cli.sources.hub.store import Store


@dataclass(eq=False)
class View:
    """A checkpoint that is open: a folder of links to blobs, which `blobs` has by file name.

    whole: files are fetched whole and stay while they are needed. tight: there is no room for what is wanted of all
    open checkpoints; a tensor is fetched when it is read, and dropped for the next one. ahead: it is fetched for later,
    and takes no room from what is in use. groups: what is fetched in one request.
    """

    number: int
    folder: Path
    blobs: dict[str, CachedBlob]
    whole: bool
    tight: bool
    ahead: bool
    store: Store
    groups: dict[str, list[ByteRange]] = field(default_factory=dict)
    closed: bool = False
    _header_of: CachedBlob | None = None

    def materialize_header(self, path: Path) -> None:
        """Fetch what must be read of a file to learn what it holds, and keep it until the next file is described."""
        blob = self.blobs.get(path.name)
        self.release_header()
        if blob is None:
            return
        self.store.space.pin(blob, +1)
        self._header_of = blob
        self.store.fetch_header(self, blob)

    def release_header(self) -> None:
        """Release the file that was described last."""
        if self._header_of is not None:
            self.store.space.pin(self._header_of, -1)
            self._header_of = None

    @contextmanager
    def materialize(self, file_ranges: Sequence[FileRange]) -> Iterator[None]:
        """Fetch ranges of files, and keep them while the block runs."""
        wanted = self._by_name(file_ranges)
        pinned = [self.blobs[name] for name in wanted]
        for name, blob in zip(wanted, pinned, strict=True):
            self.store.space.pin(blob, +1)
            if self.tight and missing(wanted[name], blob.ranges):
                self.store.space.evict_own(blob)
        try:
            while lacking := [name for name in wanted if missing(wanted[name], self.blobs[name].ranges)]:
                for name in lacking:  # what comes late may take the room of what came early: then once more
                    self.store.ensure(self, self.blobs[name], self._in_groups(name, wanted[name]))
            yield
        finally:
            for blob in pinned:
                self.store.space.pin(blob, -1)

    def expect(self, file_ranges: Sequence[FileRange]) -> None:
        """Plan the reading of ranges, in their order: choose between whole files and parts, and begin to fetch."""
        wanted = self._by_name(file_ranges)
        total = sum(stop - start for ranges in wanted.values() for start, stop in merged(ranges))
        self.tight = self.tight or not self.store.has_room(total)
        for name, ranges in wanted.items():
            if self.tight:
                self.groups[name] = self.store.in_turn(ranges) if self.store.in_order else merged(ranges)
            else:
                self.groups[name] = self.store.requests(self, self.blobs[name].file, ranges)
        if self.store.headers_only:
            self.store.planned, self.store.planned_tight = dict(self.groups), self.tight
        if self.store.headers_only or self.tight:
            self.groups = self.groups if self.store.in_order else {}
            return
        self.store.fetch_ahead(self, [(self.blobs[name], group) for name in wanted for group in self.groups[name]])

    def _by_name(self, file_ranges: Sequence[FileRange]) -> dict[str, list[ByteRange]]:
        """Return the ranges of each file that lies in the store, by its name."""
        ranges: dict[str, list[ByteRange]] = {}
        for path, offset, count in file_ranges:
            if path.name in self.blobs:
                ranges.setdefault(path.name, []).append((offset, offset + count))
        return ranges

    def _in_groups(self, name: str, wanted: Sequence[ByteRange]) -> list[ByteRange]:
        """Return what is missing of the ranges, each widened to the request that was planned for it."""
        lacking = missing(wanted, self.blobs[name].ranges)
        groups = self.groups.get(name, [])
        return [next((g for g in groups if g[0] <= start and stop <= g[1]), (start, stop)) for start, stop in lacking]
