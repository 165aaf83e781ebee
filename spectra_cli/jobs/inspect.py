"""Looks into a source before a scan: what would be read, split, skipped and repeated, and what it would cost."""

from __future__ import annotations

import filecmp
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from spectra_cli import sources, svd, weights
from spectra_cli.errors import SpectraError
from spectra_cli.jobs.pricing import Checkpoints, Cost, Elsewhere, Work, Workers, cost_of, gpu_rates, ready, work_of
from spectra_cli.measure.layouts import open_weights
from spectra_cli.measure.left_out import left_out_problem
from spectra_cli.measure.plan import OnWait, Plan, make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.scan_options import ScanOptions
from spectra_cli.measure.trial import try_matrices
from spectra_cli.records import Checkpoint, Layout, Problem, Remote, StoredTensor


@dataclass(frozen=True)
class Fetching:
    """What a scan would ask of the Hub. calls: listings, those already made included. nbytes: that it would fetch.

    total: bytes of all files. requests: for files, about. in_parts: byte ranges of some tensors, or else whole files.
    cached: bytes that are on this machine already. disk: the most scratch space. keeps_reference: whether
    the reference's matrices stay there, or are fetched again for each checkpoint.
    """

    calls: int
    nbytes: int
    total: int
    requests: int
    in_parts: bool
    cached: int
    disk: int
    keeps_reference: bool


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint as `inspect` shows it; problem says why it cannot be read, and then the rest is empty.

    left_out: what looks like a weight and is not measured.
    """

    checkpoint: Checkpoint
    format: str = ""
    nbytes: int = 0
    dtypes: tuple[str, ...] = ()
    duplicate_of: str | None = None
    files: tuple[Path, ...] = ()
    problem: SpectraError | None = None
    left_out: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """A plan with what a look into the files adds: facts of each checkpoint, the layout of one, gaps, the cost.

    cost: on this machine. elsewhere: on the workers asked about.
    """

    plan: Plan
    facts: tuple[CheckpointFacts, ...]
    layout: Layout
    tensors: dict[str, StoredTensor]
    gaps: tuple[tuple[int, int], ...]
    device: str
    work: Work
    cost: Cost
    elsewhere: Elsewhere | None
    differing: tuple[str, ...]
    fetching: Fetching | None = None

    @property
    def is_priced_for_more(self) -> bool:
        """Whether the cost is that of another number of checkpoints than can be read."""
        return self.work.checkpoints != sum(fact.problem is None for fact in self.facts)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What a scan would name as not read."""
        unreadable = (Problem(fact.problem.message, fact.problem.hint) for fact in self.facts if fact.problem)
        return (*self.plan.problems, *unreadable, *(problem for fact in self.facts for problem in fact.left_out))


def inspect_source(
    source: str | Path,
    *,
    checkpoints: int | None = None,
    workers: int | None = None,
    processors_per_worker: int | None = None,
    gpus_per_worker: int = 0,
    bandwidth: str | None = None,
    begun: float | None = None,
    on_wait: OnWait = lambda _: None,
    **options: Unpack[ScanOptions],
) -> Inspection:
    """Return what a scan would read, split, skip and cost; computes no spectrum of it, but some of random ones.

    On the Hub one checkpoint is looked into, the last that can be read; of the others only the listing counts.
    checkpoints: the cost is that of so many like the last, in place of those that are there. workers: machines whose
    time is estimated too, each with processors_per_worker processors, as many as this one by default, and
    gpus_per_worker GPUs. bandwidth: what each of them, or else this machine, reads in a second, such as `1GB`. begun:
    the processor seconds of this process at which a scan would have begun, now by default. on_wait: called with what
    is waited for. options: those of ScanOptions. Raises SpectraError where no checkpoint can be read.

    >>> import spectra_cli
    >>> spectra_cli.inspect("run").work.nbytes
    100620
    """
    begun = time.process_time() if begun is None else begun
    request = Request.of(source, **options)
    processors = processors_per_worker or request.workers
    asked = Workers(workers or 1, gpus_per_worker, processors, bandwidth and sources.parse_size(bandwidth) or None)
    plan = make_plan(request, on_wait)
    with plan.checkpoint_files(headers_only=True) as checkpoint_files:
        return _inspect(plan, request, checkpoint_files, _Asked(begun, checkpoints, asked, local=workers is None))


@dataclass(frozen=True)
class _Asked:
    """What is priced, beside the plan. local: on this machine only."""

    begun: float
    checkpoints: int | None
    workers: Workers
    local: bool


def _inspect(plan: Plan, request: Request, checkpoint_files: sources.CheckpointFiles, asked: _Asked) -> Inspection:
    device = svd.choose_device(request.device)
    facts: list[CheckpointFacts] = []
    shown: tuple[Layout, dict[str, StoredTensor]] | None = None
    shapes: dict[str, tuple[int, int]] = {}
    differing: list[str] = []
    for checkpoint in reversed(plan.checkpoints):
        if shown is not None and isinstance(checkpoint.path, Remote):
            facts.append(CheckpointFacts(checkpoint, facts[-1].format, remote_bytes(checkpoint)))
            continue
        try:
            with open_weights(checkpoint, request, checkpoint_files) as (opened, layout):
                own = {matrix.name: (matrix.rows, matrix.cols) for matrix in layout.matrices}
                if shown is None:
                    shown, shapes = (layout, dict(opened.tensors)), own
                elif own != shapes:
                    differing.append(checkpoint.revision)
                facts.append(_facts(checkpoint, opened, layout))
        except SpectraError as error:
            facts.append(CheckpointFacts(checkpoint, problem=error))
    if shown is None:
        raise facts[-1].problem or SpectraError("nothing can be read", hint="check the files")
    facts = _mark_duplicates(facts[::-1], plan)
    fetching = _fetching(plan, checkpoint_files)
    work, cost, elsewhere = _costs(plan, *shown, facts, fetching, device, asked)
    steps = [checkpoint.step for checkpoint in plan.checkpoints if checkpoint.step is not None]
    return Inspection(
        plan,
        tuple(facts),
        *shown,
        tuple(sources.gaps(steps)),
        device,
        work,
        cost,
        elsewhere,
        tuple(reversed(differing)),
        fetching,
    )


def remote_bytes(checkpoint: Checkpoint) -> int:
    """Return the bytes of a checkpoint's files on the Hub; 0 for one on this machine."""
    return sum(file.size for file in checkpoint.path.files) if isinstance(checkpoint.path, Remote) else 0


def _fetching(plan: Plan, checkpoint_files: sources.CheckpointFiles) -> Fetching | None:
    """Estimate from the listing, and from what would be asked of the files of the checkpoint that was looked into."""
    remote = [checkpoint.path for checkpoint in plan.checkpoints if isinstance(checkpoint.path, Remote)]
    if not remote:
        return None
    planned = checkpoint_files.planned()
    files = {file.blob: (origin, file) for origin in remote for file in origin.files}
    cached = {blob: file.size for blob, (origin, file) in files.items() if sources.cached_path(origin, file)}
    nbytes = requests = 0
    for blob, (_, file) in files.items():
        asked = planned.get(file.name, [(0, file.size)])
        if blob not in cached:
            nbytes += sum(min(stop, file.size) - start for start, stop in asked)
            requests += len(asked) + (1 if asked[:1] != [(0, file.size)] else 0)  # and one for the header
    whole = sum(file.size for _, file in files.values())
    keeps = not checkpoint_files.tight() or max(map(remote_bytes, plan.checkpoints)) <= checkpoint_files.disk // 2
    times = 1 if not checkpoint_files.tight() else 2 if keeps else 3  # itself, as the previous one, as the reference
    on_hub = [origin for origin in remote if origin.on_hub]
    calls = len({origin.repository for origin in remote}) + len(
        {(origin.repository, origin.commit) for origin in on_hub}
    )
    parts = any(asked and asked[0][1] - asked[0][0] < checkpoint_files.size_of(name) for name, asked in planned.items())
    disk = min(checkpoint_files.disk, nbytes)
    return Fetching(calls, times * nbytes, whole, times * requests, parts, sum(cached.values()), disk, keeps)


def _facts(checkpoint: Checkpoint, opened: weights.Weights, layout: Layout) -> CheckpointFacts:
    used = {matrix.tensor for matrix in layout.matrices}
    dtypes = tuple(sorted({opened.tensors[name].dtype for name in used if name in opened.tensors}))
    nbytes = sum(file.stat().st_size for file in opened.files)
    left_out = tuple(left_out_problem(checkpoint, lost) for lost in layout.lost)
    return CheckpointFacts(checkpoint, opened.format, nbytes, dtypes, files=opened.files, left_out=left_out)


def _costs(
    plan: Plan, layout: Layout, tensors: Mapping[str, StoredTensor], facts: Sequence[CheckpointFacts],
    fetching: Fetching | None, device: str, asked: _Asked,
) -> tuple[Work, Cost, Elsewhere | None]:  # fmt: skip
    """Return what is to be done, and what that takes on this machine and, unless it alone is asked, on the workers."""
    readable = [fact for fact in facts if fact.problem is None]
    distinct = len({fact.duplicate_of or fact.checkpoint.revision for fact in readable})
    there, workers = Checkpoints(len(readable), distinct), asked.workers
    nbytes = fetching.nbytes if fetching else sum(fact.nbytes for fact in readable)
    if asked.checkpoints:
        there, nbytes = Checkpoints(asked.checkpoints, asked.checkpoints), nbytes * asked.checkpoints // there.count
    process = ready(plan, asked.begun)
    trials = try_matrices(plan, layout.matrices, tensors)
    work = work_of(layout.matrices, trials, there, nbytes, fetched=fetching is not None)
    rates = gpu_rates(device, layout.matrices)
    own_gpus = 0 if rates.assumed else len(svd.each_of(device))
    own = Workers(1, own_gpus, plan.request.workers, workers.bandwidth if asked.local else None)
    cost = cost_of(work, own, rates, process, local=True)
    if asked.local:
        return work, cost, None
    spread = cost_of(work, workers, rates, process, local=False)
    return work, cost, Elsewhere(workers, spread, rates.assumed)


def _mark_duplicates(facts: Sequence[CheckpointFacts], plan: Plan) -> list[CheckpointFacts]:
    """Mark each checkpoint whose weight files repeat those of an earlier one, byte for byte."""
    seen: dict[str, CheckpointFacts] = {}
    marked = []
    for fact in facts:
        if isinstance(fact.checkpoint.path, Remote):
            marked.append(replace(fact, duplicate_of=plan.twin_of(fact.checkpoint)))
            continue
        twin = seen.setdefault(_fingerprint(fact.files), fact) if fact.files else fact
        same = twin is not fact and _identical(fact.files, twin.files)
        marked.append(replace(fact, duplicate_of=twin.checkpoint.revision) if same else fact)
    return marked


def _fingerprint(files: Sequence[Path]) -> str:
    """Digest the sizes and some of the bytes: cheap, and equal wherever the files are equal."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        with open(path, "rb") as file:
            for eighth in range(8):
                file.seek(size * eighth // 8)
                digest.update(size.to_bytes(8, "big") + file.read(65536))
    return digest.hexdigest()


def _identical(some: Sequence[Path], others: Sequence[Path]) -> bool:
    return len(some) == len(others) and all(
        filecmp.cmp(some_file, other, shallow=False) for some_file, other in zip(some, others, strict=True)
    )
