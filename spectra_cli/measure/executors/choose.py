"""Chooses the executor that a request asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spectra_cli import sources, svd
from spectra_cli.engines.ray import connect
from spectra_cli.errors import SpectraError
from spectra_cli.measure.executors.cluster import RayExecutor
from spectra_cli.measure.executors.executor import Executor
from spectra_cli.measure.executors.local import LocalExecutor
from spectra_cli.measure.request import Request


@contextmanager
def executor_for(request: Request) -> Iterator[Executor]:
    """Open what measures. Raises SpectraError where it is not there."""
    kind, _, address = request.engine.partition("=")
    if kind == "local":
        yield LocalExecutor(svd.choose_device(request.device))
        return
    if request.device not in ("auto", "cpu", "cuda"):
        raise SpectraError(
            f"--device {request.device} names a device of this machine, and Ray chooses the machines",
            hint="with --engine ray use --device auto, cpu or cuda",
            code=2,
        )
    with connect(address or None, device=request.device, threads=request.threads or 1) as cluster:
        yield RayExecutor(cluster, "cuda" if cluster.gpus else "cpu", sources.is_remote(request.source))
