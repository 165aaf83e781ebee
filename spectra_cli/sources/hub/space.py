"""Room for blobs in a folder of bounded size: reserved before a download, and evicted from what is needed least."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spectra_cli.errors import SpectraError
from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import ByteRange, merged
from spectra_cli.sources.hub.cached_blob import CachedBlob, disk_bytes
from spectra_cli.sources.hub.retry import RetryPolicy

if TYPE_CHECKING:
    from spectra_cli.sources.hub.view import View


class BoundedSpace:
    """The blobs of a folder, at most `bound` bytes of them, shared by the threads that read and the one that fetches.

    recurring: blobs that more than one checkpoint has, which are not dropped when a checkpoint is closed.
    """

    def __init__(self, folder: Path, bound: int, recurring: frozenset[str], retry_policy: RetryPolicy) -> None:
        """Make the folder."""
        self.folder, self.bound = folder, bound
        self._recurring, self._retry_policy = recurring, retry_policy
        self._blobs: dict[str, CachedBlob] = {}
        self._used = 0
        self._views = 0
        self._latest = 0
        self._change = threading.Condition()
        folder.mkdir()

    def wake(self) -> None:
        """Let every thread that waits for room look again."""
        with self._change:
            self._change.notify_all()

    def number_view(self, *, ahead: bool) -> int:
        """Return the number of a new view, from 1 on; the latest that is not opened ahead is the last to lose room."""
        with self._change:
            self._views += 1
            number = self._views
            if not ahead:
                self._latest = number
        return number

    def blob(self, remote: Remote, file: RemoteFile, view: int) -> CachedBlob:
        """Return the blob of a file, and note that a view uses it."""
        with self._change:
            blob = self._blobs.setdefault(file.blob, CachedBlob(remote, file, self.folder / file.blob))
            blob.users.add(view)
        return blob

    def release_view(self, view: int, blobs: Iterable[CachedBlob]) -> None:
        """Drop the blobs that only this view used."""
        with self._change:
            for blob in blobs:
                blob.users.discard(view)
                self._drop_unused(blob)
            self._change.notify_all()

    def pin(self, blob: CachedBlob, change: int) -> None:
        """Keep a blob from being evicted (+1), or no longer (−1): then one that no view uses any more is dropped."""
        with self._change:
            blob.pins += change
            self._drop_unused(blob)
            self._change.notify_all()

    def evict_own(self, blob: CachedBlob) -> None:
        """Evict a blob that the caller has pinned, unless somebody else has pinned it too or it is being fetched."""
        with self._change:
            if blob.pins == 1 and blob.occupied and not blob.fetching.locked():
                self._evict(blob)
                self._change.notify_all()

    def reserve(self, view: View, blob: CachedBlob, count: int, *, ahead: bool) -> int:
        """Reserve bytes within the bound, wait for them where all is in use, and return how many they are.

        The caller has pinned the blob, and does not read it while it waits. Raises SpectraError where so many can never
        be had.
        """
        if count > self.bound:
            raise SpectraError(
                f"--disk allows {self.bound:,} bytes, and {blob.file.name} needs {count:,} at once",
                hint=f"give --disk {2 * count / 1e9:.1f}GB or more",
                stops=True,
            )
        with self._change:
            blob.waiting += 1
            try:
                self._wait_for_room(view, count, ahead=ahead)
            finally:
                blob.waiting -= 1
            self._used += count
        return count

    def release(self, count: int) -> None:
        """Return reserved bytes that were not used."""
        with self._change:
            self._used -= count
            self._change.notify_all()

    def record(self, blob: CachedBlob, byte_range: ByteRange) -> None:
        """Count reserved bytes as the blob's, now that they are fetched."""
        with self._change:
            blob.ranges = merged([*blob.ranges, byte_range])
            blob.occupied += disk_bytes(byte_range)

    def _wait_for_room(self, view: View, count: int, *, ahead: bool) -> None:
        """Evict until so many bytes fit, and wait where nothing can be evicted."""
        while self._used + count > self.bound:
            victim = self._victim(ahead=ahead)
            if victim is not None:
                self._evict(victim)
            elif ahead and view.closed:
                raise SpectraError("no longer needed", hint="nothing is to be done")
            else:
                self._change.wait(1.0)
                self._retry_policy.check()

    def _victim(self, *, ahead: bool) -> CachedBlob | None:
        """Return what to evict: first what no open checkpoint uses, then the largest old one; not that one if ahead."""
        idle = [b for b in self._blobs.values() if b.occupied and b.pins <= b.waiting and not b.fetching.locked()]
        if ahead:
            idle = [blob for blob in idle if not blob.users]
        return min(idle, key=lambda b: (self._latest in b.users, bool(b.users), -b.occupied), default=None)

    def _drop_unused(self, blob: CachedBlob) -> None:
        if not blob.users and not blob.pins and blob.file.blob not in self._recurring:
            self._evict(blob)

    def _evict(self, blob: CachedBlob) -> None:
        """Remove a blob from the folder; the caller holds the lock."""
        if self._blobs.get(blob.file.blob) is not blob:
            return  # it was dropped before, when nobody had pinned it: its place may be another's by now
        blob.path.unlink(missing_ok=True)
        self._used -= blob.occupied
        blob.occupied, blob.ranges = 0, []
        if not blob.users and not blob.pins and not blob.broken:
            del self._blobs[blob.file.blob]  # a broken one is remembered: it may have been found so by looking ahead
