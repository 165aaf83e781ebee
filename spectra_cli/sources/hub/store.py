"""Files of the Hub, fetched into a scratch folder of bounded size while they are read, and dropped when they are not.

A file there has the size of the whole from the start, and holes where nothing was fetched: what reads it sees an
ordinary file. It knows names, sizes and blobs; what a file holds it is told.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spectra_cli.errors import SpectraError
from spectra_cli.records import FileRange, Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import Span, grouped, merged, missing
from spectra_cli.sources.hub.client import Client, RangeIgnoredError

Describe = Callable[[str, bytes], int | None]
BLOCK = 4096  # a file system counts by blocks of about this
FIRST_BYTES = 64 * 1024  # a header of 400 tensors; a longer one takes a second request
SMALL = 1 << 20  # below this a file is fetched whole, whatever of it is wanted
NEARLY_ALL = 0.8  # from this share of a file on, one request for the whole costs less than several for parts
LONGEST_REQUEST = 256 << 20


@dataclass(eq=False)
class Held:
    """One blob in the scratch folder: which ranges of it are there, and who needs it.

    kept: the room they take. pins: readers that must not lose it; waiting: those of them that wait for room, and so
    read nothing yet. users: the views that it belongs to. broken: why it will not be fetched again.
    """

    remote: Remote
    file: RemoteFile
    path: Path
    spans: list[Span] = field(default_factory=list)
    kept: int = 0
    pins: int = 0
    waiting: int = 0
    users: set[int] = field(default_factory=set)
    broken: SpectraError | None = None
    fetching: threading.Lock = field(default_factory=threading.Lock)

    def has(self, span: Span) -> bool:
        """Say whether a range is there."""
        return not missing([span], self.spans)


@dataclass(eq=False)
class View:
    """One checkpoint's files under their own names; folder: where they seem to lie.

    whole: files are fetched whole and stay while they are needed. tight: there is no room for what is wanted of all
    open checkpoints; a tensor is fetched when it is read, and dropped for the next one. ahead: it is fetched for later,
    and takes no room from what is in use. groups: what is fetched in one request.
    """

    number: int
    folder: Path
    held: dict[str, Held]
    whole: bool
    tight: bool
    ahead: bool
    store: Store
    groups: dict[str, list[Span]] = field(default_factory=dict)
    closed: bool = False
    _describing: Held | None = None

    def materialize_header(self, path: Path) -> None:
        """Have at hand what must be read of a file to learn what it holds, until the next file is described."""
        held = self.held.get(path.name)
        self.release_header()
        if held is None:
            return
        self.store.pin(held, +1)
        self._describing = held
        self.store.describe(self, held)

    def release_header(self) -> None:
        """Let go of the file that was described last."""
        if self._describing is not None:
            self.store.pin(self._describing, -1)
            self._describing = None

    @contextmanager
    def materialize(self, file_ranges: Sequence[FileRange]) -> Iterator[None]:
        """Have ranges of files at hand while the block runs."""
        spans: dict[str, list[Span]] = {}
        for path, offset, count in file_ranges:
            if path.name in self.held:
                spans.setdefault(path.name, []).append((offset, offset + count))
        pinned = [self.held[name] for name in spans]
        for name, held in zip(spans, pinned, strict=True):
            self.store.pin(held, +1)
            if self.tight and missing(spans[name], held.spans):
                self.store.make_way(held)
        try:
            while lacking := [name for name in spans if missing(spans[name], self.held[name].spans)]:
                for name in lacking:  # what comes late may take the room of what came early: then once more
                    self.store.ensure(self, self.held[name], self._in_groups(name, spans[name]))
            yield
        finally:
            for held in pinned:
                self.store.pin(held, -1)

    def _in_groups(self, name: str, wanted: Sequence[Span]) -> list[Span]:
        """Widen ranges that are not there to the requests that were planned for them."""
        lacking = missing(wanted, self.held[name].spans)
        groups = self.groups.get(name, [])
        return [next((g for g in groups if g[0] <= start and stop <= g[1]), (start, stop)) for start, stop in lacking]

    def expect(self, file_ranges: Sequence[FileRange]) -> None:
        """Learn what will be read, in order: choose between whole files and parts, and begin to fetch."""
        spans: dict[str, list[Span]] = {}
        for path, offset, count in file_ranges:
            if path.name in self.held:
                spans.setdefault(path.name, []).append((offset, offset + count))
        self.tight = self.tight or not self.store.has_room(sum(b - a for one in spans.values() for a, b in merged(one)))
        for name, wanted in spans.items():
            one = merged(wanted) if self.tight else self.store.requests(self, self.held[name].file, wanted)
            self.groups[name] = one
        if self.store.headers_only:
            self.store.planned, self.store.planned_tight = dict(self.groups), self.tight
        if self.store.headers_only or self.tight:
            self.groups = {}
            return
        self.store.fetch_ahead(self, [(self.held[name], group) for name in spans for group in self.groups[name]])


class Store:
    """Scratch space of at most `bound` bytes, filled by readers and, ahead of them, by a thread of its own.

    selective: only some matrices are wanted. together: how many checkpoints are open at once. describe: says how many
    of a file's first bytes tell what it holds, from its name and first bytes; None where only the whole does.
    recurring: blobs that more than one checkpoint has. headers_only: only what tells the contents of files is fetched;
    planned, planned_tight: the requests that a scan would make of each file of the checkpoint opened last, by name.
    """

    def __init__(
        self, client: Client, folder: Path, bound: int, describe: Describe, *, selective: bool, together: int,
        recurring: frozenset[str] = frozenset(), headers_only: bool = False,
    ) -> None:  # fmt: skip
        """Take over an empty folder."""
        self.headers_only = headers_only
        self.planned: dict[str, list[Span]] = {}
        self.planned_tight = False
        self.client, self.folder, self.bound, self._describe = client, folder, bound, describe
        self.selective, self.together, self.recurring = selective, together, recurring
        self._held: dict[str, Held] = {}
        self._used = 0
        self._change = threading.Condition()
        self._views = 0
        self._latest = 0
        self._failed: SpectraError | None = None
        self._ahead = ThreadPoolExecutor(1, "fetch")
        (folder / "blobs").mkdir()

    def close(self) -> None:
        """End all fetching."""
        self.client.retry_policy.stopped.set()
        with self._change:
            self._change.notify_all()
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def open(self, remote: Remote, *, ahead: bool = False) -> View:
        """Lay out a checkpoint's files under their names; files in the user's own cache are used where they lie."""
        with self._change:
            self._views += 1
            number = self._views
            if not ahead:
                self._latest = number
        folder = self.folder / f"view-{number}"
        folder.mkdir()
        held = {}
        for file in remote.files:
            link = folder / file.name
            cached = cached_path(remote, file)
            if cached is not None:
                link.symlink_to(cached)
                continue
            with self._change:
                one = self._held.setdefault(file.blob, Held(remote, file, self.folder / "blobs" / file.blob))
                one.users.add(number)
            link.symlink_to(one.path)
            held[file.name] = one
        wanted = sum(one.file.size for one in held.values())
        kept = number == 1 and wanted <= self.bound // 2  # the reference: every other checkpoint is compared with it
        whole = not self.selective and (kept or self.has_room(wanted))
        return View(number, folder, held, whole, not self.selective and not whole, ahead, self)

    def shut(self, view: View) -> None:
        """Drop a checkpoint's files, those apart that another one needs."""
        view.release_header()
        view.closed = True
        with self._change:
            for held in view.held.values():
                held.users.discard(view.number)
                if not held.users and not held.pins and held.file.blob not in self.recurring:
                    self._evict(held)
            self._change.notify_all()
        shutil.rmtree(view.folder, ignore_errors=True)

    def has_room(self, wanted: int) -> bool:
        """Say whether so many bytes of each checkpoint fit, of those open at once and of the next one too."""
        return wanted * (self.together + 1) <= self.bound

    def make_way(self, held: Held) -> None:
        """Drop what is there of a file, where nobody but the one who asks needs it."""
        with self._change:
            if held.pins == 1 and held.kept and not held.fetching.locked():
                self._evict(held)
                self._change.notify_all()

    def requests(self, view: View, file: RemoteFile, wanted: Sequence[Span]) -> list[Span]:
        """Choose how ranges of a file are fetched: the whole, or parts of it in few requests."""
        share = sum(stop - start for start, stop in merged(wanted)) / max(1, file.size)
        if view.whole or (share >= NEARLY_ALL and self.has_room(file.size)):
            return [(0, file.size)]
        return grouped(wanted, max(1, min(LONGEST_REQUEST, self.bound // 16)))

    def describe(self, view: View, held: Held) -> None:
        """Fetch what tells the contents of a file."""
        name, size = held.file.name, held.file.size
        if (view.whole and not self.headers_only) or size <= SMALL or self._describe(name, b"") is None:
            self.ensure(view, held, [(0, size)])
            return
        head = min(size, FIRST_BYTES)
        self.ensure(view, held, [(0, head)])
        with held.path.open("rb") as file:
            needed = self._describe(name, file.read(head))
        if needed is not None and needed > head:
            self.ensure(view, held, [(0, min(size, needed))])

    def pin(self, held: Held, change: int) -> None:
        """Keep a file from being dropped, or no longer."""
        with self._change:
            held.pins += change
            self._change.notify_all()

    def fetch_ahead(self, view: View, wanted: Sequence[tuple[Held, Span]]) -> None:
        """Fetch in the background, in order; what goes wrong there is met again by whoever reads."""

        def fetch() -> None:
            for held, span in wanted:
                if view.closed:
                    return
                try:
                    self.ensure(view, held, [span], ahead=True)
                except SpectraError:
                    return

        if view.ahead:
            fetch()
        else:
            self._ahead.submit(fetch)

    def prepare(self, look: Callable[[], None]) -> None:
        """Let a look into the next checkpoint be taken in the background, after what was to be fetched before it."""
        self._ahead.submit(look)

    def ensure(self, view: View, held: Held, spans: Sequence[Span], *, ahead: bool = False) -> None:
        """Have ranges of a file in the scratch folder. Raises SpectraError where they cannot be had."""
        for span in missing(spans, held.spans):
            self._raise_failures(held)
            room = self._take_room(view, held, _blocks(span), ahead=ahead or view.ahead, pinned=not ahead)
            with held.fetching:
                try:
                    self._raise_failures(held)
                    if not held.has(span):
                        self._fetch(view, held, span, ahead=ahead or view.ahead)
                        room = 0
                except SpectraError as error:
                    self._failed = error if error.stops else self._failed
                    raise
                finally:
                    self._give_back(room)

    def _raise_failures(self, held: Held) -> None:
        self.client.retry_policy.check()
        if self._failed or held.broken:
            raise self._failed or held.broken  # type: ignore[misc]

    def _fetch(self, view: View, held: Held, span: Span, *, ahead: bool) -> None:
        """Fetch a range for which room was taken, and count the room as the file's."""
        whole = (0, held.file.size)
        try:
            try:
                self._fetch_whole(held) if span == whole else self._download(held, span)
            except RangeIgnoredError:
                self._take_room(view, held, _blocks(whole) - _blocks(span), ahead=ahead, pinned=False)
                span = whole
                self._fetch_whole(held)
        except BaseException:
            if not held.spans:
                held.path.unlink(missing_ok=True)
            raise
        with self._change:
            held.spans = merged([*held.spans, span])
            held.kept += _blocks(span)

    def _fetch_whole(self, held: Held) -> None:
        """Fetch a file and check its bytes against the blob's name; once more where they differ."""
        file = held.file
        for attempt in range(2):
            digest = hashlib.sha256() if len(file.blob) == 64 else _git_digest(file.size)
            self._download(held, (0, file.size), digest.update)
            if digest.hexdigest() == file.blob:
                return
            if attempt == 0:
                self.client.retry_policy.on_wait(f"{file.name} came with other bytes than its hash says: fetched again")
        held.broken = SpectraError(
            f"hf:{held.remote.repository}@{held.remote.commit[:12]}/{file.name} does not match its hash, fetched twice",
            hint="the copy on the Hub is damaged: tell the repository's owner; the other checkpoints are measured",
        )
        raise held.broken

    def _download(self, held: Held, span: Span, also: Callable[[memoryview], None] = lambda _: None) -> None:
        place = span[0]
        try:
            descriptor = os.open(held.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, held.file.size)

                def write(data: memoryview) -> None:
                    nonlocal place
                    also(data)
                    while data:
                        count = os.pwrite(descriptor, data, place)
                        place, data = place + count, data[count:]

                self.client.fetch(held.remote, held.file, span, write)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SpectraError(
                f"{held.file.name} cannot be kept in the scratch folder {self.folder.parent}:"
                f" {os.strerror(error.errno or 0)}; {span[1] - span[0]:,} bytes are needed for it",
                hint="what was computed is kept: free space, set TMPDIR to a larger disk, or give a smaller --disk",
                stops=True,
            ) from None

    def _take_room(self, view: View, held: Held, count: int, *, ahead: bool, pinned: bool) -> int:
        """Take room within the bound, from what is needed least; wait for it where all is in use.

        pinned: whoever asks has pinned the file, and does not read it while it waits.
        """
        if count > self.bound:
            raise SpectraError(
                f"--disk allows {self.bound:,} bytes, and {held.file.name} needs {count:,} at once",
                hint=f"give --disk {2 * count / 1e9:.1f}GB or more",
                stops=True,
            )
        with self._change:
            held.waiting += pinned
            try:
                self._wait_for_room(view, count, ahead=ahead)
            finally:
                held.waiting -= pinned
            self._used += count
        return count

    def _wait_for_room(self, view: View, count: int, *, ahead: bool) -> None:
        while self._used + count > self.bound:
            victim = self._victim(ahead=ahead)
            if victim is not None:
                self._evict(victim)
            elif ahead and view.closed:
                raise SpectraError("no longer needed", hint="nothing is to be done")
            else:
                self._change.wait(1.0)
                self.client.retry_policy.check()

    def _give_back(self, count: int) -> None:
        with self._change:
            self._used -= count
            self._change.notify_all()

    def _victim(self, *, ahead: bool) -> Held | None:
        """Choose what to drop: what no open checkpoint needs; for one who waits, then the largest old one."""
        idle = [h for h in self._held.values() if h.kept and h.pins <= h.waiting and not h.fetching.locked()]
        if ahead:
            idle = [held for held in idle if not held.users]
        return min(idle, key=lambda h: (self._latest in h.users, bool(h.users), -h.kept), default=None)

    def _evict(self, held: Held) -> None:
        held.path.unlink(missing_ok=True)
        self._used -= held.kept
        held.kept, held.spans = 0, []
        if not held.users and not held.broken and self._held.get(held.file.blob) is held:
            del self._held[held.file.blob]  # what is broken is remembered: who looked ahead may have found it so


def _blocks(span: Span) -> int:
    return -(-span[1] // BLOCK) * BLOCK - span[0] // BLOCK * BLOCK


def cached_path(remote: Remote, file: RemoteFile) -> Path | None:
    """Find a file in huggingface_hub's own cache, by its blob and size."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=remote.repository, repo_type="model")
    path = Path(constants.HF_HUB_CACHE) / name / "blobs" / file.blob
    try:
        return path if path.stat().st_size == file.size else None
    except OSError:
        return None


def _git_digest(size: int) -> hashlib._Hash:
    """Begin the name that git gives to a file: it says which file it is, and is not trusted against forgery."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
