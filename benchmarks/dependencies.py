"""What each dependency costs: what it takes on the disk with what only it needs, and how long it takes to import.

    python benchmarks/dependencies.py [--rounds 5]

Sizes are of the files that pip lists, in the environment that this runs in. Times are processor times, medians of
processes that import one package and end, less those of processes that import nothing. What spectra itself takes for
`--help` and for a scan of one small checkpoint comes last, for a warm disk.
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"huggingface-hub": "huggingface_hub", "vl-convert-python": "vl_convert"}  # where they differ


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def conditions(requirements: Iterable[str]) -> dict[str, str]:
    """Return the names of requirements, and the condition of each.

    >>> conditions(["numpy>=2.0,<3", "altair<7; extra == 'report'"])
    {'numpy': '', 'altair': "extra == 'report'"}
    """
    parts = (text.partition(";") for text in requirements)
    return {normal(re.split(r"[\s<>=!~(\[]", name.strip())[0]): condition.strip() for name, _, condition in parts}


def extra_of(condition: str) -> str:
    """Return the extra that a requirement belongs to, "" for one of the core.

    >>> extra_of("extra == 'report'"), extra_of("python_version < '3.12'")
    ('report', '')
    """
    found = re.search(r"""extra == ["'](\w+)["']""", condition)
    return found[1] if found else ""


def needed(names: Iterable[str]) -> set[str]:
    """Return distributions with all that they need, as far as it is installed."""
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        try:
            others = conditions(metadata.requires(name) or ())
        except metadata.PackageNotFoundError:
            continue
        if name not in reached:
            reached.add(name)
            waiting += [other for other, condition in others.items() if not extra_of(condition)]
    return reached


def size(name: str) -> int:
    """Return the bytes of a distribution's files."""
    paths = (Path(str(file.locate())) for file in metadata.files(name) or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def seconds(command: list[str], rounds: int) -> float:
    """Return the median processor time of a process: other processes on the machine add to it least."""
    times = []
    for _ in range(rounds):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(ended.ru_utime - begun.ru_utime + ended.ru_stime - begun.ru_stime)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    shown = dict.fromkeys(conditions(PROJECT["dependencies"]), "core")
    shown |= dict.fromkeys(conditions(PROJECT["optional-dependencies"]["report"]), "report")
    bare = seconds([sys.executable, "-c", ""], rounds)
    lines = []
    for name, extra in shown.items():
        alone = needed([name]) - needed(set(shown) - {name})
        module = MODULES.get(name, name)
        took = seconds([sys.executable, "-c", f"import {module}"], rounds) - bare
        sizes = f"{size(name) / 1e6:,.1f} | {sum(map(size, alone)) / 1e6:,.1f}"
        lines.append((size(name), f"| {name} | {extra} | {sizes} | {max(took, 0.0):,.2f} s |"))
    print("| package | in | MB | with what only it needs | import |\n|---|---|---:|---:|---:|")
    print("\n".join(line for _, line in sorted(lines, reverse=True)))
    for title, names in (("all", shown), ("core", [name for name, extra in shown.items() if extra == "core"])):
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
