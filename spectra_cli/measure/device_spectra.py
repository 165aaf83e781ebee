"""Spectra that a GPU computes ahead, in batches of equal shapes, while the processors compare and measure."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, product
from typing import TYPE_CHECKING

from spectra_cli import svd
from spectra_cli.engines.ahead import ahead
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import has_namesake
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.records import Matrix

if TYPE_CHECKING:
    import torch

Wanted = tuple[OpenCheckpoint, Matrix]


@contextmanager
def spectra_on_device(checkpoints: Sequence[OpenCheckpoint], matrices: Sequence[Matrix]) -> Iterator[None]:
    """Let one thread give a GPU the matrices whose spectra are not known, in this order, for all to wait for.

    The processors compare, measure and take what the GPU leaves: only that thread ever asks the device for memory.
    """
    wanted = [
        (checkpoint, checkpoint.matrices[matrix.name])
        for _, alike in groupby(matrices, key=equal_shapes_together)
        for checkpoint, matrix in product(checkpoints, tuple(alike))
        if has_namesake(checkpoint, matrix) and matrix.name not in checkpoint.spectra
    ]
    attempts = _attempts(wanted, checkpoints[0])
    with ahead(attempts, [(checkpoint, matrix.name) for checkpoint, matrix in wanted]) as promises:
        for (checkpoint, name), promise in promises.items():
            checkpoint.promised[name] = promise
        yield
    for checkpoint in checkpoints:
        checkpoint.promised.clear()


def _attempts(
    wanted: Sequence[Wanted], current: OpenCheckpoint
) -> Generator[tuple[tuple[OpenCheckpoint, str], svd.Attempt]]:
    """Yield the device's attempt at each matrix that can be read, with that at its entries in random order if asked."""
    seed = current.shuffle_seed

    def stored() -> Iterator[tuple[tuple[OpenCheckpoint, str], torch.Tensor]]:
        for checkpoint, matrix in wanted:
            try:
                array = checkpoint.read(matrix.name) if checkpoint.needs_spectrum(matrix.name) else None
            except SpectraError:
                continue  # met again, and told, where the matrix is measured
            if array is not None and not isinstance(array, svd.Factors):
                yield (checkpoint, matrix.name), array
                if seed is not None:
                    yield (checkpoint, matrix.name), svd.shuffled(array, seed)

    attempts = svd.in_batches(stored(), current.device, rounding=current.asks_rounding)
    if seed is None:
        yield from attempts
        return
    for (key, own), (_, other) in zip(attempts, attempts, strict=True):
        both = own.spectrum and other.spectrum and replace(own.spectrum, shuffled=other.spectrum.sigma)
        yield key, svd.Attempt(both, own.fallback or other.fallback)


def gigaflops(matrix: Matrix) -> float:
    """Return the arithmetic that a matrix's spectrum takes, in GFLOP."""
    return svd.gigaflops(matrix.rows, matrix.cols)


def equal_shapes_together(matrix: Matrix) -> tuple[float, int, int]:
    """Return a key that sorts the most expensive first, as `processors.run` begins them too."""
    return -gigaflops(matrix), matrix.rows, matrix.cols
