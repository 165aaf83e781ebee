"""A Ray cluster as an executor: which shards of matrices go where, and in what order.

A job is one checkpoint's shard of matrices, against the same of the reference and of the previous checkpoint. It reads
its tensors itself, from storage that every machine sees at the same path. What is on the Hub or in object storage is
fetched by whoever needs it: a shard of every checkpoint belongs to one process, which keeps what it fetched for the
next checkpoint, so that no byte of a matrix is fetched twice; this machine fetches headers only. Spectra that are known
already travel with it, so that each is computed once: those of the reference stay in the cluster's object store, those
of the previous checkpoint come from the same shard's last job. A shard of the next checkpoint begins when that of this
one is done.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spectra_cli import weights
from spectra_cli.engines.ray import Cluster, Reference
from spectra_cli.errors import SpectraError
from spectra_cli.measure.comparison import Comparison
from spectra_cli.measure.executors.shard_jobs import KeptFiles, KnownSpectra, ShardJob, measure_shard, shards
from spectra_cli.measure.matrices import OnMatrix
from spectra_cli.measure.open_checkpoint import OpenCheckpoint
from spectra_cli.measure.results import MatrixResult
from spectra_cli.measure.tensor_reader import TensorReader
from spectra_cli.measure.trajectory import Upcoming
from spectra_cli.records import Checkpoint, Matrix

SHARDS_OF_A_SLOT = (1 / 2, 1 / 4, 1 / 4)
"""Relative sizes, the largest first: the small ones fill what the large ones leave, so that slots end together."""


@dataclass(eq=False)
class ShardedCheckpoint:
    """A checkpoint under way: what it is compared with, its shards, and which of them run."""

    checkpoint: Checkpoint
    previous: Checkpoint | None
    matrices: tuple[Matrix, ...]
    shards: tuple[tuple[str, ...], ...]
    running: dict[Reference, int] = field(default_factory=dict)


@dataclass(eq=False)
class RayExecutor:
    """Measures on a cluster, the next checkpoint begun while this one runs.

    fetches: whether checkpoints have to be fetched. begun: the next checkpoint, where some of its shards run. previous,
    reference: what is known of the checkpoint measured last, and of the reference, for each shard.
    """

    cluster: Cluster
    device: str
    fetches: bool = False
    begun: ShardedCheckpoint | None = None
    previous: dict[int, KnownSpectra] = field(default_factory=dict)
    reference: dict[int, Reference] = field(default_factory=dict)
    _listed: tuple[tuple[Checkpoint, ...], Reference] | None = None

    def __post_init__(self) -> None:
        """Begin the processes that keep what they fetch."""
        if self.fetches:
            self.cluster.keepers(KeptFiles)

    @property
    def reads(self) -> bool:
        """Whether matrices are read through what it is given: never, and what need not be fetched costs nothing."""
        return not self.fetches

    def use_waiting_time(self, reference: OpenCheckpoint | None, first: Upcoming) -> None:
        """Do nothing: every machine sees the files already."""

    def measure(self, comparison: Comparison, upcoming: Upcoming | None, on_done: OnMatrix) -> list[MatrixResult]:
        """Return a result for each matrix of the current checkpoint, in their order."""
        current = comparison.current
        sharded = self._under_way(comparison)
        following = self._next(current.checkpoint, upcoming)
        results: dict[str, MatrixResult] = {}
        known: dict[int, KnownSpectra] = {}
        idle = set(range(len(sharded.shards))) - set(sharded.running.values())
        for shard in idle if following else ():
            self._begin(comparison, following, shard, KnownSpectra())
        for shard, answer in self.cluster.finished(sharded.running):
            answer.raise_failure()
            current.plan.recorder.keep_all(answer.events)
            known[shard] = answer.current
            if answer.reference.spectra and shard not in self.reference:
                self.reference[shard] = self.cluster.put(answer.reference)
            self._begin(comparison, following, shard, answer.current)
            results |= dict(zip(sharded.shards[shard], answer.results, strict=True))
            for name in sharded.shards[shard]:
                on_done(current.matrices[name])
        self.begun, self.previous = following, known
        return [results[matrix.name] for matrix in sharded.matrices]

    def _under_way(self, comparison: Comparison) -> ShardedCheckpoint:
        """Return a checkpoint whose shards were begun, unless it is compared with something else by now."""
        current = comparison.current
        previous = comparison.previous.checkpoint if comparison.previous else None
        sharded, self.begun = self.begun, None
        if sharded is not None and (sharded.checkpoint, sharded.previous) == (current.checkpoint, previous):
            return sharded
        if sharded is not None:
            self.cluster.drop(sharded.running)
        sharded = self._shard(current.checkpoint, previous, current.layout.matrices, current.weights)
        for shard in range(len(sharded.shards)):
            known = self.previous.get(shard, KnownSpectra()) if previous else KnownSpectra()
            self._begin(comparison, sharded, shard, known)
        return sharded

    def _shard(
        self, checkpoint: Checkpoint, previous: Checkpoint | None, matrices: Sequence[Matrix], opened: TensorReader
    ) -> ShardedCheckpoint:
        if self.fetches:
            parts = shards(matrices, [1.0] * self.cluster.slots, lambda matrix: _fetched_as(opened, matrix))
        else:
            parts = shards(matrices, [size for size in SHARDS_OF_A_SLOT for _ in range(self.cluster.slots)])
        return ShardedCheckpoint(checkpoint, previous, tuple(matrices), parts)

    def _next(self, current: Checkpoint, upcoming: Upcoming | None) -> ShardedCheckpoint | None:
        """Look into the next checkpoint; where it cannot be read, that is told in its own turn."""
        if upcoming is None:
            return None
        try:
            with upcoming.open() as (opened, layout):
                return self._shard(upcoming.checkpoint, current, layout.matrices, opened)
        except SpectraError:
            return None

    def _begin(
        self, comparison: Comparison, sharded: ShardedCheckpoint | None, shard: int, previous: KnownSpectra
    ) -> None:
        if sharded is None or not sharded.shards[shard]:
            return
        plan = comparison.current.plan
        compared = comparison.reference.checkpoint if comparison.reference else None
        request = replace(plan.request, threads=self.cluster.cpus)
        job = ShardJob(
            request, plan.model, self.device, os.getcwd(),
            sharded.checkpoint, sharded.previous, compared, sharded.shards[shard], plan.recorder.is_on,
        )  # fmt: skip
        reference = self.reference.get(shard, KnownSpectra())
        current = reference if compared == sharded.checkpoint else KnownSpectra()
        arguments = (measure_shard, job, self._put(plan.checkpoints), current, previous, reference)
        begun = self.cluster.start_in(shard, *arguments) if self.fetches else self.cluster.start(*arguments)
        sharded.running[begun] = shard

    def _put(self, checkpoints: tuple[Checkpoint, ...]) -> Reference:
        """Put a plan's checkpoints into the object store once."""
        if self._listed is None or self._listed[0] != checkpoints:
            self._listed = (checkpoints, self.cluster.put(checkpoints))
        return self._listed[1]


def _fetched_as(opened: TensorReader, matrix: Matrix) -> str:
    """Name what is fetched at once for a matrix: its stored tensor, or the file where only whole ones are read."""
    path = opened.file_ranges(matrix.tensor)[0].path
    return matrix.tensor if weights.header_size(path.name, b"") is not None else path.name
