"""What a scan costs: on this machine by rates measured for a moment, on others by those and by what is assumed."""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from spectra_cli import svd
from spectra_cli.measure.open_checkpoint import MOST_OPEN
from spectra_cli.records import Matrix

GPU_PRODUCTS, GPU_EIGENVALUES = 5_000.0, 500.0
"""GFLOP/s of a GPU that are assumed where none is at hand, of float64 Gram matrices and of their eigenvalues.

They are counted as `svd.gigaflops` does: of 10,000 in products half go into the other triangle.
"""


@dataclass(frozen=True)
class Work:
    """What is to be done. products, eigenvalues: GFLOP of all spectra. compared: entries, once for each pair.

    nbytes: of the files. reads: how often each is read where its neighbours are measured elsewhere. working_bytes: of
    the spectra of each matrix, the largest first.
    """

    products: float
    eigenvalues: float
    compared: float
    nbytes: int
    reads: int
    working_bytes: tuple[int, ...]

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
    """What is known of the speeds. processor: GFLOP/s of one, for spectra. comparing: entries a second, of one.

    gpu: GFLOP/s of one, for products and for eigenvalues. gpu_assumed: whether none was at hand to measure.
    """

    processor: float
    comparing: float
    gpu: tuple[float, float]
    gpu_assumed: bool


@dataclass(frozen=True)
class Cost:
    """What a scan would take. computing, reading: seconds, 0 where nothing is known. peak_bytes: of each machine."""

    computing: float
    reading: float
    peak_bytes: int

    @property
    def seconds(self) -> float:
        """The longer of the two, which go side by side."""
        return max(self.computing, self.reading)


@dataclass(frozen=True)
class Elsewhere:
    """What a scan would take on other machines. gpu_assumed: whether the rates of their GPUs are."""

    workers: Workers
    cost: Cost
    gpu_assumed: bool


def work_of(matrices: Sequence[Matrix], nbytes: int, checkpoints: int, distinct: int) -> Work:
    """Return what is to be done for so many checkpoints of these matrices, so many of which differ from all others.

    Each is compared with the last one and the one before it.

    >>> work_of([Matrix("w", "q", "w", 1000, 3000)], nbytes=6_000_000, checkpoints=3, distinct=3).compared
    12000000.0
    """
    products = math.fsum(svd.gigaflops(matrix.rows, matrix.cols) for matrix in matrices)
    eigenvalues = math.fsum(svd.eigenvalue_gigaflops(matrix.rows, matrix.cols) for matrix in matrices)
    entries = math.fsum(matrix.rows * matrix.cols for matrix in matrices)
    working = sorted((svd.working_bytes(matrix.rows, matrix.cols) for matrix in matrices), reverse=True)
    return Work(
        distinct * (products - eigenvalues), distinct * eigenvalues, 2.0 * max(0, distinct - 1) * entries, nbytes,
        min(MOST_OPEN, checkpoints), tuple(working),
    )  # fmt: skip


def measured_rates(device: str) -> Rates:
    """Measure this machine for a moment. device: that of the scan."""
    processor, on_gpu = svd.calibrate("cpu"), svd.computes_on(device) != "cpu"
    gpu = (svd.calibrate(svd.each_of(device)[0]),) * 2 if on_gpu else (GPU_PRODUCTS, GPU_EIGENVALUES)
    return Rates(processor, svd.calibrate_comparison(), gpu, not on_gpu)


def cost_of(work: Work, workers: Workers, rates: Rates, *, local: bool) -> Cost:
    """Return what the work takes. local: all of it on this machine, whose page cache keeps what was read.

    GPUs compute spectra while processors compare; without GPUs processors do both.
    """
    processors, gpus = workers.count * workers.processors, workers.count * workers.gpus
    comparing = work.compared / rates.comparing / processors
    spectra = work.gigaflops / rates.processor / processors
    on_gpus = work.products / rates.gpu[0] + work.eigenvalues / rates.gpu[1]
    computing = max(comparing, on_gpus / gpus) if gpus else comparing + spectra
    reading = 0.0
    if workers.bandwidth:
        reading = (1 if local else work.reads) * work.nbytes / workers.bandwidth / workers.count
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # what is loaded by now stays, in each process
    processes = 1 if local else workers.processors
    return Cost(computing, reading, processes * loaded + sum(work.working_bytes[: workers.processors]))
