"""How fast processors and devices were measured at the steps of a spectrum, and the route that follows for a shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spectra_cli.svd.cost import eigenvalue_gigaflops, product_gigaflops
from spectra_cli.svd.routes import BATCHED, LOOPED, PROCESSORS, ROUTES, Route
from spectra_cli.svd.small import is_small


@dataclass(frozen=True)
class Rates:
    """GFLOP/s of one device, or one processor, by the short side of matrices; operations as `gigaflops` counts them.

    device: its name, by `name_of`. gram: of Gram matrices. batched, looped: of the eigenvalues of many, in one call or
    in a call for each. fetched: GB/s at which processors get its Gram matrices; None where it is one of them.
    """

    device: str
    side: int
    gram: float
    batched: float
    looped: float
    fetched: float | None = None


MEASURED = (
    Rates(device="Intel(R) Xeon(R) Processor", side=64, gram=4.86, batched=2.51, looped=2.05),
    Rates(device="Intel(R) Xeon(R) Processor", side=128, gram=17.3, batched=5.22, looped=4.91),
    Rates(device="Intel(R) Xeon(R) Processor", side=256, gram=28.7, batched=9.8, looped=9.15),
    Rates(device="Intel(R) Xeon(R) Processor", side=512, gram=39.8, batched=15.8, looped=14.8),
    Rates(device="Intel(R) Xeon(R) Processor", side=768, gram=48.5, batched=17.4, looped=17.0),
    Rates(device="Intel(R) Xeon(R) Processor", side=1024, gram=52.7, batched=16.3, looped=16.7),
)
"""The rows of `python benchmarks/gpu_routes.py`. None is of a GPU: none was at hand."""

ASSUMED = MEASURED
"""Of processors that are not known."""

FAR = 4.0
"""How many times larger or smaller a side may be than that of a row of a device that stands for it."""

WORTH = 0.98
"""Share of the time of the processors alone above which a device is not worth to take part in matrices of a shape."""


@dataclass(frozen=True)
class Seconds:
    """What one matrix takes. device: of a device. rest: of a processor after it. whole: of a processor that does all.

    >>> Seconds(device=1.0, rest=0.0, whole=1.0).shared(many=8, processors=3)
    0.25
    """

    device: float
    rest: float
    whole: float

    def shared(self, many: int, processors: float) -> float:
        """Return the seconds for each of so many: a device does its part of as many as end when all the others end."""
        spared = self.whole - self.rest
        part = min(1.0, self.whole / (processors * self.device + spared)) if self.device else 0.0
        first = self.device + self.rest
        return max(part * self.device, (self.whole - part * spared) / processors, first / many)


def choose(
    rows: int, cols: int, many: int, device: Sequence[Rates], processor: Sequence[Rates], processors: float
) -> tuple[Route, Seconds]:
    """Return the route by which a device and processors get through so many matrices of a shape the fastest.

    device, processor: what is known of them. processors: how many there are for each device. A device of which
    nothing is known near that side is taken for as fast as a processor, and for best at batches.

    >>> processor = [Rates("processor", 768, gram=20, batched=10, looped=10)]
    >>> quick = [Rates("quick at both", 768, gram=5000, batched=500, looped=100, fetched=10)]
    >>> slow = [Rates("slow at eigenvalues", 768, gram=5000, batched=5, looped=5, fetched=10)]
    >>> [choose(768, 768, 99, device, processor, 8)[0].name for device in (quick, slow, [])]
    ['batched', 'split', 'batched']
    """
    side = min(rows, cols)
    own, other = nearest(device, side), nearest(processor, side)
    if own is None or other is None or not 1 / FAR <= own.side / max(1, side) <= FAR:
        whole = seconds_alone(rows, cols, processor)
        return BATCHED, Seconds(whole, 0.0, whole)
    taken = {route: seconds_of(route, rows, cols, own, other) for route in ROUTES}
    each = {route: seconds.shared(many, processors) for route, seconds in taken.items()}
    best = min(ROUTES, key=each.__getitem__)
    chosen = best if each[best] < WORTH * each[PROCESSORS] else PROCESSORS
    return chosen, taken[chosen]


def seconds_alone(rows: int, cols: int, processor: Sequence[Rates]) -> float:
    """Return what a matrix takes one processor."""
    row = nearest(processor, min(rows, cols))
    return seconds_of(PROCESSORS, rows, cols, row, row).whole if row else 0.0


def rates_over(shapes: Sequence[tuple[int, int]], device: Sequence[Rates]) -> tuple[float, float] | None:
    """Return GFLOP/s of a device over matrices of all these shapes: of Gram matrices, and of their eigenvalues.

    device: what is known of it; None where that is nothing.

    >>> rates_over([(64, 64)], [Rates("some", 64, gram=20, batched=4, looped=1)])
    (20.0, 4.0)
    """
    rows = [row for rows, cols in shapes if (row := nearest(device, min(rows, cols)))]
    if not rows:
        return None
    products = [product_gigaflops(*shape) for shape in shapes]
    values = [eigenvalue_gigaflops(*shape) for shape in shapes]
    in_products = math.fsum(work / row.gram for work, row in zip(products, rows, strict=True))
    in_values = math.fsum(work / max(row.batched, row.looped) for work, row in zip(values, rows, strict=True))
    return math.fsum(products) / in_products, math.fsum(values) / in_values


def nearest(rates: Sequence[Rates], side: int) -> Rates | None:
    """Return the row of the nearest side; None where there is none.

    >>> nearest([Rates("a", 64, 1, 1, 1), Rates("a", 512, 9, 9, 9)], 300).side
    512
    """
    return min(rates, key=lambda row: abs(math.log(row.side / max(1, side))), default=None)


def seconds_of(route: Route, rows: int, cols: int, device: Rates, processor: Rates) -> Seconds:
    """Return what a matrix of a shape takes by a route."""
    values, products = eigenvalue_gigaflops(rows, cols), product_gigaflops(rows, cols)
    own = values / (processor.batched if is_small(rows, cols) else processor.looped)
    whole = products / processor.gram + own
    if not route.gram:
        return Seconds(0.0, whole, whole)
    if route.solve is None:
        fetching = 8e-9 * min(rows, cols) ** 2 / device.fetched if device.fetched else 0.0
        return Seconds(products / device.gram + fetching, own, whole)
    rate = {BATCHED: device.batched, LOOPED: device.looped}[route]
    return Seconds(products / device.gram + values / rate, 0.0, whole)
