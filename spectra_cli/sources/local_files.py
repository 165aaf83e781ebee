"""Gives any checkpoint's files as a local folder: where they lie, or fetched from the Hub while they are read."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint, Remote, RemoteFile
from spectra_cli.sources.hub.byte_ranges import Span
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.hub.scratch import scratch_folder
from spectra_cli.sources.hub.store import Describe, Store, View

LEAST_DISK = 10**10


@dataclass(frozen=True)
class LocalFiles:
    """A checkpoint's files as a folder or file of this machine; called: what an error should call it.

    view: fetches what is not there yet; None where all is.
    """

    path: Path
    called: str
    view: View | None = None


class CheckpointFiles:
    """What is needed to read these checkpoints; opens nothing before the first that is not on this machine.

    checkpoints: in the order in which they will be read. disk: bytes of scratch space, None for the larger of 10 GB
    and two of the largest files. selective: only some of the matrices are wanted. describe: see Store. Use it in a
    `with` block: at its end nothing that was fetched is left.
    """

    def __init__(
        self, client: Client, checkpoints: Sequence[Checkpoint], describe: Describe, *, disk: int | None = None,
        selective: bool = False, headers_only: bool = False,
    ) -> None:  # fmt: skip
        """Note what may be asked for."""
        self.headers_only = headers_only
        self.client, self.describe, self.selective = client, describe, selective
        self.checkpoints = tuple(checkpoints)
        self.disk = disk or max(LEAST_DISK, 2 * max((file.size for file in self._files()), default=0))
        self._closing = ExitStack()
        self._store: Store | None = None
        self._prepared: dict[Checkpoint, ExitStack] = {}
        self._past: set[Checkpoint] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> CheckpointFiles:
        """Begin; a signal that ends the program ends all fetching first."""
        if any(isinstance(one.path, Remote) for one in self.checkpoints):
            self._closing.enter_context(_stopping_on_signals(self.client.retry_policy.stopped))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was fetched."""
        if self._store is not None:
            self._store.close()
        for stack in self._prepared.values():
            stack.close()
        self._prepared.clear()
        self._closing.close()
        self._store = None

    def planned(self) -> dict[str, list[Span]]:
        """Give the requests that a scan would make of each file of the checkpoint that was looked into last."""
        return self._store.planned if self._store else {}

    def tight(self) -> bool:
        """Say whether a scan would find no room for all checkpoints that it reads at once."""
        return self._store is not None and self._store.planned_tight

    def size_of(self, name: str) -> int:
        """Give the size of the largest file of that name."""
        return max(file.size for file in self._files() if file.name == name)

    def _files(self) -> list[RemoteFile]:
        return [file for one in self.checkpoints if isinstance(one.path, Remote) for file in one.path.files]

    def _open_store(self) -> Store:
        if self._store is None:
            folder = self._closing.enter_context(scratch_folder())
            self._store = Store(
                self.client, folder, self.disk, self.describe, selective=self.selective,
                together=min(3, len(self.checkpoints)), recurring=recurring(self.checkpoints),
                headers_only=self.headers_only,
            )  # fmt: skip
        return self._store

    @contextmanager
    def materialize(self, checkpoint: Checkpoint, *, ahead: bool = False) -> Iterator[LocalFiles]:
        """Have a checkpoint's files on this machine while the block runs."""
        place = checkpoint.path
        if isinstance(place, Path):
            yield LocalFiles(place, str(place))
            return
        store = self._open_store()
        view = store.open(place, ahead=ahead)
        if not ahead:
            self._let_go(checkpoint)
        try:
            yield LocalFiles(view.folder, f"hf:{place.repository}@{checkpoint.revision}", view)
        finally:
            store.shut(view)

    def prepare(self, checkpoint: Checkpoint, look: Callable[[], AbstractContextManager[object]]) -> None:
        """Let `look`, which opens a checkpoint with `ahead=True`, run in the background, and keep what it fetches until
        the checkpoint is opened in earnest; for a local one, do nothing."""
        if not isinstance(checkpoint.path, Remote) or self._store is None:
            return
        self._past.discard(checkpoint)

        def attempt() -> None:
            stack = ExitStack()
            try:
                stack.enter_context(look())
            except SpectraError:
                stack.close()  # whoever reads it in earnest is told
                return
            with self._lock:
                if checkpoint not in self._past:
                    self._prepared[checkpoint] = stack
                    return
            stack.close()

        self._store.prepare(attempt)

    def _let_go(self, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._past.add(checkpoint)
            stack = self._prepared.pop(checkpoint, None)
        if stack is not None:
            stack.close()


def recurring(checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
    """Give the blobs that more than one checkpoint has."""
    seen: set[str] = set()
    again: set[str] = set()
    for one in checkpoints:
        if isinstance(one.path, Remote):
            blobs = {file.blob for file in one.path.files}
            again |= blobs & seen
            seen |= blobs
    return frozenset(again)


@contextmanager
def _stopping_on_signals(stopped: threading.Event) -> Iterator[None]:
    """End every wait and download on Ctrl-C and SIGTERM, then do what would have been done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        usual = before[signal.Signals(number)]
        if callable(usual):
            usual(number, frame)
        elif usual is signal.SIG_DFL:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
