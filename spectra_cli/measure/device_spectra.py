"""Spectra that GPUs and the processors share out between them, each shape by the route that is the fastest for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby, product
from math import fsum
from typing import TYPE_CHECKING

from spectra_cli import svd
from spectra_cli.engines.board import Board
from spectra_cli.engines.shared import devices_beside
from spectra_cli.engines.work import Cost, Rate
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import has_namesake
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.records import Checkpoint, Matrix

if TYPE_CHECKING:
    import torch

Wanted = tuple[Checkpoint, str]
Shape = tuple[int, int]

SHARE = 0.01
"""Of the time that a scan would take the processors alone: what measuring how fast they and a device are may take."""


class SharedSpectra:
    """The spectra of some matrices of some checkpoints, shared between GPUs and the processors.

    As `processors.Turns` it says which jobs of matrices may begin. matrices: the most expensive first.
    """

    def __init__(self, checkpoints: Sequence[OpenCheckpoint], matrices: Sequence[Matrix], workers: int) -> None:
        """Nothing is taken."""
        self.checkpoints = {checkpoint.checkpoint: checkpoint for checkpoint in checkpoints}
        self.devices = svd.each_of(checkpoints[0].device)
        planned = planned_routes(checkpoints[0], self.devices, workers)
        self.routes = {shape: route for shape, (route, _) in planned.items()}
        wanted = {
            (checkpoint.checkpoint, matrix.name): planned[matrix.rows, matrix.cols][1]
            for _, alike in groupby(matrices, key=equal_shapes_together)
            for checkpoint, matrix in product(checkpoints, tuple(alike))
            if has_namesake(checkpoint, matrix)
            and checkpoint.needs_spectrum(matrix.name)
            and self.routes[matrix.rows, matrix.cols] is not svd.PROCESSORS
        }
        as_planned = Rate(1.0, 1.0)
        self.board: Board[Wanted, svd.Attempt] = Board(
            wanted, workers, as_planned, as_planned, devices=len(self.devices)
        )
        self.changed = self.board.changed

    def keys(self, job: Iterable[Matrix]) -> list[Wanted]:
        """Return what a job needs of what is shared."""
        keys = product(self.checkpoints, [matrix.name for matrix in job])
        return [key for key in keys if key in self.board]

    def order(self, waiting: Sequence[Iterable[Matrix]]) -> Iterable[int]:
        """Return which jobs may begin now, the first to begin first."""
        return self.board.order([self.keys(job) for job in waiting])

    def began(self, job: Iterable[Matrix]) -> None:
        """Leave to the processors what no GPU has taken of a job."""
        for key in self.keys(job):
            self.board.claim(key)

    def finished(self, job: Iterable[Matrix], seconds: float) -> None:
        """Learn how fast a processor is."""
        self.board.learn(self.keys(job), seconds)


@contextmanager
def spectra_on_device(shared: SharedSpectra, current: OpenCheckpoint) -> Iterator[None]:
    """Let one thread for each GPU give it matrices whose spectra are shared, as long as the block runs.

    Only that thread ever asks its device for memory.
    """
    for key in shared.board:
        shared.checkpoints[key[0]].promised[key[1]] = shared.board.promise(key)
    with devices_beside(
        [partial(_attempts, shared, current, number) for number in range(len(shared.devices))], shared.board
    ):
        yield
    for checkpoint in shared.checkpoints.values():
        checkpoint.promised.clear()


def _attempts(
    shared: SharedSpectra, current: OpenCheckpoint, number: int
) -> Generator[tuple[Wanted, svd.Attempt | None]]:
    """Yield a device's attempt at each matrix that can be read, with that at its entries in random order if asked."""
    seed, board = current.shuffle_seed, shared.board

    def stored() -> Iterator[tuple[Wanted, torch.Tensor]]:
        for key in board.for_device(number):
            checkpoint, name = shared.checkpoints[key[0]], key[1]
            try:
                array = checkpoint.read(name) if checkpoint.needs_spectrum(name) else None
            except (SpectraError, MemoryError):
                array = None  # met again, and told, where the matrix is measured
            if array is None or isinstance(array, svd.Factors):
                board.keep(key, None)
                continue
            yield key, array
            if seed is not None:
                yield key, svd.shuffled(array, seed)

    attempts = svd.in_batches(
        stored(),
        shared.devices[number],
        most=board.most_at_once,
        route=lambda rows, cols: shared.routes[rows, cols],
        rounding=current.asks_rounding,
        recorder=current.plan.recorder,
    )
    if seed is None:
        yield from attempts
        return
    for (key, own), (_, other) in zip(attempts, attempts, strict=True):
        rest = partial(_both, own, other)
        yield key, rest() if own.rest is None else replace(own, rest=rest)


def _both(own: svd.Attempt, other: svd.Attempt) -> svd.Attempt:
    """Return a matrix's attempt with the spectrum of its entries in random order, both finished."""
    own, other = own.finished(), other.finished()
    both = own.spectrum and other.spectrum and replace(own.spectrum, shuffled=other.spectrum.sigma)
    return replace(own, spectrum=both, fallback=own.fallback or other.fallback)


def planned_routes(
    current: OpenCheckpoint, devices: Sequence[str], workers: int
) -> Mapping[Shape, tuple[svd.Route, Cost]]:
    """Return the route of each shape of a checkpoint, and what a matrix costs by it, in seconds as far as is known."""
    shapes = [(matrix.rows, matrix.cols) for matrix in current.layout.matrices]
    sides = {min(shape) for shape in shapes}
    processor = svd.rates_of("cpu", sides, 0.0)
    each = fsum(svd.seconds_alone(*shape, processor) for shape in shapes) / workers
    measuring = SHARE * each * len(current.plan.checkpoints) / 2
    device, processor = (svd.rates_of(name, sides, measuring) for name in (devices[0], "cpu"))
    chosen = {
        shape: svd.choose(*shape, many, device, processor, workers / len(devices))
        for shape, many in Counter(shapes).items()
    }
    return {
        shape: (route, Cost(seconds.device, seconds.whole, seconds.rest)) for shape, (route, seconds) in chosen.items()
    }


def gigaflops(matrix: Matrix) -> float:
    """Return the arithmetic that a matrix's spectrum takes, in GFLOP."""
    return svd.gigaflops(matrix.rows, matrix.cols)


def equal_shapes_together(matrix: Matrix) -> tuple[float, int, int]:
    """Return a key that sorts the most expensive first, as `processors.run` begins them too."""
    return -gigaflops(matrix), matrix.rows, matrix.cols
