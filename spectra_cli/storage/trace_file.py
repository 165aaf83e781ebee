"""Writes events as a file in Chrome's trace format while they come, an event a line. Knows nothing of the work."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO

from spectra_cli.errors import SpectraError, printable
from spectra_cli.storage.atomic import check_target, temporary_name
from spectra_cli.trace import NO_TRACE, Event, Recorder


@contextmanager
def recorded(path: Path | None) -> Iterator[Recorder]:
    """Record what the block does; the file has its name once the block is done, also where that raises.

    path: None where no trace is wanted. Raises SpectraError where the file cannot be written.
    """
    if path is None:
        yield NO_TRACE
        return
    check_target(path)
    writing = temporary_name(path)
    with _told(path):
        writing.unlink(missing_ok=True)
        file = open(writing, "x", encoding="utf-8")  # noqa: SIM115 - closed below, before it gets its name
    try:
        lines = _Lines(file)
        yield Recorder(lines.keep)
    finally:
        with _told(path), contextlib.ExitStack() as undo:
            undo.callback(writing.unlink, missing_ok=True)
            lines.end()
            os.replace(writing, path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpectraError(
            f"the trace {path} cannot be written: {os.strerror(error.errno or 0)}",
            hint="give --trace another file, or leave it out",
        ) from None


class _Lines:
    """The file's lines: each event, and before the first of a process or a worker, what that is called.

    Machines have clocks of their own: one's is set by its first event, which ended just before it came here.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._lock = file, Lock()
        self._processes: dict[tuple[str, int], int] = {}
        self._workers: dict[tuple[int, str], int] = {}
        self._clocks: dict[str, int] = {}
        self._failure: OSError | None = None
        file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')

    def keep(self, event: Event) -> None:
        """Write an event. What goes wrong is raised at the end, where it costs nothing that was computed."""
        with self._lock:
            try:
                self._write(event)
            except OSError as error:
                self._failure = self._failure or error

    def end(self) -> None:
        """Write the last line and close the file."""
        with self._lock, self._file:
            if self._failure is not None:
                raise self._failure
            self._line({"name": "end", "ph": "M", "pid": 0, "tid": 0}, last=True)
            self._file.write("]}\n")

    def _write(self, event: Event) -> None:
        process = self._processes.setdefault((event.machine, event.process), len(self._processes) + 1)
        if (process, "") not in self._workers:
            self._workers[process, ""] = 0
            self._name("process_name", process, 0, f"{event.machine}, process {event.process}")
        if (process, event.worker) not in self._workers:
            self._workers[process, event.worker] = len(self._workers)
            self._name("thread_name", process, self._workers[process, event.worker], event.worker)
        now = time.monotonic_ns()
        clock = self._clocks.setdefault(event.machine, now - event.begun - event.lasted)
        shown = {name: fact if isinstance(fact, int) else printable(fact) for name, fact in event.facts.items()}
        begun, lasted = (clock + event.begun) / 1000, event.lasted / 1000
        worker = self._workers[process, event.worker]
        self._line(
            {"name": event.name, "ph": "X", "ts": begun, "dur": lasted, "pid": process, "tid": worker, "args": shown}
        )

    def _name(self, what: str, process: int, worker: int, name: str) -> None:
        self._line({"name": what, "ph": "M", "pid": process, "tid": worker, "args": {"name": printable(name)}})

    def _line(self, fields: dict[str, object], *, last: bool = False) -> None:
        self._file.write(json.dumps(fields) + ("\n" if last else ",\n"))
