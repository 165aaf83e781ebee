"""A device and processors that share work: who takes what, and how near they come to the sum of their speeds."""

import heapq
import random
import threading

import pytest

from spectra_cli import svd
from spectra_cli.engines.board import READY, Board
from spectra_cli.engines.shared import devices_beside
from spectra_cli.engines.work import Cost, Rate
from spectra_cli.svd.rates import seconds_of


class Simulation:
    """Devices and some processors take from a board, on a clock of their own. Speeds: cost a second.

    misjudged: by which factor a device is taken for faster, a processor for slower, than it is.
    """

    def __init__(self, costs, device, processor, processors=1, devices=1, misjudged=1.5):
        self.now, self.events = 0.0, []
        self.costs = dict(enumerate(sorted(costs, key=lambda cost: -cost.processor)))
        known = Rate(misjudged * device, 1.0), Rate(processor, misjudged)
        self.board = Board(self.costs, processors, *known, lambda: self.now, devices)
        self.speeds = {"device": device, "processor": processor}
        self.waiting = [(key,) for key in self.costs]
        self.by_device, self.idle, self.idle_devices = set(), set(range(processors)), set(range(devices))

    def run(self):
        """Return when the last piece of work is done."""
        self._let_all_take()
        while self.events:
            self.now, _, key, (kind, worker), begun = heapq.heappop(self.events)
            if kind == "device":
                self.by_device.add(key)
                self.board.keep(key, "done")
                self.idle_devices.add(worker)
            else:
                self.board.learn((key,), self.now - begun)
                self.idle.add(worker)
            self._let_all_take()
        assert not self.waiting
        return self.now

    def _let_all_take(self):
        for device in sorted(self.idle_devices):
            key = self.board.take(device)
            if key is None and self.board.waits(device):
                continue
            self.idle_devices.discard(device)
            if key is None:
                self.board.end()
            else:
                self._begin(key, ("device", device), self.costs[key].device / self.speeds["device"])
        self._let_processors_take()

    def _let_processors_take(self):
        for processor in sorted(self.idle):
            for at in self.board.order(self.waiting):
                (key,) = self.waiting[at]
                mine = self.board.claim(key)
                if not mine and key not in self.by_device:
                    continue  # the device is busy with it: looked at again when that is done
                del self.waiting[at]
                self.idle.discard(processor)
                cost = self.costs[key].processor if mine else self.costs[key].rest
                assert mine or self.board.result(key) == "done"
                self._begin(key, ("processor", processor), cost / self.speeds["processor"])
                break
            else:
                break  # nor is there anything for the others

    def _begin(self, key, worker, seconds):
        heapq.heappush(self.events, (self.now + seconds, len(self.events) + random.random(), key, worker, self.now))


def alike(*costs):
    """Costs that are the same for a device and for a processor, in the same unit."""
    return [Cost(cost, cost) for cost in costs]


def lettered(*costs):
    return dict(zip("abcde", alike(*costs), strict=False))


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
        assert Simulation(alike(*costs), device, processor, processors, devices).run() <= 1.1 * ideal + longest


def ideal(costs, device, processor):
    """Seconds of work without a pause, where the devices take what spares the processors most; speeds: of all."""
    whole, seconds, spared = sum(cost.processor for cost in costs), 0.0, 0.0
    for cost in sorted(costs, key=lambda cost: -cost.gain):
        rest = (whole - spared) / processor - seconds
        part = min(1.0, rest / (cost.device / device + cost.spared / processor))
        seconds, spared = seconds + part * cost.device / device, spared + part * cost.spared
    return max(seconds, (whole - spared) / processor)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("processors", [1, 16])
@pytest.mark.parametrize(("device", "processor"), [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_so_they_are_where_a_device_leaves_a_share_of_every_piece_to_the_processors(
    device, processor, processors, devices, share
):
    costs = [Cost((1 - share) * cost, cost, share * cost) for cost in varied(150)]
    longest = max(cost.processor for cost in costs) / processor
    expected = ideal(costs, device * devices, processor * processors)
    assert Simulation(costs, device, processor, processors, devices).run() <= 1.1 * expected + longest


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
        assert Simulation(alike(*costs), device, processor, 2, devices).run() <= share * max(busy) + 1e-9


def routed(seed):
    """Matrices, how many processors there are, and the rates of a device, which may be bad at some of the steps."""
    rng = random.Random(seed)
    shapes = rng.choices(((256, 256), (768, 768), (3072, 768), (1024, 1024), (2048, 2048)), k=rng.choice((1, 3, 7, 60)))
    fast = {"gram": 20 * 10 ** rng.uniform(-1, 3), "fetched": rng.choice((1.0, 10.0, 100.0))}
    solving = {name: 10 * 10 ** rng.uniform(-2, 2) for name in ("batched", "looped")}
    return shapes, rng.choice((1, 2, 4, 16)), svd.Rates("device", 768, **fast, **solving)


@pytest.mark.parametrize("seed", range(40))
def test_by_the_route_of_each_shape_they_are_not_slower_than_either_alone(seed):
    shapes, processors, device = routed(seed)
    processor = svd.Rates("processor", 768, gram=20.0, batched=10.0, looped=10.0)
    costs, by_processor, by_device = [], [0.0] * processors, 0.0
    for shape in shapes:
        route, taken = svd.choose(*shape, shapes.count(shape), [device], [processor], processors)
        if route is svd.PROCESSORS:
            continue  # not on the board
        costs.append(Cost(taken.device, taken.whole, taken.rest))
        by_device += min(seconds_of(each, *shape, device, processor).device for each in (svd.BATCHED, svd.LOOPED))
    for cost in sorted((cost.processor for cost in costs), reverse=True):
        by_processor[by_processor.index(min(by_processor))] += cost
    together = Simulation(costs, 1.0, 1.0, processors, misjudged=1.0).run()
    assert together <= 1.05 * min(by_device, max(by_processor)) + 0.2 * max(
        (cost.processor for cost in costs), default=0.0
    )


def test_a_device_waits_where_more_is_ready_than_the_processors_come_to():
    board = Board(dict.fromkeys(range(100), Cost(1.0, 10.0, 9.0)), processors=1)
    taken = []
    while (key := board.take()) is not None:
        taken.append(key)
        board.keep(key, "Gram")
    assert len(taken) == READY
    assert board.waits()
    assert board.result(taken[0]) == "Gram"
    assert board.take() is not None
    assert board.take() is None


def test_what_a_device_begins_is_not_waited_for_by_one_that_waits_itself():
    """A processor asks for a piece that lies in a batch, which the device fills while there is no room for more."""
    board, given = Board(dict.fromkeys(range(40), Cost(1.0, 10.0, 9.0)), processors=1), []

    def results():
        batch = []
        for key in board.for_device():
            batch.append(key)
            if len(batch) == READY + 2:
                yield from ((one, "Gram") for one in batch)
                batch = []

    with devices_beside([results], board):
        threading.Timer(0.05, lambda: given.append(board.result(0))).start()
        for _ in range(100):
            if given:
                break
            threading.Event().wait(0.05)
    assert given == ["Gram"]


def test_what_the_device_leaves_is_the_processor_s():
    board = Board(lettered(2.0, 1.0), processors=1)
    assert board.take() == "a"
    assert not board.claim("a")
    board.keep("a", None)
    assert board.claim("a")
    assert board.result("a") is None


def test_what_the_device_is_busy_with_is_waited_for():
    board = Board(lettered(2.0, 1.0), processors=1)
    board.take()
    threading.Timer(0.05, board.keep, ("a", 1)).start()
    assert board.result("a") == 1
    assert board.result("b") is None
    assert board.take() is None


def test_jobs_are_begun_whose_results_are_there_and_then_the_cheapest():
    board = Board(lettered(5.0, 4.0, 3.0, 2.0, 1.0), processors=1)
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

    board = Board(lettered(2.0, 1.0), processors=1)
    with devices_beside([results], board):
        threading.Event().wait(0.05)
        with pytest.raises(ValueError, match="no more"):
            board.result("a")
        assert board.result("b") is None


def test_where_one_of_two_devices_ends_the_other_goes_on_and_where_one_fails_both_end():
    board = Board(lettered(3.0, 2.0, 1.0), processors=1, devices=2)
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

    board = Board(dict.fromkeys(range(100_000), Cost(1.0, 1.0)), processors=1)
    with devices_beside([results], board):
        begun.wait(10)
    assert closed == [True]
    assert board.take() is None


def test_an_exception_in_the_block_is_not_lost():
    board = Board(lettered(1.0), processors=1)
    with pytest.raises(ValueError, match="mine"), devices_beside([lambda: (one for one in ())], board):
        raise ValueError("mine")
