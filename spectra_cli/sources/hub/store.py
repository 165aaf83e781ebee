"""Files of the Hub, fetched into a scratch folder of bounded size while they are read, and dropped when they are not.

What reads a file there sees an ordinary one. The store knows names, sizes and blobs, and not what a file holds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import ByteRange, grouped, merged, missing
from spectra_cli.sources.hub.cache import cached_path
from spectra_cli.sources.hub.cached_blob import CachedBlob, disk_bytes
from spectra_cli.sources.hub.client import Client, RangeIgnoredError
from spectra_cli.sources.hub.download import download_range, download_whole
from spectra_cli.sources.hub.space import BoundedSpace
from spectra_cli.sources.hub.view import View
from spectra_cli.trace import NO_TRACE

HeaderSize = Callable[[str, bytes], int | None]
FIRST_BYTES = 64 * 1024  # a header of 400 tensors; a longer one takes a second request
SMALL = 1 << 20  # below this a file is fetched whole, whatever of it is wanted
NEARLY_ALL = 0.8  # from this share of a file on, one request for the whole costs less than several for parts
LONGEST_REQUEST = 256 << 20


class Store:
    """Scratch space of at most `bound` bytes, filled by readers and, ahead of them, by a thread of its own.

    header_size: how many of a file's first bytes tell what it holds, from its name and first bytes; None where only
    the whole does. selective: only some matrices are wanted. together: how many checkpoints are open at once.
    recurring: blobs that more than one checkpoint has. headers_only: only what tells the contents of files is fetched;
    planned, planned_tight: the requests that a scan would make of each file of the checkpoint opened last, by name.
    in_order: files are read from start to end, so that what does not fit is fetched a few tensors at a time.
    recorder: is told of every download.
    """

    def __init__(
        self, client: Client, folder: Path, bound: int, header_size: HeaderSize, *, selective: bool, together: int,
        recurring: frozenset[str] = frozenset(), headers_only: bool = False,
    ) -> None:  # fmt: skip
        """Take over an empty folder."""
        self.headers_only = headers_only
        self.in_order = False
        self.recorder = NO_TRACE
        self.planned: dict[str, list[ByteRange]] = {}
        self.planned_tight = False
        self.space = BoundedSpace(folder / "blobs", bound, recurring, client.retry_policy)
        self.client, self.folder, self._header_size = client, folder, header_size
        self.selective, self.together = selective, together
        self._failed: SpectraError | None = None
        self._ahead = ThreadPoolExecutor(1, "fetch")

    def close(self) -> None:
        """End all fetching; the client may serve another store afterwards, unless it was stopped before."""
        stopped = self.client.retry_policy.stopped
        ended_before = stopped.is_set()
        stopped.set()
        self.space.wake()
        self._ahead.shutdown(wait=True, cancel_futures=True)
        if not ended_before:
            stopped.clear()

    def open_view(self, remote: Remote, *, ahead: bool = False) -> View:
        """Link a checkpoint's files under their names in a new folder; those in the user's own cache are used there."""
        number = self.space.number_view(ahead=ahead)
        folder = self.folder / f"view-{number}"
        folder.mkdir()
        blobs = {}
        for file in remote.files:
            link = folder / file.name
            cached = cached_path(remote, file)
            if cached is not None:
                link.symlink_to(cached)
                continue
            blob = self.space.blob(remote, file, number)
            link.symlink_to(blob.path)
            blobs[file.name] = blob
        wanted = sum(blob.file.size for blob in blobs.values())
        stays = number == 1 and wanted <= self.space.bound // 2  # the reference: every other one is compared with it
        whole = not self.selective and (stays or self.has_room(wanted))
        return View(number, folder, blobs, whole, not self.selective and not whole, ahead, self)

    def close_view(self, view: View) -> None:
        """Drop a checkpoint's files, except those that another one needs."""
        view.release_header()
        view.closed = True
        self.space.release_view(view.number, view.blobs.values())
        shutil.rmtree(view.folder, ignore_errors=True)

    def has_room(self, wanted: int) -> bool:
        """Whether so many bytes of each checkpoint fit, of those open at once and of the next one too."""
        return wanted * (self.together + 1) <= self.space.bound

    def in_turn(self, wanted: Sequence[ByteRange]) -> list[ByteRange]:
        """Return requests for ranges of files that do not fit and are read in order: one of each checkpoint fits.

        A range that is larger by itself is left to whoever reads parts of it.
        """
        most = min(LONGEST_REQUEST, self.space.bound // (2 * (self.together + 1)))
        return [group for group in grouped(wanted, most) if group[1] - group[0] <= most]

    def requests(self, view: View, file: RemoteFile, wanted: Sequence[ByteRange]) -> list[ByteRange]:
        """Return the requests by which ranges of a file are fetched: one for the whole, or few for parts of it."""
        share = sum(stop - start for start, stop in merged(wanted)) / max(1, file.size)
        if view.whole or (share >= NEARLY_ALL and self.has_room(file.size)):
            return [(0, file.size)]
        return grouped(wanted, max(1, min(LONGEST_REQUEST, self.space.bound // 16)))

    def fetch_header(self, view: View, blob: CachedBlob) -> None:
        """Fetch what tells the contents of a file."""
        name, size = blob.file.name, blob.file.size
        if (view.whole and not self.headers_only) or size <= SMALL or self._header_size(name, b"") is None:
            self.ensure(view, blob, [(0, size)])
            return
        head = min(size, FIRST_BYTES)
        self.ensure(view, blob, [(0, head)])
        with blob.path.open("rb") as file:
            needed = self._header_size(name, file.read(head))
        if needed is not None and needed > head:
            self.ensure(view, blob, [(0, min(size, needed))])

    def fetch_ahead(self, view: View, wanted: Sequence[tuple[CachedBlob, ByteRange]]) -> None:
        """Fetch in the background, in order; an error there is met again by whoever reads."""

        def fetch() -> None:
            for blob, byte_range in wanted:
                self.space.pin(blob, +1)  # the view may be closed from here on
                try:
                    if view.closed:
                        return
                    self.ensure(view, blob, [byte_range], ahead=True)
                except SpectraError:
                    return
                finally:
                    self.space.pin(blob, -1)

        if view.ahead:
            fetch()
        else:
            self._ahead.submit(fetch)

    def in_background(self, task: Callable[[], None]) -> None:
        """Run a task in the background, after what was to be fetched before it."""
        self._ahead.submit(task)

    def ensure(self, view: View, blob: CachedBlob, ranges: Sequence[ByteRange], *, ahead: bool = False) -> None:
        """Fetch what is missing of the ranges of a pinned blob. Raises SpectraError where they cannot be had."""
        for byte_range in missing(ranges, blob.ranges):
            self._raise_failures(blob)
            room = self.space.reserve(view, blob, disk_bytes(byte_range), ahead=ahead or view.ahead)
            with blob.fetching:
                try:
                    self._raise_failures(blob)
                    if not blob.has(byte_range):
                        with self.recorder.span("fetch", file=blob.file.name, bytes=byte_range[1] - byte_range[0]):
                            self._fetch(view, blob, byte_range, ahead=ahead or view.ahead)
                        room = 0
                except SpectraError as error:
                    self._failed = error if error.stops else self._failed
                    raise
                finally:
                    self.space.release(room)

    def _raise_failures(self, blob: CachedBlob) -> None:
        """Raise what ended all fetching, or that of this blob."""
        self.client.retry_policy.check()
        if self._failed or blob.broken:
            raise self._failed or blob.broken  # type: ignore[misc]

    def _fetch(self, view: View, blob: CachedBlob, byte_range: ByteRange, *, ahead: bool) -> None:
        """Fetch a range for which room is reserved, or the whole where the server sends nothing less."""
        whole = (0, blob.file.size)
        try:
            try:
                if byte_range == whole:
                    download_whole(self.client, blob)
                else:
                    download_range(self.client, blob, byte_range)
            except RangeIgnoredError:
                self.space.reserve(view, blob, disk_bytes(whole) - disk_bytes(byte_range), ahead=ahead)
                byte_range = whole
                download_whole(self.client, blob)
        except BaseException:
            if not blob.ranges:
                blob.path.unlink(missing_ok=True)
            raise
        self.space.record(blob, byte_range)
