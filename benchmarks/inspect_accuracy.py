"""Sets what `spectra inspect` predicts beside what the scan then takes, over several inputs.

    python -m benchmarks.inspect_accuracy [--rounds N] [--only WORDS]

A round of an input is `spectra inspect` and then `spectra scan`, each a process of its own. Prints predicted over
measured, medians and their range: time from start to end, processor seconds, which other work on the machine changes
least, peak memory of the process, and from the Hub the bytes fetched and the scratch space.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from synthetic import SHAPES, matrix, write_checkpoint  # noqa: E402 - the benchmarks stand beside each other

from tests.hub.loopback import Hub, served  # noqa: E402
from tests.support.hub_runs import bytes_on_disk  # noqa: E402

SPECTRA = str(Path(sys.executable).with_name("spectra"))
HALF = {"layers": 6, "width": 768, "tokens": 3072}
RATE = 20e6  # bytes a second of the Hub


def one(folder: Path) -> None:
    """Write one checkpoint of the shape of 160m."""
    write_checkpoint(folder / "step0", **SHAPES["160m"], seed=0)


def ten(folder: Path) -> None:
    """Write ten checkpoints of half as many layers."""
    for step in range(10):
        write_checkpoint(folder / f"step{step}", **HALF, seed=step)


def repeats(folder: Path) -> None:
    """Write ten checkpoints of which every other repeats the one before."""
    for step in range(10):
        write_checkpoint(folder / f"step{step}", **HALF, seed=step // 2)


def three(folder: Path) -> None:
    """Write three checkpoints."""
    for step in range(3):
        write_checkpoint(folder / f"step{step}", **HALF, seed=step)


def small(folder: Path) -> None:
    """Write 5,000 matrices of 64×96 in one checkpoint."""
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(0)
    tensors = {f"model.layers.{n // 100}.experts.{n % 100}.weight": matrix(64, 96, random) for n in range(5000)}
    (folder / "step0").mkdir(parents=True)
    (folder / "step0" / "config.json").write_text('{"model_type": "unknown"}')
    save_file(tensors, folder / "step0" / "model.safetensors")


def wide(folder: Path) -> None:
    """Write one layer as wide as those of models of 7 B parameters."""
    write_checkpoint(folder / "step0", layers=1, width=4096, tokens=4096, seed=0)


@dataclass(frozen=True)
class Case:
    """An input, and the options of both commands, of `inspect` alone and of `scan` alone. on_hub: where it lies."""

    write: Callable[[Path], None]
    both: tuple[str, ...] = ()
    inspect: tuple[str, ...] = ()
    scan: tuple[str, ...] = ()
    on_hub: bool = False


CASES = {
    "one checkpoint of 160m": Case(one),
    "the same, one thread": Case(one, ("--threads", "1")),
    "the same, two metrics": Case(one, ("--metrics", "stable_rank,spectral_norm")),
    "ten checkpoints": Case(ten),
    "ten, of which five repeat": Case(repeats),
    "5,000 matrices of 64×96": Case(small),
    "4,096 wide": Case(wide),
    "three from a slow Hub": Case(three, inspect=("--bandwidth", f"{RATE / 1e6:.0f}MB"), on_hub=True),
    "three on two Ray workers": Case(
        three, ("--threads", "1"), ("--workers", "2", "--processors-per-worker", "1"), ("--engine", "ray")
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What was predicted, or what was measured. processors: seconds. Bytes of memory, fetched and of scratch space."""

    seconds: float
    processors: float
    memory: float
    fetched: float = 0.0
    scratch: float = 0.0


def run(command: list[str], environment: dict[str, str]) -> tuple[bytes, Outcome]:
    """Run a command; return what it prints, and what it took."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return told, Outcome(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def predicted(case: Case, source: str, environment: dict[str, str]) -> Outcome:
    """Return what `spectra inspect` says of a source."""
    command = [SPECTRA, "inspect", source, "--json", *case.both, *case.inspect]
    told = json.loads(run(command, environment)[0])
    cost = told["cost"] | (told["elsewhere"]["cost"] | told["elsewhere"] if told["elsewhere"] else {})
    fetching = told["fetching"] or {"nbytes": 0, "disk": 0}
    numbers = (cost["seconds"], cost["processor_seconds"], cost["peak_bytes"])
    return Outcome(*numbers, fetching["nbytes"], fetching["disk"])


def measured(case: Case, source: str, environment: dict[str, str], hub: Hub) -> Outcome:
    """Return what `spectra scan` takes."""
    before, scratch = hub.fetched(), Path(environment["TMPDIR"])
    with most_bytes(scratch) as most:
        command = [SPECTRA, "scan", source, "-q", "--restart", "-o", str(scratch.parent / "table.parquet")]
        _, taken = run([*command, *case.both, *case.scan], environment)
    return replace(taken, fetched=hub.fetched() - before, scratch=max(most))


@contextmanager
def most_bytes(folder: Path) -> Iterator[list[int]]:
    """Watch the bytes below a folder while the block runs."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            seen.append(bytes_on_disk(folder))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextmanager
def two_nodes() -> Iterator[str]:
    """Run a Ray head without processors and two nodes with one each; yield its address."""
    from ray.cluster_utils import Cluster

    # 15 by default: beside anything else, workers would be slower than threads
    os.environ |= {"RAY_worker_niceness": "0"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def rounds(name: str, case: Case, folder: Path, hub: Hub, count: int) -> list[tuple[Outcome, Outcome]]:
    """Run an input's rounds; return what was predicted and measured in each."""
    case.write(folder / "run")
    (folder / "scratch").mkdir()
    environment = {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf"), "TMPDIR": str(folder / "scratch"),
    }  # fmt: skip
    source = str(folder / "run")
    if case.on_hub:
        source = "hf:own/run"
        hub.add("own/run", folder / "run")
    with ExitStack() as closing:
        if "ray" in case.scan:
            environment["RAY_ADDRESS"] = closing.enter_context(two_nodes())
        found = []
        for _ in range(count):
            expected = predicted(case, source, environment)
            found.append((expected, measured(case, source, environment, hub)))
            print(f"  {name}: {expected.seconds:.1f} s predicted, {found[-1][1].seconds:.1f} taken", file=sys.stderr)
            shutil.rmtree(folder / "hf", ignore_errors=True)
    return found


def ratio(found: list[tuple[Outcome, Outcome]], what: str) -> str:
    """Say predicted over measured of one number."""
    pairs = [(getattr(expected, what), getattr(taken, what)) for expected, taken in found]
    if not all(expected and taken for expected, taken in pairs):
        return "–"
    ratios = [expected / taken for expected, taken in pairs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"


def main() -> None:
    """Print a line for each input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only inputs whose name holds these words")
    chosen = parser.parse_args()
    columns = ("predicted over measured", "seconds measured", "time", "processors", "memory", "fetched", "scratch")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, case in CASES.items():
        if chosen.only not in name:
            continue
        place = tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True)
        with place as folder, served(rate=RATE if case.on_hub else None) as hub:
            found = rounds(name, case, Path(folder), hub, chosen.rounds)
        taken = statistics.median(measured.seconds for _, measured in found)
        numbers = [ratio(found, what) for what in ("seconds", "processors", "memory", "fetched", "scratch")]
        print(f"| {name} | {taken:.1f} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()
