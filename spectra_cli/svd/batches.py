"""Spectra of many matrices at once on a GPU: batches of equal shapes, the next one copied while this one is computed.

The arithmetic is that of `rules`: float64 Gram matrices of the short sides and their eigenvalues, the same bounds. It
is written in torch and runs on any device that has float64, the CPU too, where the tests hold it against 50 digits.
What a device cannot give is left to the CPU: matrices whose bounds the Gram misses, or for which it has no memory.

float64 also where a device is slow at it, since nothing in float32 holds the bound of 1e-9·σ₁. Measured on torch's CPU
against a float64 SVD, 768×768 and 256×1024 in fp16, random with a low-rank part, largest error over σ₁: `svdvals` in
float32 4e-7 and 6e-7, Gram and eigenvalues in float32 2e-6 and 3e-7, a float32 Gram with float64 eigenvalues 1e-6 and
2e-8. A sum of float32 pieces could give the Gram, but most of the time goes into the eigenvalues, which stay float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from spectra_cli.records import Problem, Spectrum
from spectra_cli.svd.blocks import power_of_two
from spectra_cli.svd.devices import free_bytes, is_cpu, is_out_of_memory
from spectra_cli.svd.rounding import rounding_norm
from spectra_cli.svd.routes import BATCHED, Route
from spectra_cli.svd.rules import LENGTH, as_spectrum, by_gram, is_spectrum_of, squares_of, steps
from spectra_cli.trace import NO_TRACE, Recorder

if TYPE_CHECKING:
    import torch

Key = TypeVar("Key")

MOST = 1 << 16  # matrices of a batch, however small

BATCH_BYTES = 1 << 30
"""Most bytes of a device that a batch takes; a larger matrix is a batch of its own. Of a Pythia-160m's matrices in fp16
some 40 of 768×768 fit; from 4,096×4,096 on each is alone, and large enough to keep a device busy."""

WRONG_EIGENVALUES = Problem(
    "the GPU gave eigenvalues that are not those of their matrices: the CPU computed these",
    "the numbers are as good; please report it, with the GPU's name and the versions of torch and of the driver",
)


@dataclass(frozen=True, eq=False)
class Attempt:
    """What a device computed of a matrix.

    spectrum: None where the matrix is left to the CPU. fallback: what the device failed at, and what was done instead.
    route: by which it was computed. rest: returns the attempt when called, once, by a processor, which does its part.
    """

    spectrum: Spectrum | None
    fallback: Problem | None = None
    route: Route = BATCHED
    rest: Callable[[], Attempt] | None = None

    def finished(self) -> Attempt:
        """Return the whole attempt, of which a processor does what is left to it."""
        if self.rest is None:
            return self
        attempt = self.rest()
        return replace(attempt, fallback=attempt.fallback or self.fallback)


@dataclass(eq=False)
class _Batch(Generic[Key]):
    """Matrices of one shape and dtype. copy: (b, m, n) on the device, None once that has no memory for it."""

    keys: tuple[Key, ...]
    matrices: tuple[torch.Tensor, ...]
    copy: torch.Tensor | None


def in_batches(
    matrices: Iterable[tuple[Key, torch.Tensor]],
    device: str,
    *,
    batch_bytes: int | None = None,
    most: Callable[[], int] = lambda: MOST,
    route: Callable[[int, int], Route] = lambda *_: BATCHED,
    rounding: bool = True,
    recorder: Recorder = NO_TRACE,
) -> Iterator[tuple[Key, Attempt]]:
    """Yield an attempt at each matrix, in order; neighbours of one shape and dtype are computed together.

    matrices: pairs of any key and an (m, n) tensor on the CPU, real, of any strides; taken as they are needed, in a
    thread of their own, and at most two batches at a time. device: one that has float64. batch_bytes: what a batch
    may take on it, half of what is free there where None is given. most: returns how many a batch may hold, asked
    before each. route: returns that of a shape. rounding, recorder: as for `spectrum`. Where the device refuses memory,
    a batch is halved until it fits; a matrix that does not fit alone is left to the CPU. σ is within `error` of that of
    `spectrum`, which is not the same to the last bit, and may depend on the other matrices of its batch as far as that.

    >>> import torch
    >>> attempts = dict(in_batches([("a", torch.eye(2)), ("b", 3 * torch.eye(2))], "cpu"))
    >>> attempts["b"].spectrum.sigma
    array([3., 3.])
    """
    import torch

    with ThreadPoolExecutor(1, f"copy to {device}", torch.set_num_threads, (1,)) as copier:
        batches = _staged(matrices, device, batch_bytes, most, recorder)
        following = copier.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = copier.submit(next, batches, None)
            chosen = route(*batch.matrices[0].shape)
            name = "Gram and eigenvalues" if chosen.solve else "Gram"
            with recorder.span(name, device=device, matrices=len(batch.keys)):
                attempts = _attempts(batch, device, chosen, rounding, recorder)
            yield from zip(batch.keys, attempts, strict=True)


def device_bytes(rows: int, cols: int, itemsize: int) -> int:
    """Bytes that one matrix of a batch takes on a device, an estimate; itemsize: of a stored entry.

    The stored matrix twice, as the next batch lies there too; a float64 block; the Gram matrix, and the eigenvalues'
    copy of it and work space; and what torch rounds up by.

    >>> round(device_bytes(768, 768, 2) / 1e6)
    26
    """
    short, long = sorted((rows, cols))
    return 2 * itemsize * rows * cols + 8 * short * (min(LENGTH, long) + 4 * short) + 2048


def _staged(
    matrices: Iterable[tuple[Key, torch.Tensor]],
    device: str,
    batch_bytes: int | None,
    most: Callable[[], int],
    recorder: Recorder,
) -> Iterator[_Batch[Key]]:
    """Yield neighbours of one shape and dtype, as many as fit, with their copy on the device."""
    pending: list[tuple[Key, torch.Tensor]] = []
    capacity = 0
    for key, matrix in matrices:
        first = pending[0][1] if pending else matrix
        if len(pending) == capacity or (matrix.shape, matrix.dtype) != (first.shape, first.dtype):
            if pending:
                yield _batch(pending, device, recorder)
            pending = []
            space = min(BATCH_BYTES, free_bytes(device) // 2) if batch_bytes is None else batch_bytes
            rows, cols = matrix.shape
            capacity = max(1, min(most(), space // device_bytes(rows, cols, matrix.element_size())))
        pending.append((key, matrix))
    if pending:
        yield _batch(pending, device, recorder)


def _batch(pending: list[tuple[Key, torch.Tensor]], device: str, recorder: Recorder) -> _Batch[Key]:
    keys, matrices = zip(*pending, strict=True)
    try:
        with recorder.span("copy", device=device, matrices=len(keys)):
            copy = _copied(matrices, device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        copy = None
    return _Batch(keys, matrices, copy)


def _copied(matrices: tuple[torch.Tensor, ...], device: str) -> torch.Tensor:
    """Copy matrices of one shape to a device, (b, m, n) in the stored dtype.

    To a GPU through pinned memory and on a stream of its own: one matrix is transferred while the next is put into the
    pinned memory, and both while the device computes. It has arrived when this returns, so that no event is needed.
    """
    import torch

    if is_cpu(device):
        return torch.stack(matrices)
    module = torch.get_device_module(device)
    stream = module.Stream(device=device)
    shape, dtype = (len(matrices), *matrices[0].shape), matrices[0].dtype
    pinned = torch.empty(shape, dtype=dtype, pin_memory=True)
    with module.stream(stream):
        copy = torch.empty(shape, dtype=dtype, device=device)
        for index, matrix in enumerate(matrices):
            pinned[index].copy_(matrix)
            copy[index].copy_(pinned[index], non_blocking=True)
        stream.synchronize()
    return copy


def _attempts(batch: _Batch[Key], device: str, route: Route, rounding: bool, recorder: Recorder) -> list[Attempt]:
    """Compute a batch, in fewer at a time where the device refuses memory."""
    done: list[Attempt] = []
    size, fallback = len(batch.matrices), None
    rows, cols = batch.matrices[0].shape
    while len(done) < len(batch.matrices):
        piece = slice(len(done), len(done) + size)
        matrices = batch.matrices[piece]
        attempts: list[Attempt] | None = None
        try:
            copy = _copied(matrices, device) if batch.copy is None else batch.copy[piece]
            attempts = _computed(matrices, copy, route, rounding, recorder)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if attempts is not None:
            done += [replace(attempt, fallback=attempt.fallback or fallback) for attempt in attempts]
            continue
        batch.copy = None  # takes room itself; not in the block above, where the failure still holds on to it
        if size > 1:
            size //= 2
            fallback = Problem(
                f"{device} had no memory for as many matrices of {rows}×{cols} as should fit: fewer were taken at once",
                "the numbers are as good; it is faster when nothing else uses the device's memory",
            )
        else:
            fallback = Problem(
                f"{device} had no memory for a matrix of {rows}×{cols}: the CPU computed it",
                "the numbers are as good; it is faster with more of the device's memory free",
            )
            done.append(Attempt(None, fallback))
    return done


def _computed(
    matrices: tuple[torch.Tensor, ...], copy: torch.Tensor, route: Route, rounding: bool, recorder: Recorder
) -> list[Attempt]:
    """Return an attempt at each matrix of one shape, computed from their copy on the device, (b, m, n)."""
    import torch

    powers = [power_of_two(matrix) for matrix in matrices]
    grams = grams_on_device(copy, powers)
    traces = grams.diagonal(dim1=-2, dim2=-1).sum(-1)
    # One with NaN would spoil its neighbours: the solver refuses a batch that holds one.
    grams.masked_fill_(~traces.isfinite()[:, None, None], 0.0)
    norms = torch.linalg.vector_norm(grams, dim=(-2, -1))
    given = grams if route.solve is None else route.solve(grams).flip(-1).cpu()
    attempts = []
    for matrix, power, own, trace, norm in zip(matrices, powers, given, traces.tolist(), norms.tolist(), strict=True):
        floor = rounding_norm(matrix) if rounding else None
        described = torch.empty_like(matrix, device="meta")  # nothing that waits holds on to the entries
        judge = partial(_judged, described, power, trace=trace, norm=norm, floor=floor, route=route)
        if route.solve is None:
            attempts.append(
                Attempt(None, route=route, rest=partial(_by_processor, [own.cpu()], trace, judge, recorder))
            )
        else:
            attempts.append(judge(own.numpy()))
    return attempts


def _by_processor(
    gram: list[torch.Tensor], trace: float, judge: Callable[[NDArray[np.float64]], Attempt], recorder: Recorder
) -> Attempt:
    """Make an attempt of a Gram matrix that a device computed. gram: the only hold on it, which is given up."""
    with recorder.span("eigenvalues"):
        return judge(squares_of(gram.pop(), trace))


def _judged(
    matrix: torch.Tensor,
    power: int,
    squares: NDArray[np.float64],
    *,
    trace: float,
    norm: float,
    floor: float | None,
    route: Route,
) -> Attempt:
    """Make an attempt of the eigenvalues of a matrix's Gram, (n,) descending. matrix: its shape and dtype."""
    if trace and not is_spectrum_of(squares, trace, norm, steps(matrix.shape)):
        return Attempt(None, WRONG_EIGENVALUES)
    solution = by_gram(squares, trace, matrix.shape)
    return Attempt(as_spectrum(matrix, power, solution, floor) if solution else None, route=route)


def grams_on_device(stored: torch.Tensor, powers: list[int]) -> torch.Tensor:
    """G of the short sides, (b, n, n), accumulated in float64 over blocks of the long side; stored: (b, rows, cols)."""
    import torch

    count, rows, cols = stored.shape
    size = min(rows, cols)
    grams = torch.zeros((count, size, size), dtype=torch.float64, device=stored.device)
    # In two steps, as in `blocks.scale`: 2^1074 is no float64.
    factors = [
        torch.tensor([2.0**half for half in halves], dtype=torch.float64, device=stored.device)[:, None, None]
        for halves in ([-power // 2 for power in powers], [-power - -power // 2 for power in powers])
    ]
    for start in range(0, max(rows, cols), LENGTH):
        piece = stored[:, start : start + LENGTH] if rows >= cols else stored[:, :, start : start + LENGTH]
        block = piece.to(torch.float64)
        if any(powers):
            block = block * factors[0] * factors[1]
        side = block.mT if rows >= cols else block
        grams.baddbmm_(side, side.mT)
    return grams
