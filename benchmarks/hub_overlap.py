"""Times a scan of a Hub on this machine that sends 50 MB/s, beside computing alone and fetching alone, in turn.

    python -m benchmarks.hub_overlap [--rounds N] [--checkpoints N] [--rate BYTES] [--shape 160m]

Each is a process of its own, started anew each round: a scan of the same files on this disk, a download of all by
huggingface_hub, and the scan from the Hub. The last is to take at most 1.10 times the longer of the others.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from synthetic import SHAPES, write_checkpoint  # noqa: E402 - the benchmarks stand beside each other

from tests.hub.loopback import Hub, served  # noqa: E402

FETCH = (
    "from huggingface_hub import snapshot_download as s\n"
    "for n in range({}): s('own/run', revision=f'step{{n}}', max_workers=2)"
)


def seconds(command: list[str], folder: Path, hub: Hub) -> float:
    """Run a command that finds this Hub and an empty cache; give its wall time."""
    shutil.rmtree(folder / "hf", ignore_errors=True)
    environment = {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf"), "TMPDIR": str(folder),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the three times and the ratio, round by round, and their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--rate", type=float, default=50e6)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="160m")
    chosen = parser.parse_args()
    spectra = str(Path(sys.executable).with_name("spectra"))
    with tempfile.TemporaryDirectory() as name, served(rate=chosen.rate) as hub:
        folder = Path(name)
        for step in range(chosen.checkpoints):
            write_checkpoint(folder / "run" / f"step{step}", **SHAPES[chosen.shape], seed=step)
        hub.add("own/run", folder / "run")
        options = ["-q", "--restart", "-o"]
        contenders = {
            "computing alone": [spectra, "scan", str(folder / "run"), *options, "local.parquet"],
            "fetching alone": [sys.executable, "-c", FETCH.format(chosen.checkpoints)],
            "scan of the Hub": [spectra, "scan", "hf:own/run", *options, "hub.parquet"],
        }
        times: dict[str, list[float]] = {one: [] for one in contenders}
        for _ in range(chosen.rounds):
            for one, command in contenders.items():
                times[one].append(seconds(command, folder, hub))
    ratios = [last / max(one, other) for one, other, last in zip(*times.values(), strict=True)]
    for one, found in times.items():
        print(f"{one}: {statistics.median(found):.1f} s ({min(found):.1f} … {max(found):.1f})")
    print(f"over the longer of the two alone: {statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})")


if __name__ == "__main__":
    main()
