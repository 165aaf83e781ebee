"""Times a scan on a Ray cluster of one worker, of two, and on this machine's own threads, in turn, in one run.

    python -m benchmarks.ray_workers [--rounds N] [--checkpoints N] [--layers N] [--width N] [--hub]

Each worker is a node of its own with one processor and one BLAS thread. Every cluster is made and warmed before it is
timed; a round is a whole scan, with its table. With --hub all of them fetch from a Hub on this machine, and the bytes
that it sent are counted; what fetches is begun by each scan, so that the time counts from the first matrix. Beside
them the bare kernels run from memory, alone and twice side by side: what two processes share of this machine no scan
can make up for. Prints medians, their range, and ratios round by round, and for how much of each scan its workers
measured a matrix.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from speed import Contender  # noqa: E402 - the benchmarks stand beside each other
from synthetic import write_checkpoint  # noqa: E402

from tests.hub.loopback import Hub, served  # noqa: E402


@dataclass(frozen=True)
class Source:
    """Where the checkpoints are, and where the table goes. hub: what serves them, where they are not on this disk."""

    address: str
    table: Path
    hub: Hub

    @property
    def fetches(self) -> bool:
        """Whether the checkpoints come from a Hub."""
        return self.address.startswith("hf:")

    def scan(self, **options: Any) -> tuple[float, int]:
        """Scan once; return the seconds, from a Hub those since the first matrix, and the bytes that were fetched."""
        from spectra_cli.jobs.scan import scan_checkpoints  # once the environment says where the Hub is

        trace = self.table.with_suffix(".trace.json")
        start, before = time.perf_counter(), self.hub.fetched()
        scan_checkpoints(self.address, self.table, restart=True, trace=trace, **options)
        seconds, since = time.perf_counter() - start, since_first_matrix(trace)
        return since if self.fetches else seconds, self.hub.fetched() - before


def since_first_matrix(trace: Path) -> float:
    """Return the seconds from the first matrix that was measured to the end of the scan; say how busy workers were."""
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    measured = [event for event in events if event["name"] == "measure"]
    seconds: float = (
        max(event["ts"] + event["dur"] for event in events) - min(event["ts"] for event in measured)
    ) / 1e6
    workers = {(event["pid"], event["tid"]) for event in measured}
    busy = sum(event["dur"] for event in measured) / 1e6
    print(
        f"    {len(workers)} at {busy:.2f} s of matrices in {seconds:.2f} s: {busy / seconds / len(workers):.1%}",
        file=sys.stderr,
    )
    return seconds


@contextmanager
def cluster_of(workers: int) -> Iterator[None]:
    """Connect to a cluster of so many nodes while the block runs."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(workers):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def on_cluster(workers: int, source: Source) -> tuple[float, int]:
    """Scan once on a cluster; its making, and its workers' imports, are not in the seconds."""
    with cluster_of(workers):
        if not source.fetches:
            source.scan(engine="ray")  # a shorter one would leave a worker without its imports
        return source.scan(engine="ray")


def side_by_side(kernels: list[Contender]) -> tuple[float, int]:
    """Let processes run their kernels at once; return the seconds of the slowest."""
    threads = [threading.Thread(target=one.round) for one in kernels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(one.seconds[-1] for one in kernels), 0


def show(found: dict[str, list[tuple[float, int]]], first: str) -> None:
    """Print medians, ranges and ratios to the first, and what the kernels allow."""
    for name, taken in found.items():
        times = [seconds for seconds, _ in taken]
        ratios = [seconds / own for seconds, (own, _) in zip(times, found[first], strict=True)]
        low, middle, high = (f(times) for f in (min, statistics.median, max))
        against, fetched = statistics.median(ratios), max(nbytes for _, nbytes in taken)
        sent = f"  {fetched / 1e6:,.1f} MB fetched" if fetched else ""
        print(f"{name:<22} {middle:6.2f} s ({low:.2f} … {high:.2f})  {against:.2f} times the first{sent}")
    alone, both = found["kernels alone"], found["kernels side by side"]
    gains = [2 * one / two for (one, _), (two, _) in zip(alone, both, strict=True)]
    print(f"two processes of bare kernels do {statistics.median(gains):.2f} times what one does in the same time")


def compete(asked: argparse.Namespace, folder: Path, hub: Hub) -> None:
    """Write the checkpoints, and run all in turn."""
    run = folder / "run"
    for step in range(asked.checkpoints):
        write_checkpoint(run / f"step{step}", layers=asked.layers, width=asked.width, tokens=4 * asked.width, seed=step)
    hub.add("own/run", run)
    source = Source("hf:own/run" if asked.hub else str(run), folder / "table.parquet", hub)
    kernels = [Contender("floor_of_one", run / "step0") for _ in range(2)]
    ways: dict[str, Callable[[], tuple[float, int]]] = {
        "two workers": lambda: on_cluster(2, source),
        "one worker": lambda: on_cluster(1, source),
        "local, 1 thread": lambda: source.scan(threads=1),
        "local, 2 threads": lambda: source.scan(threads=2),
        "kernels alone": lambda: side_by_side(kernels[:1]),
        "kernels side by side": lambda: side_by_side(kernels),
    }
    ways["local, 2 threads"](), ways["kernels side by side"]()  # imports, and the page cache
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            found[name].append(way())
            print(f"  {name}: {found[name][-1][0]:.2f} s", file=sys.stderr)
    show(found, "two workers")
    for one in kernels:
        one.peak()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--hub", action="store_true")
    asked = parser.parse_args()
    place = tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True)
    with place as folder, served() as hub:
        os.environ |= {
            "HF_ENDPOINT": hub.endpoint, "HF_HOME": f"{folder}/hf", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "RAY_worker_niceness": "0",  # 15 by default: beside anything else, workers would be slower than threads
        }  # fmt: skip
        compete(asked, Path(folder), hub)


if __name__ == "__main__":
    main()
