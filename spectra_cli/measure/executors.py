"""Spreads the matrices of checkpoints over a cluster: which go together, what each needs, and in what order.

A job is one checkpoint's shard of matrices, against the same of the reference and of the checkpoint before. It reads
its tensors itself, from storage that every machine sees at the same path. Spectra that are known already travel with
it, so that each is computed once: those of the reference stay in the cluster's object store, those of the checkpoint
before come from the same shard's last job. A shard of the next checkpoint begins when that of this one is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from spectra_cli import sources, svd
from spectra_cli.engines.ray import Cluster, Reference, connect
from spectra_cli.errors import SpectraError
from spectra_cli.measure.matrices import One, side_by_side
from spectra_cli.measure.open_checkpoint import Known, Side
from spectra_cli.measure.plan import Plan, Request, open_checkpoint
from spectra_cli.measure.trajectory import Each, Walk
from spectra_cli.records import Checkpoint, Matrix, Spectrum

SHARDS_A_SLOT = 2
"""So that a slot that is done has something left to take, and few jobs open the same files."""


@dataclass(frozen=True)
class Kept:
    """What is known of some matrices of one checkpoint: spectra, and first singular vectors where asked for."""

    spectra: dict[str, Spectrum] = field(default_factory=dict)
    leading: dict[str, svd.Vectors] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One shard of one checkpoint: all that a machine needs to measure it, but for what is Kept."""

    request: Request
    model: str
    device: str
    folder: str
    checkpoint: Checkpoint
    previous: Checkpoint | None
    reference: Checkpoint | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a job gave: a result for each of its matrices, or why there is none."""

    ones: tuple[One, ...] = ()
    here: Kept = field(default_factory=Kept)
    reference: Kept = field(default_factory=Kept)
    failure: tuple[str, str, int, bool] | None = None
    memory: str | None = None


def measure_shard(job: Job, here: Kept, previous: Kept, reference: Kept) -> Answer:
    """Do one job, on whatever machine. What goes wrong is in the answer, so that it is not tried again."""
    try:
        os.chdir(job.folder)
    except OSError:
        hint = "every machine of the cluster must see the same folders at the same paths: see docs/scaling.md"
        return Answer(failure=(f"a machine of the Ray cluster cannot enter {job.folder}", hint, 1, True))
    try:
        return _measured(job, here, previous, reference)
    except SpectraError as error:
        return Answer(failure=(error.message, error.hint, error.code, error.stops))
    except MemoryError as error:
        return Answer(memory=str(error))


def _measured(job: Job, here: Kept, previous: Kept, reference: Kept) -> Answer:
    plan = Plan(job.request, job.model, (job.checkpoint,), job.reference)
    known: dict[Checkpoint | None, Kept] = {job.previous: previous, job.reference: reference, job.checkpoint: here}
    with plan.supply() as supply, ExitStack() as closing:
        sides: dict[Checkpoint, Side] = {}
        for one, kept in known.items():
            if one is not None:
                side = sides[one] = Side.open(one, plan, job.device, supply, Known(frozenset()))
                closing.callback(side.closing.close)
                side.spectra.update(kept.spectra)
                side.leading.update(kept.leading)
        mine = sides[job.checkpoint]
        final, before = (sides[one] if one else None for one in (job.reference, job.previous))
        ones = side_by_side(mine, final, before, [mine.matrices[name] for name in job.names])
        return Answer(tuple(ones), _kept(mine, job.names), _kept(final, job.names))


def _kept(side: Side | None, names: Sequence[str]) -> Kept:
    if side is None:
        return Kept()
    return Kept(
        {name: side.spectra[name] for name in names if name in side.spectra},
        {name: side.leading[name] for name in names if name in side.leading},
    )


def shards(matrices: Sequence[Matrix], count: int) -> tuple[tuple[str, ...], ...]:
    """Part matrices into `count` shards of about the same cost, the dearest first; some may be empty.

    >>> one, two, three = (Matrix(name, "q", name, side, side) for name, side in (("a", 8), ("b", 7), ("c", 6)))
    >>> shards([one, two, three], 2)
    (('a',), ('b', 'c'))
    """
    parts: list[list[str]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for matrix in sorted(matrices, key=lambda one: -svd.gigaflops(one.rows, one.cols)):
        least = costs.index(min(costs))
        parts[least].append(matrix.name)
        costs[least] += svd.gigaflops(matrix.rows, matrix.cols)
    return tuple(map(tuple, parts))


@dataclass(eq=False)
class _Course:
    """A checkpoint under way: what it is compared with, its shards, and which of them run."""

    checkpoint: Checkpoint
    previous: Checkpoint | None
    matrices: tuple[Matrix, ...]
    parts: tuple[tuple[str, ...], ...]
    running: dict[Reference, int] = field(default_factory=dict)


@dataclass(eq=False)
class Spread:
    """Measures the checkpoints of a walk on a cluster, the next one begun while this one runs. An `Each`.

    before, reference: what is known of the checkpoint measured last, and of the reference, for each shard.
    """

    cluster: Cluster
    device: str
    ahead: _Course | None = None
    before: dict[int, Kept] = field(default_factory=dict)
    reference: dict[int, Reference] = field(default_factory=dict)

    def __call__(self, walk: Walk, here: Side, then: Checkpoint | None) -> list[One]:
        """Give a result for each matrix of a checkpoint, in their order."""
        course = self._under_way(walk, here)
        following = self._next(walk, here.checkpoint, then)
        found: dict[str, One] = {}
        kept: dict[int, Kept] = {}
        idle = set(range(len(course.parts))) - set(course.running.values())
        for shard in idle if following else ():
            self._begin(walk, following, shard, Kept())
        for shard, answer in self.cluster.finished(course.running):
            _raise(answer)
            kept[shard] = answer.here
            if answer.reference.spectra and shard not in self.reference:
                self.reference[shard] = self.cluster.put(answer.reference)
            self._begin(walk, following, shard, answer.here)
            found |= dict(zip(course.parts[shard], answer.ones, strict=True))
            for name in course.parts[shard]:
                if walk.progress:
                    walk.progress(here.checkpoint, here.matrices[name])
        self.ahead, self.before = following, kept
        return [found[matrix.name] for matrix in course.matrices]

    def _under_way(self, walk: Walk, here: Side) -> _Course:
        """Give the course of a checkpoint that was begun, unless it is compared with something else by now."""
        before = walk.previous.checkpoint if walk.previous else None
        course, self.ahead = self.ahead, None
        if course is not None and (course.checkpoint, course.previous) == (here.checkpoint, before):
            return course
        if course is not None:
            self.cluster.drop(course.running)
        course = self._course(here.checkpoint, before, here.layout.matrices)
        for shard in range(len(course.parts)):
            self._begin(walk, course, shard, self.before.get(shard, Kept()) if before else Kept())
        return course

    def _course(self, one: Checkpoint, before: Checkpoint | None, matrices: Sequence[Matrix]) -> _Course:
        return _Course(one, before, tuple(matrices), shards(matrices, SHARDS_A_SLOT * self.cluster.slots))

    def _next(self, walk: Walk, here: Checkpoint, then: Checkpoint | None) -> _Course | None:
        """Look into the next checkpoint; where it cannot be read, that is said in its own turn."""
        if then is None:
            return None
        try:
            with open_checkpoint(then, walk.plan.request, walk.supply) as (_, layout):
                return self._course(then, here, layout.matrices)
        except SpectraError:
            return None

    def _begin(self, walk: Walk, course: _Course | None, shard: int, before: Kept) -> None:
        if course is None or not course.parts[shard]:
            return
        final = walk.reference.checkpoint if walk.reference else None
        request = replace(walk.plan.request, threads=self.cluster.cpus)
        names = course.parts[shard]
        job = Job(request, walk.plan.model, self.device, os.getcwd(), course.checkpoint, course.previous, final, names)
        reference = self.reference.get(shard, Kept())
        here = reference if final == course.checkpoint else Kept()
        course.running[self.cluster.start(measure_shard, job, here, before, reference)] = shard


def _raise(answer: Answer) -> None:
    if answer.memory is not None:
        raise MemoryError(answer.memory)
    if answer.failure is not None:
        message, hint, code, stops = answer.failure
        raise SpectraError(message, hint=hint, code=code, stops=stops)


@contextmanager
def engine(request: Request) -> Iterator[tuple[str, dict[str, Any]]]:
    """Have what computes at hand: give the device, and the arguments that let a Walk use it.

    Raises SpectraError where it is not there, or cannot reach the source.
    """
    kind, _, address = request.engine.partition("=")
    if kind == "local":
        yield svd.choose_device(request.device), {}
        return
    if sources.is_hub(request.source):
        raise SpectraError(
            "--engine ray reads from storage that all its machines share, not from the Hub",
            hint="download the revisions to a shared folder and scan that, or use --engine local",
            code=2,
        )
    if request.device not in ("auto", "cpu", "cuda"):
        raise SpectraError(
            f"--device {request.device} names a device of this machine, and Ray chooses the machines",
            hint="with --engine ray use --device auto, cpu or cuda",
            code=2,
        )
    with connect(address or None, device=request.device, threads=request.threads or 1) as cluster:
        device = "cuda" if cluster.gpus else "cpu"
        each: Each = Spread(cluster, device)
        yield device, {"each": each}
