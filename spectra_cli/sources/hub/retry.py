"""Retries requests to the Hub with backoff: which, for how long, and what is reported meanwhile.

huggingface_hub gets it as its client, so that every request, the library's own too, is retried and has a timeout.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from spectra_cli.errors import SpectraError

if TYPE_CHECKING:
    import httpx2

Result = TypeVar("Result")
AGAIN = frozenset({429, 500, 502, 503, 504})
SECONDS_OF_SILENCE = 30.0  # without a byte, a connection counts as broken


class TryAgainError(Exception):
    """A request failed in a way that may pass. after: seconds that the server asked to wait, None where it did not."""

    def __init__(self, why: str, after: float | None = None) -> None:
        """Keep the reason, which is fit to be shown."""
        super().__init__(why)
        self.why, self.after = why, after


@dataclass
class RetryPolicy:
    """How long one request is retried: for `seconds` since its last success, with pauses that double, and jitter.

    on_wait: called with a sentence on what is waited for. stopped: set when the program is to end; every wait ends
    with it.
    """

    seconds: float = 600.0
    on_wait: Callable[[str], None] = lambda _: None
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self, attempt: Callable[[], Result]) -> Result:
        """Return the attempt's result; TryAgainError means another attempt. Raises SpectraError when time is up."""
        pauses = tenacity.wait_exponential_jitter(initial=0.5, max=60, jitter=0.5)

        def pause(state: tenacity.RetryCallState) -> float:
            asked = getattr(state.outcome.exception() if state.outcome else None, "after", None)
            return float(max(pauses(state), asked or 0.0))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgainError),
            wait=pause,
            stop=tenacity.stop_before_delay(self.seconds),
            before_sleep=self._report,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgainError as error:
            raise SpectraError(
                f"the Hub could not be reached for {self.seconds:.0f} s: {error.why}",
                hint="what was computed is kept: run the same command again later, or give more --patience",
                stops=True,
            ) from None

    def _report(self, state: tenacity.RetryCallState) -> None:
        """Call `on_wait` before a pause."""
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        self.on_wait(f"waiting {seconds:.0f} s for the Hub: {getattr(error, 'why', 'no answer')}")

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


def client_factory(retry_policy: RetryPolicy) -> Callable[[], httpx2.Client]:
    """Return a factory for huggingface_hub's client: as its own, with a timeout, and every request retried.

    A redirect that fails is retried from its beginning, since signed addresses grow old; httpx leaves the token
    behind when a redirect leads to another origin.
    """
    import httpx2
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import OfflineModeIsEnabled

    class RetryingClient(httpx2.Client):
        def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            def attempt() -> httpx2.Response:
                retry_policy.check()
                if is_offline_mode():
                    raise OfflineModeIsEnabled("offline")
                try:
                    response = super(RetryingClient, self).send(request, **options)
                except httpx2.TransportError as error:
                    raise TryAgainError(trouble(error)) from None
                if response.status_code in AGAIN:
                    response.close()
                    raise TryAgainError(f"it answers {response.status_code}", retry_after(response.headers))
                return response

            return retry_policy.call(attempt)

    timeout = httpx2.Timeout(SECONDS_OF_SILENCE, pool=None)
    return lambda: RetryingClient(follow_redirects=True, timeout=timeout)


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
