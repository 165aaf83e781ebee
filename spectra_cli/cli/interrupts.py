"""Ends a command on SIGINT and SIGTERM: softly where that is quick, and within two seconds in any case.

A soft end waits for the matrices that are being computed, and a large one takes minutes; what is finished is safe on
the disk by then, so nothing is lost when the process ends in the midst of one. Knows no command.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spectra_cli.errors import SpectraError

GRACE = 1.0  # seconds for a soft end; with 1.5 it took 2.1 s in all on a machine with every core busy
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"
ShowError = Callable[[str, str], None]


class Stopped(KeyboardInterrupt):
    """One of SIGNALS has come; args: its number."""


@contextmanager
def stoppable(hint: str, show_error: ShowError, clean_up: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turn a signal that comes in this block into a SpectraError, or end the process where that takes too long.

    hint: what is kept, and how to resume. show_error and clean_up: called where the process is ended, as nothing else
    runs then. Only the main thread receives signals: in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    handlers = {number: signal.signal(number, _raise) for number in SIGNALS}
    waking = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(
        target=_watch, args=(reading, lambda number: _end(over, number, hint, show_error, clean_up)), daemon=True
    )
    watcher.start()
    try:
        yield
    except Stopped as stopped:
        raise SpectraError(_message(stopped.args[0]), hint=hint) from None
    finally:
        over.set()
        signal.set_wakeup_fd(waking)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writing)  # the watcher reads the end of it
        watcher.join()
        os.close(reading)


def _raise(number: int, _: FrameType | None) -> None:
    for (
        signal_number
    ) in SIGNALS:  # a second signal must not break what cleans up after the first; the watcher ends it anyway
        signal.signal(signal_number, _ignore)
    raise Stopped(number)


def _ignore(_: int, __: FrameType | None) -> None:
    """Stand for a handler: SIG_IGN would keep the signal from the watcher too."""


def _watch(reading: int, end: Callable[[int], None]) -> None:
    """Wait for a signal, whatever the main thread is at, and then for the soft end."""
    while data := os.read(reading, 1):
        if data[0] in SIGNALS:
            timer = threading.Timer(GRACE, end, (data[0],))
            timer.daemon = True
            timer.start()


def _end(over: threading.Event, number: int, hint: str, show_error: ShowError, clean_up: Callable[[], None]) -> None:
    if over.is_set():
        return
    clean_up()
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{SHOW_CURSOR}")  # a progress bar may have hidden it
    show_error(_message(number), hint)
    sys.stderr.flush()
    os._exit(1)


def _message(number: int) -> str:
    return f"stopped by {signal.Signals(number).name}"
