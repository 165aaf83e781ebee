"""Waits between two looks at a run; a change in its folder ends the wait early, where the system reports it."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType


class Waking:
    """Waits for a time, or for a hint of watchfiles: no more, since it misses network file systems and links.

    folder: the run's, None where there is none to look at. Use it in a `with` block.
    """

    def __init__(self, folder: Path | None) -> None:
        """Start nothing yet."""
        self._folder = folder
        self._changed, self._over = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Waking:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread that takes the hints."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def wait(self, seconds: float, *, hints: bool = True) -> None:
        """Wait for so long, or until something in the folder changes. hints: whether that may end it."""
        if not hints:
            self._over.wait(seconds)
            return
        if self._thread is None and self._folder is not None and self._folder.is_dir():
            self._thread = threading.Thread(target=self._take_hints, args=(self._folder,), daemon=True)
            self._thread.start()
        self._changed.wait(seconds)
        self._changed.clear()

    def _take_hints(self, folder: Path) -> None:
        import watchfiles

        try:
            for _ in watchfiles.watch(
                folder, recursive=False, debounce=200, stop_event=self._over, raise_interrupt=False, rust_timeout=500
            ):
                self._changed.set()
        except (OSError, RuntimeError):  # no more watches to be had: looking every so often goes on
            return
