"""What devices and this machine's processors share out between them: which pieces of work are open, taken or done.

Devices take first where their time spares the processors most, these where it spares them least. Of pieces alike in
that, the faster kind takes the most expensive that is open and the other the cheapest, so that they meet in the middle.
Near the end neither takes what it would finish later than the others would finish all that is left: together they are
not slower than one kind alone. A device may do a part of a piece, whose rest is then a processor's; it waits where more
of these are ready than processors soon come to. Rates are those that were measured so far; devices are of one kind, and
so are processors. It knows nothing of what a piece of work is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from threading import Condition
from typing import Generic

from spectra_cli.engines.work import NOTHING, Cost, Key, Order, Promise, Rate, Result

OPEN, BUSY, DONE = "open", "busy", "done"

PARTS = 4
"""Devices take at most this part of what is open at once, so that there is something left to share."""

READY = 8
"""Pieces of which a device has begun its part and no processor the rest, that there may be however few processors."""


class Board(Generic[Key, Result]):
    """Pieces of work by key.

    costs: of each; of equal ones the first is taken first. processors: how many take from it beside the devices.
    device, processor: what is known of the rates beforehand, of one of each. devices: how many there are.
    """

    def __init__(
        self,
        costs: Mapping[Key, Cost],
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
        self._number_open = len(costs)
        self._of_all = self._open = sum(costs.values(), start=NOTHING)
        self._orders = {faster: Order(costs, device_is_faster=faster) for faster in (True, False)}
        self._results: dict[Key, Result] = {}
        self._left: set[Key] = set()
        self._unfinished: set[Key] = set()
        self._awaited = self._waiting = 0
        self._failure: BaseException | None = None
        self._known = (device or Rate(), processor or Rate())
        self._by_device, self._by_processor = Rate(), Rate()
        self._over = False
        self._device_of: dict[Key, int] = {}
        self._busy_of, self._since = [0.0] * devices, [clock()] * devices

    def for_device(self, device: int = 0) -> Iterator[Key]:
        """Take what is to be done next, again and again, as long as a device is of use. device: its number."""
        while (key := self.take(device)) is not None or self._waited(device):
            if key is not None:
                yield key

    def take(self, device: int = 0) -> Key | None:
        """Take what a device is to do next; None where nothing is open that the processors would not do earlier.

        None also where it is to wait: see `waits`.
        """
        with self.changed:
            key = next((key for key in self._fitting(device) if self._has_room(key)), None)
            if key is not None:
                if not self._busy_of[device]:
                    self._since[device] = self._clock()
                self._device_of[key] = device
                self._busy_of[device] += self._costs[key].device
                self._begin(key, BUSY)
                if self._costs[key].rest:
                    self._unfinished.add(key)
            return key

    def waits(self, device: int = 0) -> bool:
        """Whether all that a device could take is to wait until processors have finished what is ready for them."""
        with self.changed:
            fitting = list(self._fitting(device))
            return bool(fitting) and not any(map(self._has_room, fitting))

    def most_at_once(self) -> int:
        """Return how many a device may take together now."""
        share = max(1, -(-self._number_open // (PARTS * self._devices)))
        return min(share, self._batch) if self._of_all.rest else share

    def keep(self, key: Key, result: Result | None) -> None:
        """Take what a device gave for a key; None where it leaves it to a processor."""
        with self.changed:
            self._settle(key, result)
            device, now, cost = self._device_of.pop(key), self._clock(), self._costs[key].device
            done = cost if result is not None else 0.0
            self._by_device = Rate(self._by_device.cost + done, self._by_device.seconds + now - self._since[device])
            self._busy_of[device] -= cost
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
            self.changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether devices are to take no more."""
        return self._over

    def claim(self, key: Key) -> bool:
        """Whether a processor is to compute this: it was open, or was left to it; no device takes it any more."""
        with self.changed:
            if self._states[key] is OPEN:
                self._settle(key, None)
            return key in self._left

    def result(self, key: Key) -> Result | None:
        """Return what a device gave, waiting where it will be earlier; None where the caller is to compute it.

        What leaves a rest is given once: it is the caller's then, and nothing here holds on to it.
        """
        with self.changed:
            self._awaited += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self._spared(key) <= self._most_for_processor())
            if self._states[key] is OPEN:
                self._settle(key, None)
            self.changed.wait_for(lambda: self._states[key] is DONE or self._failure is not None)
            self._awaited -= 1
            if self._failure is not None and self._states[key] is not DONE:
                raise self._failure
            self._finish(key)
            return self._results.pop(key, None) if self._costs[key].rest else self._results.get(key)

    def promise(self, key: Key) -> Promise[Result]:
        """Return the promise of a key, for who need not know of the board."""
        return Promise(partial(self.claim, key), partial(self.result, key))

    def __contains__(self, key: object) -> bool:
        """Whether there is such a piece of work."""
        return key in self._states

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, the most expensive first."""
        return iter(self._costs)

    def order(self, jobs: Sequence[Collection[Key]]) -> Iterator[int]:
        """Yield which jobs a processor may begin now, by their place among `jobs`, those that it should begin first.

        jobs: the keys of each, the most expensive first. First those of which the devices have nothing more to give,
        then those that are open, then those that a device is busy with, which will be next.
        """
        with self.changed:
            by_state: dict[str, list[int]] = {OPEN: [], BUSY: [], DONE: []}
            for at, keys in enumerate(jobs):
                states = {self._states[key] for key in keys}
                by_state[BUSY if BUSY in states else OPEN if OPEN in states else DONE].append(at)
        return chain(by_state[DONE], self._open_in_turn(jobs, by_state[OPEN]), by_state[BUSY])

    def learn(self, keys: Iterable[Key], seconds: float) -> None:
        """Take note of how long a processor took for a job of these keys, if it computed any of them itself."""
        with self.changed:
            costs = {key: self._costs[key] for key in keys if self._states[key] is DONE}
            done = sum(cost.processor if key in self._left else cost.rest for key, cost in costs.items())
            if done:
                self._by_processor = Rate(self._by_processor.cost + done, self._by_processor.seconds + seconds)
            for key in costs:
                self._finish(key)

    def _open_in_turn(self, jobs: Sequence[Collection[Key]], places: list[int]) -> Iterator[int]:
        """Yield which of the jobs at some places a processor may begin, as it is to begin them."""
        with self.changed:
            most, order = self._most_for_processor(), self._orders[self._device_is_faster()].places
            if not self._over:
                places.sort(key=lambda at: -max(map(order.__getitem__, jobs[at])))
        yield from (at for at in places if sum(map(self._spared, jobs[at])) <= most)

    def _waited(self, device: int) -> bool:
        """Wait as long as `waits` says so; whether it did."""
        with self.changed:
            if not self.waits(device):
                return False
            begun = self._clock()
            self._waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.waits(device))
            self._waiting -= 1
            self._since[device] += self._clock() - begun
            return True

    def _fitting(self, device: int) -> Iterator[Key]:
        """Yield what is open and a device is done with before the processors are with all that is, in its order."""
        own, processor = self._rates()
        if self._over:
            return
        unfinished = sum(self._costs[key].rest for key in self._unfinished)
        limit = (self._open.processor + unfinished) / (processor * self._processors) if own and processor else math.inf
        for key in self._orders[self._device_is_faster()].among(self._is_open):
            cost = self._costs[key]
            if math.isinf(limit):
                yield key
                continue
            done = (self._busy_of[device] + cost.device) / own + cost.rest / processor
            if done <= max(limit, cost.processor / processor):
                yield key

    @property
    def _batch(self) -> int:
        """How many pieces that leave a rest a device takes together."""
        return max(1, self._processors // self._devices)

    def _has_room(self, key: Key) -> bool:
        """Whether a device may take this now: two batches for each device, and a piece ready for each processor.

        More only where a processor waits for one that is taken, and may be among those that a device waits to fill.
        """
        most = max(READY, self._processors + 2 * self._devices * self._batch)
        return not self._costs[key].rest or len(self._unfinished) < most or self._awaited > 0

    def _is_open(self, key: Key) -> bool:
        return self._states[key] is OPEN

    def _finish(self, key: Key) -> None:
        if key in self._unfinished:
            self._unfinished.discard(key)
            self.changed.notify_all()

    def _settle(self, key: Key, result: Result | None) -> None:
        self._begin(key, DONE)
        if result is None:
            self._left.add(key)
            self._finish(key)
        else:
            self._results[key] = result

    def _begin(self, key: Key, state: str) -> None:
        if self._states[key] is OPEN:
            self._number_open -= 1
            self._open -= self._costs[key]
        self._states[key] = state

    def _rates(self) -> tuple[float, float]:
        """Return the cost a second of one device and of one processor; 0 where nothing is known."""
        measured = (self._by_device, self._by_processor)
        device, processor = (own if own.cost else known for own, known in zip(measured, self._known, strict=True))
        return device.per_second, processor.per_second

    def _device_is_faster(self) -> bool:
        device, processor = self._rates()
        return device * self._of_all.processor >= processor * self._of_all.device

    def _most_for_processor(self) -> float:
        """Return the cost that one processor is done with before the devices are with all that is left.

        What a device would leave to it is not counted. Any, where all devices wait.
        """
        device, processor = self._rates()
        if self._over or self._waiting == self._devices_left:
            return math.inf
        if not device or not processor:
            return math.inf if device else 0.0
        now = self._clock()
        busy = sum(
            max(0.0, busy - device * (now - since)) for busy, since in zip(self._busy_of, self._since, strict=True)
        )
        return (self._open.device + busy) / (device * self._devices_left) * processor

    def _spared(self, key: Key) -> float:
        """Return what a device would spare a processor of a piece that is open."""
        return self._costs[key].spared if self._is_open(key) else 0.0
