"""What ran when, on which worker: a recorder that is given to whatever does work. Knows neither the work nor a file."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """A piece of work. begun, lasted: nanoseconds, by its machine's own clock, and long.

    machine, process, worker: where it ran.
    """

    name: str
    begun: int
    lasted: int
    machine: str
    process: int
    worker: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorder:
    """Gives an event of each piece of work to `keep`, which several threads may call; None where nobody asked.

    clock: nanoseconds; with `time.thread_time_ns` an event lasts as long as its thread computes.

    >>> kept = []
    >>> with Recorder(kept.append).span("read", tensor="w"):
    ...     pass
    >>> kept[0].name, kept[0].facts
    ('read', {'tensor': 'w'})
    """

    keep: Callable[[Event], object] | None = None
    clock: Callable[[], int] = time.monotonic_ns

    def span(self, name: str, **facts: object) -> AbstractContextManager[None]:
        """Record the block, also where it raises; facts: what a reader of the trace is shown beside it."""
        return nullcontext() if self.keep is None else _recorded(self.keep, self.clock, name, facts)

    def keep_all(self, events: Iterable[Event]) -> None:
        """Keep what another machine recorded, in the order in which it ended; the last first."""
        if self.keep is not None:
            for event in reversed(tuple(events)):
                self.keep(event)

    @property
    def is_on(self) -> bool:
        """Whether anybody asked."""
        return self.keep is not None


NO_TRACE = Recorder()


@contextmanager
def _recorded(
    keep: Callable[[Event], object], clock: Callable[[], int], name: str, facts: Mapping[str, object]
) -> Iterator[None]:
    begun = clock()
    try:
        yield
    finally:
        lasted, worker = clock() - begun, threading.current_thread().name
        keep(Event(name, begun, lasted, socket.gethostname(), os.getpid(), worker, facts))
