"""What devices and this machine's processors share out between them: which pieces of work are open, taken or done.

Whichever is the faster at one piece takes the most expensive that is open, the other the cheapest, so that they meet
in the middle. Near the end neither takes what it would finish later than the others would finish all that is left:
together they are not slower than one kind alone. Rates are those that were measured so far; devices are of one kind,
and so are processors. It knows nothing of what a piece of work is.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from threading import Condition
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

OPEN, BUSY, DONE = "open", "busy", "done"

PARTS = 4
"""Devices take at most this part of what is open at once, so that there is something left to share."""


@dataclass
class Rate:
    """How fast a kind of worker is: the cost that it has done in some seconds; 0 where nothing was measured."""

    cost: float = 0.0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Cost a second; 0 where nothing was measured."""
        return self.cost / self.seconds if self.seconds > 0 else 0.0


class Board(Generic[Key, Result]):
    """Pieces of work by key, the most expensive first.

    costs: of each, in any unit. processors: how many take from it beside the devices. device, processor: what is known
    of the rates beforehand, of one of each. devices: how many there are.
    """

    def __init__(
        self,
        costs: Mapping[Key, float],
        processors: int,
        device: Rate | None = None,
        processor: Rate | None = None,
        clock: Callable[[], float] = time.monotonic,
        devices: int = 1,
    ) -> None:
        """Leave all open."""
        self.changed = Condition()
        self._costs, self._processors, self._devices, self._clock = costs, processors, devices, clock
        self._devices_left = devices
        self._states = dict.fromkeys(costs, OPEN)
        self._cost_of = {OPEN: sum(costs.values()), BUSY: 0.0, DONE: 0.0}
        self._number_open = len(costs)
        self._by_cost = deque(costs)
        self._results: dict[Key, Result | None] = {}
        self._failure: BaseException | None = None
        self._known = (device or Rate(), processor or Rate())
        self._by_device, self._by_processor = Rate(), Rate()
        self._over = False
        self._device_of: dict[Key, int] = {}
        self._busy_of, self._since = [0.0] * devices, [clock()] * devices

    def for_device(self, device: int = 0) -> Iterator[Key]:
        """Take what is most expensive, again and again, as long as a device is of use. device: its number."""
        while (key := self.take(device)) is not None:
            yield key

    def take(self, device: int = 0) -> Key | None:
        """Take what a device is to do next; None where nothing is open that the processors would not do earlier."""
        with self.changed:
            if self._over:
                return None
            most = self._most_for_device(device)
            key = next((key for key in self._open_in_turn() if self._costs[key] <= most), None)
            if key is not None:
                if not self._busy_of[device]:
                    self._since[device] = self._clock()
                self._device_of[key] = device
                self._busy_of[device] += self._costs[key]
                self._move(key, BUSY)
            return key

    def most_at_once(self) -> int:
        """Return how many a device may take together now."""
        return max(1, -(-self._number_open // (PARTS * self._devices)))

    def keep(self, key: Key, result: Result | None) -> None:
        """Take what a device gave for a key; None where it leaves it to a processor."""
        with self.changed:
            self._settle(key, result)
            device, now = self._device_of.pop(key), self._clock()
            done = self._costs[key] if result is not None else 0.0
            self._by_device = Rate(self._by_device.cost + done, self._by_device.seconds + now - self._since[device])
            self._busy_of[device] -= self._costs[key]
            self._since[device] = now
            self.changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """A device takes no more. failure: why; it is raised where a result would have come, and the others end too."""
        with self.changed:
            self._devices_left -= 1
            self._failure = self._failure or failure
            if self._devices_left and self._failure is None:
                return
            self._over = True
            for key in [key for key, state in self._states.items() if state is BUSY and self._failure is None]:
                self._settle(key, None)
            self.changed.notify_all()

    def close(self) -> None:
        """Let devices take no more, and nobody give them more than they have."""
        with self.changed:
            self._over = True

    @property
    def is_closed(self) -> bool:
        """Whether devices are to take no more."""
        return self._over

    def claim(self, key: Key) -> bool:
        """Whether a processor is to compute this: it was open, or was left to it; no device takes it any more."""
        with self.changed:
            if self._states[key] is OPEN:
                self._settle(key, None)
            return self._states[key] is DONE and self._results[key] is None

    def result(self, key: Key) -> Result | None:
        """Return what a device gave, waiting where it will be earlier; None where the caller is to compute it."""
        with self.changed:
            self.changed.wait_for(lambda: self._states[key] is not OPEN or self._is_for_processor(key))
            if self._states[key] is OPEN:
                self._settle(key, None)
            self.changed.wait_for(lambda: self._states[key] is DONE or self._failure is not None)
            if self._failure is not None and self._states[key] is not DONE:
                raise self._failure
            return self._results[key]

    def promise(self, key: Key) -> Promise[Result]:
        """Return the promise of a key, for who need not know of the board."""
        return Promise(partial(self.claim, key), partial(self.result, key))

    def __contains__(self, key: object) -> bool:
        """Whether there is such a piece of work."""
        return key in self._states

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, the most expensive first."""
        return iter(self._costs)

    def order(self, jobs: Sequence[Iterable[Key]]) -> Iterator[int]:
        """Yield which jobs a processor may begin now, by their place among `jobs`, those that it should begin first.

        jobs: the keys of each, the most expensive first. First those of which the devices have nothing more to give,
        then those that are open, then those that a device is busy with, which will be next.
        """
        with self.changed:
            by_state: dict[str, list[int]] = {OPEN: [], BUSY: [], DONE: []}
            for at, keys in enumerate(jobs):
                states = {self._states[key] for key in keys}
                by_state[BUSY if BUSY in states else OPEN if OPEN in states else DONE].append(at)
            most = math.inf if self._over else self._most_for_processor()
            cheapest_first = self._device_is_faster() and not self._over
            in_turn = by_state[OPEN][::-1] if cheapest_first else by_state[OPEN]
            chosen = [at for at in in_turn if sum(map(self._cost_if_open, jobs[at])) <= most]
        return chain(by_state[DONE], chosen, by_state[BUSY])

    def learn(self, keys: Iterable[Key], seconds: float) -> None:
        """Take note of how long a processor took for a job of these keys, if it computed any of them itself."""
        with self.changed:
            cost = sum(self._costs[key] for key in keys if self._states[key] is DONE and not self._results[key])
            if cost:
                self._by_processor = Rate(self._by_processor.cost + cost, self._by_processor.seconds + seconds)

    def _open_in_turn(self) -> Iterator[Key]:
        """Yield what is open, in the devices' order; what is not is forgotten as far as it lies at the ends."""
        while self._by_cost and self._states[self._by_cost[0]] is not OPEN:
            self._by_cost.popleft()
        while self._by_cost and self._states[self._by_cost[-1]] is not OPEN:
            self._by_cost.pop()
        in_turn = iter(self._by_cost) if self._device_is_faster() else reversed(self._by_cost)
        return (key for key in in_turn if self._states[key] is OPEN)

    def _settle(self, key: Key, result: Result | None) -> None:
        self._move(key, DONE)
        self._results[key] = result

    def _move(self, key: Key, state: str) -> None:
        before = self._states[key]
        self._states[key] = state
        self._cost_of[before] -= self._costs[key]
        self._cost_of[state] += self._costs[key]
        self._number_open -= before is OPEN

    def _cost_if_open(self, key: Key) -> float:
        return self._costs[key] if self._states[key] is OPEN else 0.0

    def _rates(self) -> tuple[float, float]:
        """Return the cost a second of one device and of one processor; 0 where nothing is known."""
        measured = (self._by_device, self._by_processor)
        device, processor = (own if own.cost else known for own, known in zip(measured, self._known, strict=True))
        return device.per_second, processor.per_second

    def _device_is_faster(self) -> bool:
        device, processor = self._rates()
        return device >= processor

    def _is_for_processor(self, key: Key) -> bool:
        return self._over or self._costs[key] <= self._most_for_processor()

    def _most_for_processor(self) -> float:
        """Return the cost that one processor is done with before the devices are with all that is left."""
        device, processor = self._rates()
        if not device or not processor:
            return math.inf if device else 0.0
        now = self._clock()
        busy = sum(
            max(0.0, busy - device * (now - since)) for busy, since in zip(self._busy_of, self._since, strict=True)
        )
        return (self._cost_of[OPEN] + busy) / (device * self._devices_left) * processor

    def _most_for_device(self, number: int) -> float:
        """Return the cost that one device is done with before the processors are with all that is open."""
        device, processor = self._rates()
        if not device or not processor:
            return math.inf
        return self._cost_of[OPEN] / (processor * self._processors) * device - self._busy_of[number]


@dataclass(frozen=True)
class Promise(Generic[Result]):
    """One piece of work, as who needs it sees it.

    claim: returns whether the caller is to do it, now that it asks. result: returns what a device made of it, waiting
    while one is busy with it; None where the caller is to do it.
    """

    claim: Callable[[], bool]
    result: Callable[[], Result | None]
