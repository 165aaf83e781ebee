"""Studies in pieces: each is made in whatever process, kept as a JSON file with what it took, and reported at the end.

A script that uses it is started so:

    python benchmarks/STUDY.py FOLDER [PIECE…] [--report]

Without a piece all that FOLDER lacks are made, one after another, and the report is printed; with pieces only these are
made, so that a long study can be stopped, resumed, and shared among processes; `--report` prints what is there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch


def keep(target: Path, work: Callable[[], Any]) -> Any:
    """Return the result of a piece: what its file has, or else what is made now and kept there with its seconds."""
    if not target.exists():
        began, used = time.perf_counter(), time.process_time()
        result = work()
        seconds = {"wall": time.perf_counter() - began, "processor": time.process_time() - used}
        part = target.with_name(f"{target.name}.part")
        part.write_text(json.dumps({"result": result, "seconds": seconds}) + "\n")
        os.replace(part, target)
        print(f"{target.stem}: {seconds['wall']:.0f} s, {seconds['processor']:.0f} of the processor", file=sys.stderr)
    return json.loads(target.read_text())["result"]


def time_line(files: Iterable[Path]) -> str:
    """Return what pieces took together."""
    took = [json.loads(path.read_text())["seconds"] for path in files]
    wall, processor = (sum(seconds[what] for seconds in took) / 60 for what in ("wall", "processor"))
    return f"{len(took)} pieces: {processor:.1f} minutes of one processor, {wall:.1f} of the wall, one after another"


def run_study(
    pieces: Sequence[str], make: Callable[[Path, str], object], report: Callable[[Path], Iterable[str]]
) -> None:
    """Make what the command line asks for, and print the report.

    make: makes one piece in a folder, where it is not there. report: returns lines, from the pieces that are there.
    """
    given = [argument for argument in sys.argv[1:] if argument != "--report"]
    only_report = len(given) < len(sys.argv) - 1
    if not given or not set(given[1:]) <= set(pieces):
        sys.exit(f"usage: python {sys.argv[0]} FOLDER [PIECE…] [--report], of the pieces {', '.join(pieces)}")
    folder = Path(given[0])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # pieces side by side use the processors better than the threads of one
    for piece in given[1:] or (() if only_report else pieces):
        make(folder, piece)
    if only_report or not given[1:]:
        print("\n".join(report(folder)))
