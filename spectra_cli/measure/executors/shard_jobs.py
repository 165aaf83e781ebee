"""One shard of one checkpoint's matrices as a job for any machine that sees the same folders. Knows no cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from spectra_cli import svd
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import measure_matrices
from spectra_cli.measure.open_checkpoint import OpenCheckpoint, SpectrumCache
from spectra_cli.measure.plan import Plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.results import MatrixResult
from spectra_cli.records import Checkpoint, Matrix, Spectrum
from spectra_cli.trace import NO_TRACE, Event, Recorder


@dataclass(frozen=True)
class KnownSpectra:
    """What is known of some matrices of one checkpoint: spectra, and first singular vectors where asked for."""

    spectra: dict[str, Spectrum] = field(default_factory=dict)
    vectors: dict[str, svd.Vectors] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardJob:
    """One shard of one checkpoint: all that a machine needs to measure it, but for the spectra that are known.

    traced: whether its result is to say what ran when.
    """

    request: Request
    model: str
    device: str
    folder: str
    current: Checkpoint
    previous: Checkpoint | None
    reference: Checkpoint | None
    names: tuple[str, ...]
    traced: bool = False


@dataclass(frozen=True)
class ShardResult:
    """What a job gave: a result for each of its matrices, or why there is none."""

    results: tuple[MatrixResult, ...] = ()
    current: KnownSpectra = field(default_factory=KnownSpectra)
    reference: KnownSpectra = field(default_factory=KnownSpectra)
    failure: tuple[str, str, int, bool] | None = None
    memory: str | None = None
    events: tuple[Event, ...] = ()

    def raise_failure(self) -> None:
        """Raise what went wrong, as it was raised on the other machine."""
        if self.memory is not None:
            raise MemoryError(self.memory)
        if self.failure is not None:
            message, hint, code, stops = self.failure
            raise SpectraError(message, hint=hint, code=code, stops=stops)


def measure_shard(job: ShardJob, current: KnownSpectra, previous: KnownSpectra, reference: KnownSpectra) -> ShardResult:
    """Do one job, on whatever machine. What goes wrong is in the result, so that it is not tried again."""
    try:
        os.chdir(job.folder)
    except OSError:
        hint = "every machine of the cluster must see the same folders at the same paths: see docs/scaling.md"
        return ShardResult(failure=(f"a machine of the Ray cluster cannot enter {job.folder}", hint, 1, True))
    try:
        return _measured(job, {job.previous: previous, job.reference: reference, job.current: current})
    except SpectraError as error:
        return ShardResult(failure=(error.message, error.hint, error.code, error.stops))
    except MemoryError as error:
        return ShardResult(memory=str(error))


def _measured(job: ShardJob, known: dict[Checkpoint | None, KnownSpectra]) -> ShardResult:
    events: list[Event] = []
    recorder = Recorder(events.append) if job.traced else NO_TRACE
    plan = Plan(job.request, job.model, (job.current,), job.reference, recorder=recorder)
    with plan.checkpoint_files() as checkpoint_files, ExitStack() as closing:
        opened: dict[Checkpoint | None, OpenCheckpoint] = {}
        for checkpoint, spectra in known.items():
            if checkpoint is not None:
                opened[checkpoint] = OpenCheckpoint.open(
                    checkpoint, plan, job.device, checkpoint_files, SpectrumCache()
                )
                closing.callback(opened[checkpoint].close)
                opened[checkpoint].spectra.update(spectra.spectra)
                opened[checkpoint].vectors.update(spectra.vectors)
        current, reference = opened[job.current], opened.get(job.reference)
        comparison = Comparison(current, reference, opened.get(job.previous))
        results = measure_matrices(comparison, [current.matrices[name] for name in job.names])
        known_now = (_known(current, job.names), _known(reference, job.names))
        return ShardResult(tuple(results), *known_now, events=tuple(events))


def _known(checkpoint: OpenCheckpoint | None, names: Sequence[str]) -> KnownSpectra:
    if checkpoint is None:
        return KnownSpectra()
    return KnownSpectra(
        {name: checkpoint.spectra[name] for name in names if name in checkpoint.spectra},
        {name: checkpoint.vectors[name] for name in names if name in checkpoint.vectors},
    )


def shards(matrices: Sequence[Matrix], count: int) -> tuple[tuple[str, ...], ...]:
    """Part matrices into `count` shards of about the same cost, the most expensive first; some may be empty.

    >>> one, two, three = (Matrix(name, "q", name, side, side) for name, side in (("a", 8), ("b", 7), ("c", 6)))
    >>> shards([one, two, three], 2)
    (('a',), ('b', 'c'))
    """
    parts: list[list[str]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for matrix in sorted(matrices, key=lambda matrix: -svd.gigaflops(matrix.rows, matrix.cols)):
        least = costs.index(min(costs))
        parts[least].append(matrix.name)
        costs[least] += svd.gigaflops(matrix.rows, matrix.cols)
    return tuple(map(tuple, parts))
