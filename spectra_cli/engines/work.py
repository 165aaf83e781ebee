"""What a piece of work costs each kind of worker, how fast these are, in which order they take it, and its promise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@dataclass
class Rate:
    """How fast a kind of worker is: the cost that it has done in some seconds; 0 where nothing was measured."""

    cost: float = 0.0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Cost a second; 0 where nothing was measured."""
        return self.cost / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Cost:
    """What a piece of work costs each kind of worker, in units of its own, which its rate counts.

    device: the device's part. processor: all of it. rest: what a device's part leaves to a processor.
    """

    device: float
    processor: float
    rest: float = 0.0

    @property
    def spared(self) -> float:
        """What a device's part spares a processor."""
        return self.processor - self.rest

    @property
    def gain(self) -> float:
        """The same for what it costs the device; 1 where that is nothing."""
        return self.spared / self.device if self.device else 1.0

    def __add__(self, other: Cost) -> Cost:
        """Return what both cost."""
        return Cost(self.device + other.device, self.processor + other.processor, self.rest + other.rest)

    def __sub__(self, other: Cost) -> Cost:
        """Return what is left of a sum without one of its parts."""
        return Cost(self.device - other.device, self.processor - other.processor, self.rest - other.rest)


NOTHING = Cost(0.0, 0.0)


class Order(Generic[Key]):
    """The order in which devices take pieces of work; processors take them in the reverse. places: of each key.

    First what spares the processors most for its cost. Of pieces alike in that the most expensive, or where a processor
    is the faster the cheapest.

    >>> costs = {"a": Cost(1.0, 2.0), "b": Cost(1.0, 9.0), "c": Cost(2.0, 4.0)}
    >>> Order(costs, device_is_faster=True).keys, Order(costs, device_is_faster=False).keys
    (['b', 'c', 'a'], ['b', 'a', 'c'])
    """

    def __init__(self, costs: Mapping[Key, Cost], *, device_is_faster: bool) -> None:
        """Sort them; of equal ones the first stays first."""
        sign = -1.0 if device_is_faster else 1.0
        self.keys = sorted(costs, key=lambda key: (-costs[key].gain, sign * costs[key].processor))
        self.places = {key: index for index, key in enumerate(self.keys)}
        self._first = 0

    def among(self, is_open: Callable[[Key], bool]) -> Iterator[Key]:
        """Yield what is open; what is not is forgotten as far as it lies in front."""
        while self._first < len(self.keys) and not is_open(self.keys[self._first]):
            self._first += 1
        return (key for key in map(self.keys.__getitem__, range(self._first, len(self.keys))) if is_open(key))


@dataclass(frozen=True)
class Promise(Generic[Result]):
    """One piece of work, as who needs it sees it.

    claim: returns whether the caller is to do it, now that it asks. result: returns what a device made of it, waiting
    while one is busy with it; None where the caller is to do it.
    """

    claim: Callable[[], bool]
    result: Callable[[], Result | None]
