"""Makes any checkpoint's files a local folder: the one they are in, or links to what is fetched while it is read."""

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
from spectra_cli.sources.hub.byte_ranges import ByteRange
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.hub.scratch import scratch_folder
from spectra_cli.sources.hub.store import HeaderSize, Store
from spectra_cli.sources.hub.view import View
from spectra_cli.trace import NO_TRACE, Recorder

LEAST_DISK = 10**10


@dataclass(frozen=True)
class LocalFiles:
    """A checkpoint's files as a folder or file of this machine; called: its name in errors.

    view: fetches what is not there yet; None where all is.
    """

    path: Path
    called: str
    view: View | None = None


class CheckpointFiles:
    """The files of the checkpoints of a scan; nothing is made before the first that is not on this machine.

    checkpoints: in the order in which they will be read. disk: bytes of scratch space, None for the larger of 10 GB and
    two of the largest files. header_size, selective, headers_only: see Store. side_by_side: all are open at once and
    read in the order of their files. compares: whether tensors that may be equal are read to tell. Use it in a `with`
    block: at its end nothing that was fetched is left.
    """

    def __init__(
        self, client: Client, checkpoints: Sequence[Checkpoint], header_size: HeaderSize, *,
        disk: int | None = None, selective: bool = False, headers_only: bool = False,
        side_by_side: bool = False, recorder: Recorder = NO_TRACE,
    ) -> None:  # fmt: skip
        """Note what may be asked for; open nothing."""
        self.headers_only, self.side_by_side = headers_only, side_by_side
        self.client, self.header_size, self.selective = client, header_size, selective
        self.recorder = recorder
        self.compares = not headers_only
        self.checkpoints = tuple(checkpoints)
        self.disk = disk or max(LEAST_DISK, 2 * max((file.size for file in self._files()), default=0))
        self._closing = ExitStack()
        self._store: Store | None = None
        self._prepared: dict[Checkpoint, ExitStack] = {}
        self._opened: set[Checkpoint] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> CheckpointFiles:
        """Begin; from here on, a signal that ends the program ends all fetching first."""
        if any(isinstance(checkpoint.path, Remote) for checkpoint in self.checkpoints):
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

    def planned(self) -> dict[str, list[ByteRange]]:
        """Return the requests that a scan would make of each file of the checkpoint that was opened last, by name."""
        return self._store.planned if self._store else {}

    def tight(self) -> bool:
        """Whether a scan would find no room for all checkpoints that it reads at once."""
        return self._store is not None and self._store.planned_tight

    def size_of(self, name: str) -> int:
        """Return the size in bytes of the largest file of that name."""
        return max(file.size for file in self._files() if file.name == name)

    def _files(self) -> list[RemoteFile]:
        """Return all files on the Hub."""
        remotes = (checkpoint.path for checkpoint in self.checkpoints if isinstance(checkpoint.path, Remote))
        return [file for remote in remotes for file in remote.files]

    def _open_store(self) -> Store:
        """Return the store, made at the first call."""
        if self._store is None:
            folder = self._closing.enter_context(scratch_folder())
            together = len(self.checkpoints) if self.side_by_side else 3
            self._store = Store(
                self.client, folder, self.disk, self.header_size, selective=self.selective,
                together=min(together, len(self.checkpoints)), recurring=recurring(self.checkpoints),
                headers_only=self.headers_only,
            )  # fmt: skip
            self._store.in_order, self._store.recorder = self.side_by_side, self.recorder
        return self._store

    @contextmanager
    def materialize(self, checkpoint: Checkpoint, *, ahead: bool = False) -> Iterator[LocalFiles]:
        """Open a checkpoint's files on this machine while the block runs. ahead: they are wanted later, not now."""
        path = checkpoint.path
        if isinstance(path, Path):
            yield LocalFiles(path, str(path))
            return
        store = self._open_store()
        view = store.open_view(path, ahead=ahead)
        if not ahead:
            self._close_prepared(checkpoint)
        try:
            yield LocalFiles(view.folder, path.called(checkpoint.revision), view)
        finally:
            store.close_view(view)

    def prepare(self, checkpoint: Checkpoint, open_ahead: Callable[[], AbstractContextManager[object]]) -> None:
        """Open a checkpoint in the background, and keep what that fetches until the checkpoint is opened to be read.

        open_ahead: opens it with `ahead=True`. For a checkpoint on this machine, nothing is done.
        """
        if not isinstance(checkpoint.path, Remote) or self._store is None:
            return
        self._opened.discard(checkpoint)

        def attempt() -> None:
            stack = ExitStack()
            try:
                stack.enter_context(open_ahead())
            except SpectraError:
                stack.close()  # opening it to be read meets the same error
                return
            with self._lock:
                if checkpoint not in self._opened:
                    self._prepared[checkpoint] = stack
                    return
            stack.close()

        self._store.in_background(attempt)

    def _close_prepared(self, checkpoint: Checkpoint) -> None:
        """Release what was prepared for a checkpoint, now that it is opened itself."""
        with self._lock:
            self._opened.add(checkpoint)
            stack = self._prepared.pop(checkpoint, None)
        if stack is not None:
            stack.close()


def recurring(checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
    """Return the blobs that more than one checkpoint has."""
    seen: set[str] = set()
    again: set[str] = set()
    for checkpoint in checkpoints:
        if isinstance(checkpoint.path, Remote):
            blobs = {file.blob for file in checkpoint.path.files}
            again |= blobs & seen
            seen |= blobs
    return frozenset(again)


@contextmanager
def _stopping_on_signals(stopped: threading.Event) -> Iterator[None]:
    """End every wait and download on Ctrl-C and SIGTERM, then do what the signal did before."""
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
