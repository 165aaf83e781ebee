"""A device and processors that share work: who takes what, and how near they come to the sum of their speeds."""

import heapq
import random
import threading

import pytest

from spectra_cli.engines.board import Board, Rate
from spectra_cli.engines.shared import devices_beside


class Simulation:
    """Devices and some processors take from a board, on a clock of their own. Speeds: cost a second."""

    def __init__(self, costs, device, processor, processors=1, devices=1):
        self.now, self.events = 0.0, []
        self.costs = dict(enumerate(sorted(costs, reverse=True)))
        self.board = Board(
            self.costs, processors, Rate(1.5 * device, 1.0), Rate(processor, 1.5), lambda: self.now, devices
        )
        self.devices = devices
        self.speeds = {"device": device, "processor": processor}
        self.waiting = [(key,) for key in self.costs]
        self.by_device, self.idle = set(), set(range(processors))

    def run(self):
        """Return when the last piece of work is done."""
        for device in range(self.devices):
            self._let_device_take(device)
        self._let_processors_take()
        while self.events:
            self.now, _, key, (kind, worker), begun = heapq.heappop(self.events)
            if kind == "device":
                self.by_device.add(key)
                self.board.keep(key, "done")
                self._let_device_take(worker)
            else:
                self.board.learn((key,), self.now - begun)
                self.idle.add(worker)
            self._let_processors_take()
        assert not self.waiting
        return self.now

    def _let_device_take(self, device):
        key = self.board.take(device)
        if key is None:
            self.board.end()
        else:
            self._begin(key, ("device", device), self.costs[key] / self.speeds["device"])

    def _let_processors_take(self):
        for processor in sorted(self.idle):
            for at in self.board.order(self.waiting):
                (key,) = self.waiting[at]
                mine = self.board.claim(key)
                if not mine and key not in self.by_device:
                    continue  # the device is busy with it: looked at again when that is done
                del self.waiting[at]
                self.idle.discard(processor)
                self._begin(key, ("processor", processor), self.costs[key] / self.speeds["processor"] if mine else 0.0)
                break

    def _begin(self, key, worker, seconds):
        heapq.heappush(self.events, (self.now + seconds, len(self.events) + random.random(), key, worker, self.now))


def varied(count, seed=0):
    rng = random.Random(seed)
    return [rng.lognormvariate(0, 1) for _ in range(count)]


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("processors", [1, 2, 16])
@pytest.mark.parametrize(("device", "processor"), [(1, 1), (1, 5), (5, 1), (50, 1)])
def test_the_two_are_within_a_tenth_of_the_sum_of_their_speeds(device, processor, processors, devices):
    for seed in range(4):
        costs = varied(400, seed)
        ideal = sum(costs) / (device * devices + processor * processors)
        longest = max(costs) / max(device, processor)
        assert Simulation(costs, device, processor, processors, devices).run() <= 1.1 * ideal + longest


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
@pytest.mark.parametrize(("device", "processor"), [(1, 1), (1, 20), (20, 1), (200, 1)])
def test_they_are_not_slower_than_the_devices_alone(count, device, processor, devices):
    for seed in range(10):
        costs = sorted(varied(count, seed), reverse=True)
        busy = [0.0] * devices
        for cost in costs:  # the most expensive first, each to the device that is free first
            busy[busy.index(min(busy))] += cost / device
        share = 1.02 if devices == 1 else 1.15  # few pieces on several: one may go where it ends a little later
        assert Simulation(costs, device, processor, 2, devices).run() <= share * max(busy) + 1e-9


def test_what_the_device_leaves_is_the_processor_s():
    board = Board({"a": 2.0, "b": 1.0}, processors=1)
    assert board.take() == "a"
    assert not board.claim("a")
    board.keep("a", None)
    assert board.claim("a")
    assert board.result("a") is None


def test_what_the_device_is_busy_with_is_waited_for():
    board = Board({"a": 2.0, "b": 1.0}, processors=1)
    board.take()
    threading.Timer(0.05, board.keep, ("a", 1)).start()
    assert board.result("a") == 1
    assert board.result("b") is None
    assert board.take() is None


def test_jobs_are_begun_whose_results_are_there_and_then_the_cheapest():
    board = Board(dict(zip("abcde", (5.0, 4.0, 3.0, 2.0, 1.0), strict=True)), processors=1)
    jobs = [(key,) for key in "abcde"]
    assert list(board.order(jobs)) == []
    assert [board.take(), board.take()] == ["a", "b"]
    board.keep("a", 1)
    assert [jobs[at][0] for at in board.order(jobs)][0] == "a"
    assert [jobs[at][0] for at in board.order(jobs)][-1] == "b"
    board.end()
    assert [jobs[at][0] for at in board.order(jobs)] == ["a", "b", "c", "d", "e"]


def test_a_failure_of_the_device_is_raised_where_its_result_would_have_come():
    def results():
        board.take()
        raise ValueError("no more")
        yield

    board = Board({"a": 2.0, "b": 1.0}, processors=1)
    with devices_beside([results], board):
        threading.Event().wait(0.05)
        with pytest.raises(ValueError, match="no more"):
            board.result("a")
        assert board.result("b") is None


def test_where_one_of_two_devices_ends_the_other_goes_on_and_where_one_fails_both_end():
    board = Board({"a": 3.0, "b": 2.0, "c": 1.0}, processors=1, devices=2)
    assert [board.take(0), board.take(1)] == ["a", "b"]
    board.keep("a", 1)
    board.end()
    board.keep("b", 2)
    assert (board.result("a"), board.result("b")) == (1, 2)
    assert board.take() == "c"
    board.end(ValueError("no more"))
    with pytest.raises(ValueError, match="no more"):
        board.result("c")
    assert board.is_closed


def test_at_the_end_of_the_block_no_more_is_taken_and_the_generator_is_closed():
    closed, begun = [], threading.Event()

    def results():
        try:
            for key in board.for_device():
                begun.set()
                yield key, key
        finally:
            closed.append(True)

    board = Board(dict.fromkeys(range(100_000), 1.0), processors=1)
    with devices_beside([results], board):
        begun.wait(10)
    assert closed == [True]
    assert board.take() is None


def test_an_exception_in_the_block_is_not_lost():
    board = Board({"a": 1.0}, processors=1)
    with pytest.raises(ValueError, match="mine"), devices_beside([lambda: (one for one in ())], board):
        raise ValueError("mine")
