"""What each dependency costs: what it takes on the disk with what only it needs, and how long it takes to import.

  /dependencies.py [--rounds 5]

Sizes are of the files that pip lists, in the environment that this runs in. Times are medians of processes that import
one package and end, less those of processes that import nothing. What spectra itself takes for `--help` and for a scan
of one small checkpoint comes last, for a warm disk.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "spectra-scan"
MODULES = {
    "huggingface-hub": "huggingface_hub",
    "vl-convert-python": "vl_convert",
}  # where they differ


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name: str) -> dict[str, str]:
    """Return what a distribution needs, by name, and the condition of each."""
    found = {}
    for text in metadata.requires(name) or ():
        requirement, _, condition = text.partition(";")
        found[normal(re.split(r"[\s<>=!~(\[]", requirement.strip(), maxsplit=1)[0])] = condition.strip()
    return found


def needed(names: Iterable[str]) -> set[str]:
    """Return distributions with all that they need, as far as it is installed."""
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        try:
            others = requirements(name)
        except metadata.PackageNotFoundError:
            continue
        if name not in reached:
            reached.add(name)
            waiting += [other for other, condition in others.items() if "extra ==" not in condition]
    return reached


def size(name: str) -> int:
    """Return the bytes of a distribution's files."""
    paths = (Path(str(file.locate())) for file in metadata.files(name) or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def seconds(command: list[str], rounds: int) -> float:
    """Return the median time of a process."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    direct = requirements(DISTRIBUTION)
    extras = {name: re.search(r'extra == "(\w+)"|extra == \'(\w+)\'', text) for name, text in direct.items()}
    shown = {name: "" if found is None else found[1] or found[2] for name, found in extras.items()}
    shown = {name: extra for name, extra in shown.items() if extra in ("", "report")}
    bare = seconds([sys.executable, "-c", ""], rounds)
    lines = []
    for name, extra in shown.items():
        alone = needed([name]) - needed(set(shown) - {name})
        module = MODULES.get(name, name)
        took = seconds([sys.executable, "-c", f"import {module}"], rounds) - bare
        lines.append((sum(map(size, alone)), f"| {name} | {extra or 'core'} |", f"{1000 * took:,.0f} ms |"))
    print("| package | in | MB that go with it | import |\n|---|---|---:|---:|")
    for nbytes, begin, end in sorted(lines, reverse=True):
        print(f"{begin} {nbytes / 1e6:,.1f} | {end}")
    for title, names in (("all", shown), ("core", [name for name, extra in shown.items() if not extra])):
        print(f"{title}: {sum(map(size, needed(names))) / 1e6:,.0f} MB in {len(needed(names))} packages")
    spectra_times(rounds)


def spectra_times(rounds: int) -> None:
    """Print what the command takes from its start to its end."""
    import numpy as np
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as folder:
        source, table = Path(folder, "one.safetensors"), Path(folder, "one.parquet")
        weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
        save_file({"layers.0.up.weight": weight}, source)
        command = [sys.executable, "-m", "spectra_cli"]
        scan = [*command, "scan", str(source), "-o", str(table), "--restart", "-q"]
        for name, arguments in (("--help", [*command, "--help"]), ("scan of one checkpoint", scan)):
            print(f"{name}: {seconds(arguments, rounds):.2f} s")


if __name__ == "__main__":
    main()
