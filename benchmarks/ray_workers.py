"""Times a scan on a Ray cluster of one worker, of two, and on this machine's own threads, in turn, in one run.

    python benchmarks/ray_workers.py [--rounds N] [--checkpoints N] [--layers N] [--width N]

Each worker is a node of its own with one processor and one BLAS thread. Every cluster is made and warmed before the
first round; a round is a whole scan, with its table. Prints medians, their range, and ratios round by round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster
from synthetic import write_checkpoint

from spectra_cli.jobs.scan import scan_checkpoints


def seconds(run: Path, table: Path, **options: Any) -> float:
    """Time one scan."""
    start = time.perf_counter()
    scan_checkpoints(run, table, restart=True, **options)
    return time.perf_counter() - start


def on_cluster(workers: int, run: Path, table: Path) -> float:
    """Time one scan on a cluster of so many nodes; its making, and its workers' imports, are not in the seconds."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(workers):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    scan_checkpoints(run, table, restart=True, engine="ray")  # a shorter one would leave a worker without its imports
    took = seconds(run, table, engine="ray")
    ray.shutdown()
    cluster.shutdown()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run, table = Path(place) / "run", Path(place) / "table.parquet"
        for step in range(asked.checkpoints):
            write_checkpoint(
                run / f"step{step}", layers=asked.layers, width=asked.width, tokens=4 * asked.width, seed=step
            )
        ways: dict[str, Callable[[], float]] = {
            "two workers": lambda: on_cluster(2, run, table),
            "one worker": lambda: on_cluster(1, run, table),
            "local, 1 thread": lambda: seconds(run, table, threads=1),
            "local, 2 threads": lambda: seconds(run, table, threads=2),
        }
        ways["local, 2 threads"]()  # imports, and the page cache
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                found[name].append(way())
        for name, times in found.items():
            ratios = [time / first for time, first in zip(times, found["two workers"], strict=True)]
            low, middle, high = (f(times) for f in (min, statistics.median, max))
            against = f"{statistics.median(ratios):.2f} times the first"
            print(f"{name:<18} {middle:6.2f} s ({low:.2f} … {high:.2f})  {against}")


if __name__ == "__main__":
    main()
