"""What a monitor costs the training that it watches: whole runs without and with one, in turn, in one run.

    python benchmarks/monitor_overhead.py [demo 25m wide] [--steps N] [--rounds N] [--threads N]

Each run is a process of its own that trains for the same number of steps: bare, with a budget of 2%, and measuring
every 25 steps without one. Printed are medians with their range: seconds, and processor seconds of all threads, both
also as the ratio to the bare run of the same round, and peak memory. Beside them stands what the monitor takes by
itself, which other work on the machine does not blur: processor seconds of every thread but the one that trains, and of
that one within `step`, as shares of the time that passed and of the processor's in training. `demo` is the demo's
model, `25m` has eight layers of width 512; `wide` has one matrix that is far larger than the others, for the memory,
and is measured every 2 steps.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from spectra_cli.monitor import SpectralMonitor

CONTEXT, BATCH = 128, 2
SIZES: dict[str, dict[str, Any]] = {
    "demo": {"hidden_size": 128, "num_hidden_layers": 6, "vocab_size": 256},
    "25m": {"hidden_size": 512, "num_hidden_layers": 8, "vocab_size": 256},
    "wide": {"hidden_size": 1024, "num_hidden_layers": 1, "vocab_size": 32768},
}
STEPS = {"demo": 1200, "25m": 300, "wide": 6}
SETTINGS: dict[str, dict[str, Any] | None] = {"bare": None, "budget 2%": {"budget": 0.02}, "every 25": {}}
FEW_STEPS: dict[str, dict[str, Any] | None] = {"bare": None, "every 2": {"every": 2}}


def settings_of(model: str) -> dict[str, dict[str, Any] | None]:
    return FEW_STEPS if model == "wide" else SETTINGS


def make(name: str) -> Any:
    torch.manual_seed(0)
    sizes = SIZES[name]
    config = GPTNeoXConfig(
        **sizes, intermediate_size=4 * sizes["hidden_size"], num_attention_heads=8, max_position_embeddings=CONTEXT
    )
    return GPTNeoXForCausalLM(config)


@contextmanager
def watched(model: Any, folder: Path, options: dict[str, Any] | None) -> Iterator[SpectralMonitor | None]:
    """Make the monitor of a run, None for a bare one; a tiny model is measured before, so that all load one code."""
    tiny = torch.nn.Linear(64, 64)
    with SpectralMonitor(tiny, every=1, out=folder / "tiny.parquet") as monitor:
        monitor.step(0)
        monitor.step(1)
    if options is None:
        yield None
    else:
        with SpectralMonitor(model, out=folder / "run.parquet", **options) as monitor:
            yield monitor


def one_run(name: str, setting: str, steps: int, threads: int) -> dict[str, Any]:
    """Train once in this process, and return what it took."""
    torch.set_num_threads(threads)
    model = make(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        began, processor = time.perf_counter(), time.process_time()
        own, inside = time.thread_time(), 0.0
        with watched(model, Path(folder), settings_of(name)[setting]) as monitor:
            for step in range(steps + 1):
                if step == 1:  # the first step of each run makes buffers
                    began, processor, own, inside = time.perf_counter(), time.process_time(), time.thread_time(), 0.0
                batch = torch.randint(0, 256, (BATCH, CONTEXT), generator=tokens)
                model(input_ids=batch, labels=batch).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                if monitor is not None:
                    before = time.thread_time()
                    monitor.step(step)
                    inside += time.thread_time() - before
            own = time.thread_time() - own
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    taken = processor - own + inside
    return {
        "taken": taken,
        "of the time": taken / seconds,
        "of the processor": taken / (processor - taken),
        "seconds": seconds,
        "processor": processor,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "cost": "" if monitor is None else str(monitor.cost),
    }


def in_turn(name: str, steps: int, rounds: int, threads: int) -> dict[str, list[dict[str, Any]]]:
    """Run each setting once a round, a process each; every round begins with another of them."""
    names = [*settings_of(name)]
    runs: dict[str, list[dict[str, Any]]] = {setting: [] for setting in names}
    for number in range(rounds):
        begin = number % len(names)
        for setting in names[begin:] + names[:begin]:
            command = [sys.executable, __file__, name, "--one", setting, "--steps", str(steps)]
            command += ["--threads", str(threads)]
            runs[setting].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    return runs


def middle(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def report(name: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    heading = ("seconds", "of the bare run's", "processor seconds", "of the bare run's", "peak, MB")
    print(f"{'':<10}" + "".join(f"{text:<24}" for text in heading))
    for setting, taken in runs.items():
        columns = []
        for what in ("seconds", "processor"):
            ratios = [run[what] / bare[what] for run, bare in zip(taken, runs["bare"], strict=True)]
            columns += [middle([run[what] for run in taken], 1), middle(ratios, 3)]
        columns.append(middle([run["peak"] for run in taken], 0))
        print(f"{setting:<10}" + "".join(f"{text:<24}" for text in columns))
    for setting, taken in runs.items():
        if taken[-1]["cost"]:
            shares = (
                f"{middle([100 * run[of] for run in taken], 2)}% {of}" for of in ("of the time", "of the processor")
            )
            print(f"{setting}, by itself: {middle([run['taken'] for run in taken], 2)} s, {' and '.join(shares)}")
            print(f"{setting}, the last run: {taken[-1]['cost']}")
    sizes = [weight.shape for weight in make(name).parameters()]
    largest = max(8 * shape.numel() for shape in sizes) / 1e6
    print(f"the largest matrix in float64: {largest:.1f} MB\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[*SIZES], help="demo, 25m, wide; all of them unless given")
    parser.add_argument("--steps", type=int, help="of a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="that train; the monitor has one of its own")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    for name in chosen.models:
        steps = chosen.steps or STEPS[name]
        if chosen.one:
            print(json.dumps(one_run(name, chosen.one, steps, chosen.threads)))
            continue
        millions = sum(weight.numel() for weight in make(name).parameters()) / 1e6
        load = " ".join(f"{number:.1f}" for number in os.getloadavg())
        print(f"{name}: {millions:.1f} M parameters, {steps} steps, {chosen.threads} threads; load {load}", flush=True)
        report(name, in_turn(name, steps, chosen.rounds, chosen.threads))


if __name__ == "__main__":
    main()
