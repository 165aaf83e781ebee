"""What a scan costs: on this machine by trials of a moment, on others by those and by what is assumed of GPUs."""

from __future__ import annotations

import math
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spectra_cli import svd
from spectra_cli.measure.open_checkpoint import MOST_OPEN
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.trial import ROWS, Steps, Trial, warm_up
from spectra_cli.records import Matrix

GPU_PRODUCTS, GPU_EIGENVALUES = 5_000.0, 500.0
"""GFLOP/s of a GPU that are assumed where none is at hand, of float64 Gram matrices and of their eigenvalues.

They are counted as `svd.gigaflops` does: of 10,000 in products half go into the other triangle.
"""

MEASURING, TRIED = 1.0, 256
"""Seconds that measuring a GPU may take, of which no rates are known, and a side at which that is soon done."""

PRODUCTS = ("Gram", "singular vectors")
EIGENVALUES = ("eigenvalues", "exact SVD")
PASSES = ("read", "compare", "rounding", "shuffle")
"""The steps whose time grows with m·n², with n³ and with the entries; that of all others with n, the shorter side."""

ON_GPU = ("Gram", *EIGENVALUES)
"""The steps that GPUs take off the processors."""


@dataclass(frozen=True)
class Checkpoints:
    """How many there are: in all, and of them those that differ from all others."""

    count: int
    distinct: int


@dataclass(frozen=True)
class Work:
    """What is to be done. products, eigenvalues: GFLOP of all spectra. steps: seconds of one processor for each.

    checkpoints: how many. nbytes: to read or fetch. reads: how often each is read where its neighbours are measured
    elsewhere. longest: seconds in which one processor is busy with one matrix after the other, whatever the others do.
    working_bytes: of each matrix while it is measured, the largest first. exclusive_bytes: of the largest of those
    that are measured with no other beside them.
    """

    products: float
    eigenvalues: float
    steps: Steps
    checkpoints: int
    nbytes: int
    reads: int
    longest: float
    working_bytes: tuple[int, ...]
    exclusive_bytes: int = 0

    @property
    def gigaflops(self) -> float:
        """Of all spectra."""
        return self.products + self.eigenvalues


@dataclass(frozen=True)
class Workers:
    """Machines that share a scan. gpus, processors: of each. bandwidth: bytes that each reads a second, where known."""

    count: int
    gpus: int
    processors: int
    bandwidth: int | None


@dataclass(frozen=True)
class Rates:
    """GFLOP/s of one GPU, for products and for eigenvalues. assumed: whether none was at hand to measure."""

    products: float
    eigenvalues: float
    assumed: bool


@dataclass(frozen=True)
class Ready:
    """What it takes a process to be ready for its first matrix: seconds, and bytes of memory, which it keeps."""

    seconds: float
    nbytes: int


@dataclass(frozen=True)
class Cost:
    """What a scan would take, in seconds. starting: until the first matrix. processors: all that they do, side by side.

    products, eigenvalues: what GPUs do meanwhile. reading: 0 where no bandwidth is known. peak_bytes: of each machine.
    """

    starting: float
    processors: float
    products: float
    eigenvalues: float
    reading: float
    peak_bytes: int

    @property
    def computing(self) -> float:
        """What processors and GPUs take side by side."""
        return max(self.processors, self.products + self.eigenvalues)

    @property
    def seconds(self) -> float:
        """The start, and then the longer of computing and reading, which go side by side."""
        return self.starting + max(self.computing, self.reading)


@dataclass(frozen=True)
class Elsewhere:
    """What a scan would take on other machines. gpu_assumed: whether the rates of their GPUs are."""

    workers: Workers
    cost: Cost
    gpu_assumed: bool


def work_of(
    matrices: Sequence[Matrix], trials: Sequence[Trial], checkpoints: Checkpoints, nbytes: int, *, fetched: bool = False
) -> Work:
    """Return what is to be done for so many checkpoints of these matrices, by trials of such.

    Each is compared with the last one and the one before it. fetched: by whoever measures it, once, as from the Hub.
    """
    count, distinct = checkpoints.count, checkpoints.distinct
    alike = Counter((matrix.rows, matrix.cols) for matrix in matrices)
    steps: dict[str, float] = {}
    longest = 0.0
    for (rows, cols), number in alike.items():
        trial = _nearest(trials, rows, cols)
        for taken, times in ((trial.new, 1), (trial.compared, distinct - 1), (trial.repeated, count - distinct)):
            for step, seconds in scaled(trial, taken, rows, cols).items():
                steps[step] = steps.get(step, 0.0) + times * number * seconds
        taken = scaled(trial, trial.compared if count > 1 else trial.new, rows, cols)
        longest = max(longest, distinct * sum(seconds for step, seconds in taken.items() if step != ROWS))
    eigenvalues = math.fsum(n * svd.eigenvalue_gigaflops(*shape) for shape, n in alike.items())
    products = math.fsum(n * svd.product_gigaflops(*shape) for shape, n in alike.items())
    sides = [(matrix.rows, matrix.cols) for matrix in matrices]
    working = sorted((svd.gram_bytes(*shape) for shape in sides if not svd.is_exclusive(*shape)), reverse=True)
    exclusive = max((svd.gram_bytes(*shape) for shape in sides if svd.is_exclusive(*shape)), default=0)
    return Work(
        distinct * products, distinct * eigenvalues, steps, count, nbytes, 1 if fetched else min(MOST_OPEN, count),
        longest, tuple(working), exclusive,
    )  # fmt: skip


def scaled(trial: Trial, steps: Steps, rows: int, cols: int) -> dict[str, float]:
    """Return the seconds of each step for a matrix of another shape than the one that was tried.

    >>> trial = Trial(100, 200, {}, {"Gram": 1.0, "eigenvalues": 1.0, "read": 1.0, "metrics": 1.0}, {})
    >>> scaled(trial, trial.compared, 200, 800)
    {'Gram': 16.0, 'eigenvalues': 8.0, 'read': 8.0, 'metrics': 2.0}
    """
    sides, tried = sorted((rows, cols)), sorted((trial.rows, trial.cols))
    return {step: seconds * _operations(step, *sides) / _operations(step, *tried) for step, seconds in steps.items()}


def _operations(step: str, short: int, long: int) -> float:
    if step in PRODUCTS:
        return float(long * short**2)
    if step in EIGENVALUES:
        return float(short**3)
    return float(long * short if step in PASSES else short)


def _nearest(trials: Sequence[Trial], rows: int, cols: int) -> Trial:
    """Return the trial whose shape is nearest to another, the shorter side first."""

    def distance(trial: Trial) -> tuple[float, float]:
        return abs(math.log(min(trial.rows, trial.cols) / min(rows, cols))), abs(math.log(trial.rows / rows))

    return min(trials, key=distance)


def gpu_rates(device: str, matrices: Sequence[Matrix]) -> Rates:
    """Return the rates of a GPU of this machine at these matrices, where the scan's device is one.

    They are those by which a scan chooses its routes: rows that ship, or else measured for a moment.
    """
    over_all = None
    if svd.computes_on(device) != "cpu":
        shapes = [(matrix.rows, matrix.cols) for matrix in matrices]
        rows = svd.rates_of(svd.each_of(device)[0], {TRIED, *map(min, shapes)}, MEASURING)
        over_all = svd.rates_over(shapes, rows)
    return Rates(*over_all, assumed=False) if over_all else Rates(GPU_PRODUCTS, GPU_EIGENVALUES, assumed=True)


def ready(plan: Plan, begun: float) -> Ready:
    """Load what a scan loads, and return what this process took for it since it had used so many processor seconds."""
    warm_up(plan)
    return Ready(time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def cost_of(work: Work, workers: Workers, rates: Rates, ready: Ready, *, local: bool) -> Cost:
    """Return what the work takes. ready: of one process. local: all of it in this one, and in none of other machines.

    Those begin when this one is ready. The page cache of a single machine keeps what was read. GPUs compute spectra
    while processors do the rest; without GPUs processors do both.
    """
    processors, gpus = workers.count * workers.processors, workers.count * workers.gpus
    own = {step: seconds for step, seconds in work.steps.items() if step != ROWS and not (gpus and step in ON_GPU)}
    busy = sum(own.values()) / processors
    on_processors = work.steps.get(ROWS, 0.0) + (busy if gpus else max(busy, work.longest))
    products, eigenvalues = (
        (work.products / rates.products / gpus, work.eigenvalues / rates.eigenvalues / gpus) if gpus else (0.0, 0.0)
    )
    reading = 0.0
    if workers.bandwidth:
        reading = (work.reads if workers.count > 1 else 1) * work.nbytes / workers.bandwidth / workers.count
    working = max(work.exclusive_bytes, sum(work.working_bytes[: workers.processors]))
    peak = (1 if local else workers.processors) * ready.nbytes + working
    return Cost((1 if local else 2) * ready.seconds, on_processors, products, eigenvalues, reading, peak)
