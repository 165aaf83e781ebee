"""One shard of one checkpoint's matrices as a job for any machine that can read the same sources. Knows no cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import lru_cache

from spectra_cli import sources, svd
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.matrices import measure_matrices
from spectra_cli.measure.open_checkpoint import MOST_OPEN, OpenCheckpoint, SpectrumCache
from spectra_cli.measure.plan import Plan, make_client
from spectra_cli.measure.request import Request
from spectra_cli.measure.results import MatrixResult
from spectra_cli.records import Checkpoint, Matrix, Remote, Spectrum
from spectra_cli.sources import CheckpointFiles
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


class KeptFiles:
    """What a process keeps from one job to the next: what it fetched, and the checkpoints that it will need again."""

    def __init__(self) -> None:
        """Nothing is open; what measuring needs is loaded, while the machine that runs the command lists and opens."""
        import scipy.linalg  # noqa: F401
        import torch  # noqa: F401

        self.events: list[Event] = []
        self._closing = ExitStack()
        self._files: CheckpointFiles | None = None
        self._opened: dict[tuple[Checkpoint, tuple[str, ...]], OpenCheckpoint] = {}

    def open(self, checkpoint: Checkpoint, plan: Plan, job: ShardJob) -> OpenCheckpoint:
        """Open a checkpoint for a shard, of which only that is fetched where it has to be; or return it, if it is."""
        if not isinstance(checkpoint.path, Remote):
            return _on_this_machine(checkpoint, plan, job.device)
        if self._files is None:
            self._files = self._closing.enter_context(plan.checkpoint_files(in_parts=True))
        if (checkpoint, job.names) not in self._opened:
            self._opened[checkpoint, job.names] = OpenCheckpoint.open(
                checkpoint, plan, job.device, self._files, SpectrumCache(), names=frozenset(job.names)
            )
        return self._opened[checkpoint, job.names]

    def keep(self, checkpoints: Sequence[Checkpoint | None], names: tuple[str, ...]) -> None:
        """Close all other checkpoints of a shard."""
        for checkpoint, own in list(self._opened):
            if own == names and checkpoint not in checkpoints:
                self._opened.pop((checkpoint, own)).close()

    def close(self) -> None:
        """Close all."""
        while self._opened:
            self._opened.popitem()[1].close()
        self._closing.close()


def _on_this_machine(checkpoint: Checkpoint, plan: Plan, device: str) -> OpenCheckpoint:
    """Open a checkpoint of which nothing is known yet; its headers are read again only where its files changed."""
    state = (os.getcwd(), *map(tuple, sources.fingerprint(checkpoint.path)))
    return _read_headers(checkpoint, plan.request, device, state).begun_anew(plan)


@lru_cache(maxsize=MOST_OPEN + 1)  # those of a job, while some of the next checkpoint are between those of this one
def _read_headers(
    checkpoint: Checkpoint, request: Request, device: str, state: tuple[object, ...],  # noqa: ARG001 - a part of the key
) -> OpenCheckpoint:  # fmt: skip
    """Open a checkpoint on this machine, whose tensors are opened when they are read. state: of folder and files."""
    plan = Plan(request, "", (checkpoint,), None)
    with plan.checkpoint_files() as files:
        return OpenCheckpoint.open(checkpoint, plan, device, files, SpectrumCache())


def measure_shard(
    job: ShardJob, checkpoints: tuple[Checkpoint, ...], current: KnownSpectra, previous: KnownSpectra,
    reference: KnownSpectra, kept: KeptFiles | None = None,
) -> ShardResult:  # fmt: skip
    """Do one job, on whatever machine. What goes wrong is in the result, so that it is not tried again.

    checkpoints: all that will be measured, in order. current, previous, reference: what is known of each. kept: what
    this process keeps for later jobs; None where it keeps nothing.
    """
    try:
        if not isinstance(job.current.path, Remote):
            os.chdir(job.folder)
    except OSError:
        hint = "every machine of the cluster must see the same folders at the same paths: see docs/scaling.md"
        return ShardResult(failure=(f"a machine of the Ray cluster cannot enter {job.folder}", hint, 1, True))
    known = {job.previous: previous, job.reference: reference, job.current: current}
    try:
        if kept is not None:
            return _measured(job, checkpoints, known, kept)
        with closing(KeptFiles()) as own:
            return _measured(job, checkpoints, known, own)
    except SpectraError as error:
        return ShardResult(failure=(error.message, error.hint, error.code, error.stops))
    except MemoryError as error:
        return ShardResult(memory=str(error))


def _measured(
    job: ShardJob, checkpoints: tuple[Checkpoint, ...], known: Mapping[Checkpoint | None, KnownSpectra], kept: KeptFiles
) -> ShardResult:
    recorder = Recorder(kept.events.append) if job.traced else NO_TRACE
    client = make_client(job.request)
    plan = Plan(job.request, job.model, checkpoints, job.reference, client=client, recorder=recorder)
    try:
        opened: dict[Checkpoint | None, OpenCheckpoint] = {
            checkpoint: kept.open(checkpoint, plan, job) for checkpoint in known if checkpoint is not None
        }
        for checkpoint, compared in opened.items():
            compared.spectra.update(known[checkpoint].spectra)
            compared.vectors.update(known[checkpoint].vectors)
        current, reference = opened[job.current], opened.get(job.reference)
        comparison = Comparison(current, reference, opened.get(job.previous))
        results = measure_matrices(comparison, [current.matrices[name] for name in job.names])
        events = tuple(kept.events)
        return ShardResult(tuple(results), _known(current, job.names), _known(reference, job.names), events=events)
    finally:
        kept.events.clear()
        kept.keep((job.current, job.reference), job.names)


def _known(checkpoint: OpenCheckpoint | None, names: Sequence[str]) -> KnownSpectra:
    if checkpoint is None:
        return KnownSpectra()
    return KnownSpectra(
        {name: checkpoint.spectra[name] for name in names if name in checkpoint.spectra},
        {name: checkpoint.vectors[name] for name in names if name in checkpoint.vectors},
    )


def shards(
    matrices: Sequence[Matrix],
    sizes: Sequence[float],
    together: Callable[[Matrix], Hashable] = lambda matrix: matrix.name,
) -> tuple[tuple[str, ...], ...]:
    """Part matrices into shards of about these relative sizes in seconds, the most expensive first; some may be empty.

    together: matrices for which it is the same are not parted.

    >>> one, two, three = (Matrix(name, "q", name, side, side) for name, side in (("a", 8), ("b", 7), ("c", 6)))
    >>> shards([one, two, three], [1, 1])
    (('a',), ('b', 'c'))
    >>> shards([one, two, three], [1, 1], lambda matrix: matrix.name == "b")
    (('a', 'c'), ('b',))
    >>> shards([one, two, three], [1, 4])
    (('c',), ('a', 'b'))
    """
    groups: dict[Hashable, list[Matrix]] = {}
    for matrix in matrices:
        groups.setdefault(together(matrix), []).append(matrix)
    processor = svd.rates_of("cpu", {min(matrix.rows, matrix.cols) for matrix in matrices}, 0.0)
    seconds = {
        key: sum(svd.seconds_alone(matrix.rows, matrix.cols, processor) for matrix in group)
        for key, group in groups.items()
    }
    parts: list[list[str]] = [[] for _ in sizes]
    taken = [0.0] * len(sizes)
    for key in sorted(groups, key=lambda key: -seconds[key]):
        first = min(range(len(sizes)), key=lambda part: (taken[part] + seconds[key]) / sizes[part])
        parts[first] += [matrix.name for matrix in groups[key]]
        taken[first] += seconds[key]
    return tuple(map(tuple, parts))
