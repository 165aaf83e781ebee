"""Runs jobs on the machines of a Ray cluster, and gives each result as soon as it is there.

It knows nothing of what a job is. Ray is an extra: it is imported when a cluster is asked for, and not before. A job
whose machine is lost is given to another one; jobs must therefore do nothing but compute their result.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from spectra_cli.errors import SpectraError

Key = TypeVar("Key")
Reference = Any  # a promise of a value somewhere in the cluster

RETRIES = 5
"""How many machines may be lost under one job before the scan ends."""

ENDS = 10.0  # seconds that a process has to close what it keeps
ANSWERS = 10.0  # seconds that the head of a cluster has to take a connection
INSTALL = "pip install 'spectra-scan[ray]', on every machine of the cluster"


class Keeper:
    """A process of the cluster that keeps something from one job to the next."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """Make what is kept."""
        self.kept = make()

    def run(self, function: Callable[..., object], *arguments: object) -> object:
        """Return function(*arguments, what is kept)."""
        return function(*arguments, self.kept)

    def end(self) -> None:
        """Close what is kept."""
        self.kept.close()


@dataclass(frozen=True, eq=False)
class Job:
    """One that runs: what it was given, where, and how often its process was lost."""

    slot: int
    keeper: Any
    function: Callable[..., object]
    arguments: tuple[object, ...]
    losses: int = 0


@dataclass(frozen=True)
class Cluster:
    """A cluster that is connected to. slots: how many jobs run at once. gpus: whether each of them has a GPU."""

    slots: int
    gpus: bool
    cpus: int
    _keepers: dict[int, Any] = field(default_factory=dict)
    _jobs: dict[Reference, Job] = field(default_factory=dict)

    def put(self, value: object) -> Reference:
        """Keep a value in the object store, from which each machine takes it once."""
        import ray

        return ray.put(value)

    def start(self, function: Callable[..., object], *arguments: object) -> Reference:
        """Begin function(*arguments) on some machine; arguments that `put` gave arrive as their values.

        What is begun first runs first: Ray would keep jobs that need other objects in other queues, each for itself,
        so that it is not told which they need.
        """
        job = self._remote.options(name=function.__name__)
        return job.remote(function, [self.put(arguments)])

    @cached_property
    def _remote(self) -> Any:
        """What Ray runs; it is made once, as its code is sent to the cluster then."""
        import ray

        return ray.remote(num_cpus=self.cpus, num_gpus=int(self.gpus), max_retries=RETRIES)(_with_values)

    def keepers(self, make: Callable[[], Any]) -> None:
        """Begin a process for each slot, on different machines where there are several, that keeps what `make` gives.

        That is closed, by its `close`, when the cluster is no longer needed.
        """
        import ray

        kind = ray.remote(num_cpus=self.cpus, num_gpus=int(self.gpus), scheduling_strategy="SPREAD")(Keeper)
        for slot in range(self.slots):
            self._keepers[slot] = kind.remote(make)

    def start_in(self, slot: int, function: Callable[..., object], *arguments: object) -> Reference:
        """Begin function(*arguments, what is kept) in the process of a slot; where that is lost, in another's."""
        return self._submit(Job(slot, self._keepers[slot], function, arguments))

    def _submit(self, job: Job) -> Reference:
        reference = job.keeper.run.remote(job.function, *job.arguments)
        self._jobs[reference] = job
        return reference

    def _again(self, lost: Reference) -> Reference | None:
        """Begin a job again whose process was lost; None where it has none, or was lost too often, or all are."""
        job = self._jobs.pop(lost, None)
        if job is None or job.losses == RETRIES:
            return None
        left = [keeper for keeper in self._keepers.values() if keeper is not job.keeper]
        for slot, keeper in self._keepers.items():
            if keeper is job.keeper and left:
                self._keepers[slot] = left[slot % len(left)]
        now = self._keepers[job.slot]
        return self._submit(replace(job, keeper=now, losses=job.losses + 1)) if now is not job.keeper else None

    def end(self) -> None:
        """End the processes that keep something."""
        import ray

        for keeper in {id(keeper): keeper for keeper in self._keepers.values()}.values():
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(keeper.end.remote(), timeout=ENDS)
            ray.kill(keeper)

    def finished(self, running: Mapping[Reference, Key]) -> Iterator[tuple[Key, Any]]:
        """Yield key and value of each job as it finishes. Raises SpectraError where the cluster cannot carry it out."""
        import ray

        keys = dict(running)
        while keys:
            (done, *_), _ = ray.wait(list(keys), num_returns=1)
            key = keys.pop(done)
            try:
                value = ray.get(done)
                self._jobs.pop(done, None)
                yield key, value
            except ray.exceptions.RayError as error:
                lost = isinstance(error, ray.exceptions.RayActorError)
                if lost and (again := self._again(done)) is not None:
                    keys[again] = key
                    continue
                kind = type(error).__name__
                raise SpectraError(
                    f"the Ray cluster did not finish a job, though it was tried on {RETRIES + 1} machines: {kind}",
                    hint="look after the cluster's machines with `ray status`; the same command goes on from there",
                    stops=True,
                ) from None

    def drop(self, running: Mapping[Reference, object]) -> None:
        """Cancel jobs whose results are not wanted any more."""
        import ray

        for job in running:
            ray.cancel(job)


def _with_values(function: Callable[..., object], arguments: Sequence[Reference]) -> object:
    """Return what a function gives; arguments: where those that it takes are, of which some are references too."""
    import ray

    values = ray.get(arguments[0])
    return function(*(ray.get(value) if isinstance(value, ray.ObjectRef) else value for value in values))


@contextmanager
def connect(address: str | None, *, device: str, threads: int) -> Iterator[Cluster]:
    """Connect to a cluster; where none is named and none runs on this machine, start one on its processors.

    address: as `ray.init` takes it, `host:6379` or `ray://host:10001`. device: auto, cpu or cuda: whether jobs ask for
    GPUs. threads: processors of one job. Raises SpectraError where there is no Ray, no cluster, or none with GPUs.
    """
    ray = _import()
    own = not ray.is_initialized()
    if own:
        _begin(ray, address)
    try:
        cluster = _resources(ray.cluster_resources(), device, threads)
        try:
            yield cluster
        finally:
            cluster.end()
    finally:
        if own:
            ray.shutdown()


def _import() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere about what a user scans
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # jobs without a GPU leave the variables alone
    try:
        import ray
    except ImportError:
        raise SpectraError("--engine ray needs Ray, which is not installed", hint=INSTALL, code=2) from None
    return ray


def _begin(ray: Any, address: str | None) -> None:
    try:
        if host_port := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address or ""):
            with socket.create_connection((host_port[1], int(host_port[2])), timeout=ANSWERS):
                pass  # somebody listens: Ray itself would try for minutes
        with _own_signals():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ValueError, RuntimeError, OSError):
        raise SpectraError(
            f"no Ray cluster answers at {address or 'the address in RAY_ADDRESS'}",
            hint="`ray start --head` begins one and says its address; give --engine ray=ADDRESS",
        ) from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what answers SIGTERM: Ray would answer it by leaving at once."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _resources(resources: Mapping[str, float], device: str, threads: int) -> Cluster:
    """Return how many jobs fit into what the cluster has."""
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if device == "cuda" and not gpus:
        raise SpectraError("no machine of the Ray cluster has a GPU", hint="use --device auto or --device cpu", code=2)
    with_gpus = bool(gpus) and device != "cpu"
    slots = min(gpus, cpus // threads) if with_gpus else cpus // threads
    if slots < 1:
        raise SpectraError(
            f"the Ray cluster has {cpus} processors, too few for --threads {threads}", hint="give --threads 1", code=2
        )
    return Cluster(slots, with_gpus, threads)
