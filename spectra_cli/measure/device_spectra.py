"""Spectra that GPUs and the processors share out between them: a GPU takes batches of equal shapes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from itertools import groupby, product
from typing import TYPE_CHECKING

from spectra_cli import svd
from spectra_cli.engines.board import Board, Rate
from spectra_cli.engines.shared import devices_beside
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import has_namesake
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.records import Checkpoint, Matrix

if TYPE_CHECKING:
    import torch

Wanted = tuple[Checkpoint, str]
CALIBRATION = 0.1  # seconds, until a scan knows better


class SharedSpectra:
    """The spectra of some matrices of some checkpoints, shared between GPUs and the processors.

    As `processors.Turns` it says which jobs of matrices may begin. matrices: the most expensive first.
    """

    def __init__(self, checkpoints: Sequence[OpenCheckpoint], matrices: Sequence[Matrix], workers: int) -> None:
        """Nothing is taken."""
        self.checkpoints = {checkpoint.checkpoint: checkpoint for checkpoint in checkpoints}
        wanted = {
            (checkpoint.checkpoint, matrix.name): gigaflops(matrix)
            for _, alike in groupby(matrices, key=equal_shapes_together)
            for checkpoint, matrix in product(checkpoints, tuple(alike))
            if has_namesake(checkpoint, matrix) and checkpoint.needs_spectrum(matrix.name)
        }
        self.devices = svd.each_of(checkpoints[0].device)
        device, processor = rate_of(self.devices[0]), rate_of("cpu")
        self.board: Board[Wanted, svd.Attempt] = Board(wanted, workers, device, processor, devices=len(self.devices))
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
            except SpectraError:
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
        rounding=current.asks_rounding,
        recorder=current.plan.recorder,
    )
    if seed is None:
        yield from attempts
        return
    for (key, own), (_, other) in zip(attempts, attempts, strict=True):
        both = own.spectrum and other.spectrum and replace(own.spectrum, shuffled=other.spectrum.sigma)
        yield key, svd.Attempt(both, own.fallback or other.fallback)


@cache
def rate_of(device: str) -> Rate:
    """Return the rate of a device, or of one processor, in GFLOP/s, measured once for a moment."""
    return Rate(svd.calibrate(device, CALIBRATION), 1.0)


def gigaflops(matrix: Matrix) -> float:
    """Return the arithmetic that a matrix's spectrum takes, in GFLOP."""
    return svd.gigaflops(matrix.rows, matrix.cols)


def equal_shapes_together(matrix: Matrix) -> tuple[float, int, int]:
    """Return a key that sorts the most expensive first, as `processors.run` begins them too."""
    return -gigaflops(matrix), matrix.rows, matrix.cols
