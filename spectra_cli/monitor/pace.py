"""What measuring costs a run, and when the next measurement is within its budget. Knows nothing of what is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """What a run paid for its measurements so far.

    measured: how many steps. waited: seconds in which training stood still. beside: seconds of a processor that
    measuring took while training ran. elapsed: seconds since the monitor began.
    """

    measured: int = 0
    waited: float = 0.0
    beside: float = 0.0
    elapsed: float = 0.0

    @property
    def share(self) -> float:
        """The share of the run's time that measuring took, as if training had lost every second of both kinds."""
        return (self.waited + self.beside) / self.elapsed if self.elapsed else 0.0

    def __str__(self) -> str:
        """Return it as a sentence.

        >>> print(Cost(measured=40, waited=1.5, beside=8.5, elapsed=500.0))
        40 steps measured: training waited 1.5 s, and 8.5 s of a processor were taken beside it; 2.0% of 500.0 s
        """
        steps = "1 step" if self.measured == 1 else f"{self.measured} steps"
        return (
            f"{steps} measured: training waited {self.waited:.1f} s, and {self.beside:.1f} s of a "
            f"processor were taken beside it; {self.share:.1%} of {self.elapsed:.1f} s"
        )


@dataclass
class Pace:
    """Decides which steps are measured, so that their cost stays within a share of the run's time.

    every: steps between measurements at least. budget: the share of time; None for every step that is due. clock: in
    seconds. A measurement is begun when what was paid, and what the last one cost, fit into the budget of the time that
    has passed; the first is begun at once, since nothing is known of its cost.

    >>> seconds = iter([0.0, 100.0, 300.0])
    >>> pace = Pace(every=10, budget=0.02, clock=lambda: next(seconds))
    >>> pace.allows()
    True
    >>> pace.wait(0.5)
    >>> pace.finish(beside=2.0)
    >>> pace.allows(), pace.allows()
    (False, True)
    """

    every: int
    budget: float | None = None
    clock: Callable[[], float] = time.perf_counter
    began: float = field(init=False)
    measured: int = 0
    waited: float = 0.0
    beside: float = 0.0
    last: float = 0.0
    _waiting: float = 0.0

    def __post_init__(self) -> None:
        """Start the clock."""
        self.began = self.clock()

    def is_due(self, step: int) -> bool:
        """Whether a step is one of those that are measured where there is no budget: the same on every process."""
        return step % self.every == 0

    def allows(self) -> bool:
        """Whether one more measurement is within the budget."""
        if self.budget is None or not self.measured:
            return True
        return self.waited + self.beside + self.last <= self.budget * (self.clock() - self.began)

    def wait(self, seconds: float) -> None:
        """Count time in which training stood still for a measurement that is not finished."""
        self.waited += seconds
        self._waiting += seconds

    def finish(self, beside: float) -> None:
        """Count a finished measurement. beside: seconds of a processor that it took while training ran."""
        self.measured += 1
        self.beside += beside
        self.last, self._waiting = self._waiting + beside, 0.0

    @property
    def cost(self) -> Cost:
        """What was paid so far."""
        return Cost(self.measured, self.waited, self.beside, self.clock() - self.began)
