"""Retries requests to the Hub with backoff: which, for how long, and what is reported meanwhile.

huggingface_hub gets it as its client, so that every request, the library's own too, is retried and has a timeout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    import httpx2

Result = TypeVar("Result")
AGAIN = frozenset({429, 500, 502, 503, 504})
SECONDS_OF_SILENCE = 30.0  # without a byte, a connection counts as broken
# Of an answer that is read whole. A page of a listing has 1,000 files in 0.4 MB; 20,000 references take 6 MB.
ANSWER_BYTES = 16 << 20
ANSWER_SECONDS = 60.0
REDIRECT_BYTES = 64 << 10
PAGES = 1000  # of one listing


class TryAgainError(Exception):
    """A request failed in a way that may pass. after: seconds that the server asked to wait, None where it did not."""

    def __init__(self, why: str, after: float | None = None) -> None:
        """Keep the reason, which is fit to be shown."""
        super().__init__(why)
        self.why, self.after = why, after


class UnreachableError(SpectraError):
    """Nobody answered for as long as was asked."""


@dataclass
class RetryPolicy:
    """How long one request is retried: for `seconds` since its last success, with pauses that double, and jitter.

    on_wait: called with a sentence on what is waited for. stopped: set when the program is to end; every wait ends
    with it.
    """

    seconds: float = 600.0
    on_wait: Callable[[str], None] = lambda _: None
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self, attempt: Callable[[], Result], called: str = "the Hub") -> Result:
        """Return the attempt's result; TryAgainError means another attempt. called: who is waited for.

        Raises SpectraError when time is up.
        """
        pauses = tenacity.wait_exponential(multiplier=0.5, max=60) + tenacity.wait_random(0, 0.5)

        def pause(state: tenacity.RetryCallState) -> float:
            asked = getattr(state.outcome.exception() if state.outcome else None, "after", None)
            return float(max(pauses(state), asked or 0.0))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgainError),
            wait=pause,
            stop=tenacity.stop_before_delay(self.seconds),
            before_sleep=partial(self._report, called),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgainError as error:
            raise UnreachableError(
                f"{called} could not be reached for {self.seconds:.0f} s: {error.why}",
                hint="what was computed is kept: run the same command again later, or give more --patience",
                stops=True,
            ) from None

    def keep_trying(self, attempt: Callable[[], None], position: Callable[[], int], called: str = "the Hub") -> None:
        """Call the attempt as `call` does; where it got on by a byte in that time, the time begins anew."""
        while True:
            before = position()
            try:
                self.call(attempt, called)
                return
            except SpectraError as error:
                if position() == before or self.stopped.is_set() or not isinstance(error, UnreachableError):
                    raise

    def _report(self, called: str, state: tenacity.RetryCallState) -> None:
        """Call `on_wait` before a pause."""
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        self.on_wait(f"waiting {seconds:.0f} s for {called}: {getattr(error, 'why', 'no answer')}")

    def _sleep(self, seconds: float) -> None:
        """Pause, until the program is to end at the latest."""
        self.stopped.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise SpectraError where the program is to end."""
        if self.stopped.is_set():
            raise SpectraError(
                "stopped", hint="what was finished is kept: the same command goes on from there", stops=True
            )


@dataclass
class _Listing:
    """What one listing has taken so far."""

    seconds: float
    answers: int = 0
    spent: float = 0.0

    def add(self, spent: float) -> None:
        self.answers += 1
        self.spent += spent
        if self.answers > PAGES or self.spent > self.seconds:
            raise SpectraError(
                f"the Hub's listing does not end: {self.answers:,} answers in {self.spent:.0f} s",
                hint="check HF_ENDPOINT; a listing that is that long needs more --patience",
                stops=True,
            )


_listing: ContextVar[_Listing | None] = ContextVar("listing", default=None)


@contextmanager
def bounded_listing(retry_policy: RetryPolicy) -> Iterator[None]:
    """Bound the answers that are read in this block, by their number and by the time they take to be read."""
    token = _listing.set(_Listing(retry_policy.seconds))
    try:
        yield
    finally:
        _listing.reset(token)


def client_factory(retry_policy: RetryPolicy) -> Callable[[], httpx2.Client]:
    """Return a factory for huggingface_hub's client: as its own, with a timeout, and every request retried.

    A redirect that fails is retried from its beginning, since signed addresses grow old; httpx leaves the token
    behind when a redirect leads to another origin.
    """
    import httpx2
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import OfflineModeIsEnabled

    class RetryingClient(httpx2.Client):
        def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
            def attempt() -> httpx2.Response:
                retry_policy.check()
                if is_offline_mode():
                    raise OfflineModeIsEnabled("offline")
                begun = time.monotonic()
                try:
                    response = super(RetryingClient, self).send(request, stream=True, **options)
                except httpx2.TransportError as error:
                    raise TryAgainError(trouble(error)) from None
                if response.status_code in AGAIN:
                    response.close()
                    raise TryAgainError(f"it answers {response.status_code}", retry_after(response.headers))
                if stream:
                    return response
                whole = _read_whole(response, begun + min(retry_policy.seconds, ANSWER_SECONDS))
                if (listing := _listing.get()) is not None:
                    listing.add(time.monotonic() - begun)
                return whole

            return retry_policy.call(attempt)

    timeout = httpx2.Timeout(SECONDS_OF_SILENCE, pool=None)
    hooks: Any = {"response": [lambda response: _bound_redirect(response, retry_policy)]}
    return lambda: RetryingClient(follow_redirects=True, timeout=timeout, event_hooks=hooks)


def _read_whole(response: httpx2.Response, until: float) -> httpx2.Response:
    """Return the answer with its body, which is read within bounds, and closed."""
    import httpx2

    body = bytearray()
    try:
        for data in response.iter_bytes():
            body += data
            if len(body) > ANSWER_BYTES:
                raise SpectraError(
                    f"the Hub's answer has more than {ANSWER_BYTES:,} bytes",
                    hint="check HF_ENDPOINT and whatever stands between here and the Hub",
                    stops=True,
                )
            if time.monotonic() > until:
                raise TryAgainError("its answer does not end")
    except httpx2.TransportError as error:
        raise TryAgainError(trouble(error)) from None
    except httpx2.DecodingError:
        raise TryAgainError("its answer is not encoded as it says") from None
    finally:
        response.close()
    encoded = ("content-encoding", "content-length", "transfer-encoding")
    whole = httpx2.Response(
        response.status_code, content=bytes(body), request=response.request, history=response.history,
        headers=[(name, value) for name, value in response.headers.multi_items() if name.lower() not in encoded],
        extensions=response.extensions, default_encoding=response.default_encoding,
    )  # fmt: skip
    whole.elapsed = response.elapsed
    return whole


def _bound_redirect(response: httpx2.Response, retry_policy: RetryPolicy) -> None:
    """Bound what is read of the body of a redirect, which nobody looks at."""
    import httpx2

    if not response.has_redirect_location:
        return
    until, whole = time.monotonic() + min(retry_policy.seconds, ANSWER_SECONDS), response.stream

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            left = REDIRECT_BYTES
            for data in whole:  # type: ignore[union-attr]
                yield data[:left]
                left -= len(data)
                if left <= 0 or time.monotonic() > until:
                    raise httpx2.ReadError("the body of a redirect does not end")

        def close(self) -> None:
            whole.close()  # type: ignore[union-attr]

    response.stream = Bounded()


def trouble(error: Exception) -> str:
    """Return words for a broken connection, without an address in them."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return f"no byte in {SECONDS_OF_SILENCE:.0f} s"
    return "no connection" if isinstance(error, httpx2.ConnectError) else "the connection broke"


def retry_after(headers: httpx2.Headers) -> float | None:
    """Return the seconds a server asks to wait: Retry-After, a number or a date by its own clock, or its rate limit."""
    from huggingface_hub.utils._http import parse_ratelimit_headers

    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    if text:
        try:
            return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds())
        except (ValueError, KeyError, TypeError):
            return None
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None
