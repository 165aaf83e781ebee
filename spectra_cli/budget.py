"""The one budget of every description that a stranger writes: bytes of memory and seconds of work, whatever its format.

A reader opens it with `bounded` and spends from it for all that it makes or visits; what runs out of it is refused, and
named. There is no list of cases: a graph of shared objects, colliding keys, a header of a million entries cost what
they cost. Also, what the system leaves this process where it limits its addresses. Knows no format.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from mmap import mmap

from spectra_cli.errors import SpectraError, printable

# The descriptions of 120,000 tensors take 1 s and 100 MB, by whichever reader.
SECONDS = 5.0  # of this thread's own work: a busy machine refuses nothing that an idle one takes
BYTES = 512 * 2**20
ITEM = 64  # bytes of Python's smallest object with a reference to it
LOOK = 512  # spendings between two looks at the clock


class OverBudgetError(SpectraError):
    """A description took more than a description of weights needs."""


@dataclass
class _Budget:
    what: object
    left: int = BYTES
    spendings: int = 0
    until: float = field(default_factory=lambda: time.thread_time() + SECONDS)


_current: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def bounded(what: object) -> Iterator[None]:
    """Put what is read in this block on one budget; a block for the same thing within it shares it.

    what: the file, as the error names it.
    """
    outer = _current.get()
    if outer is not None and outer.what == what:
        yield
        return
    token = _current.set(_Budget(what))
    try:
        yield
    except MemoryError:
        raise _over(what, f"{BYTES >> 20} MB") from None
    finally:
        _current.reset(token)


def is_bounded() -> bool:
    """Whether there is a budget to spend from."""
    return _current.get() is not None


def spend(nbytes: int = ITEM) -> None:
    """Take so many bytes from the budget of this block, and look at the clock now and then; outside of one, nothing.

    Raises OverBudgetError where it has run out.
    """
    budget = _current.get()
    if budget is None:
        return
    budget.left -= nbytes
    budget.spendings += 1
    if budget.left < 0:
        raise _over(budget.what, f"{BYTES >> 20} MB")
    if budget.spendings % LOOK == 0 or nbytes > 2**20:
        check_clock()


def check_clock() -> None:
    """Raise OverBudgetError where the time of this block's budget is over: after a call that may have been long."""
    budget = _current.get()
    if budget is not None and time.thread_time() > budget.until:
        raise _over(budget.what, f"{SECONDS:.0f} s")


def spend_on_json(data: bytes) -> None:
    """Take what a JSON text will need: itself, its decoded text, its strings, and 100 bytes for each of its marks.

    One sign beyond Latin makes each sign of a decoded text take four bytes.
    """
    wide = 1 if data.isascii() else 4
    strings = 4 if wide == 4 or b"\\u" in data else 1
    spend(len(data) * (1 + wide + strings) + 100 * sum(data.count(mark) for mark in (b",", b"[", b"{")))


def _over(what: object, limit: str) -> OverBudgetError:
    return OverBudgetError(
        f"{printable(what, 400)} takes over {limit} to be understood, more than any description of weights",
        hint="copy the file again, or leave it out; if it stays so, it was made to do harm",
    )


def has_limited_addresses() -> bool:
    """Whether the system limits the addresses of this process (`ulimit -v`)."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def has_addresses_for(count: int) -> bool:
    """Whether so many bytes can still be mapped; true without trying where nothing limits them."""
    if has_limited_addresses():
        try:
            mmap(-1, count).close()
        except OSError:
            return False
    return True
