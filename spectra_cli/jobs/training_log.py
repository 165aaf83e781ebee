"""The loss and learning rate that transformers' Trainer keeps with its checkpoints, written beside a scan's table.

Knows one file, trainer_state.json, and judges nothing: what the numbers mean is for the studies to say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spectra_cli.measure.plan import Plan
from spectra_cli.storage.parts import write_text_whole
from spectra_cli.weights.files import Boundary, read_json

FILE = "trainer_state.json"
# What the Trainer calls a number, and what the companion file does. Its `train_loss` is the mean of a whole run.
NAMES = (("loss", "train_loss"), ("eval_loss", "val_loss"), ("learning_rate", "lr"))


def companion(output: Path) -> Path:
    """Return the name of the file beside a table.

    >>> companion(Path("mine.parquet")).name
    'mine.parquet.loss.jsonl'
    """
    return output.with_name(f"{output.name}.loss.jsonl")


def write_beside(output: Path, plan: Plan) -> Path | None:
    """Write a run's history beside its table, one JSON object a step; None, and no file, where none was kept.

    Each line has `step` and those of `train_loss`, `val_loss` and `lr` that were logged at it. Of the last checkpoint's
    history and the run's own, the longer one is taken: each holds all that was logged until then. Raises SpectraError
    where such a file cannot be read, or the companion cannot be written.
    """
    folders = [
        checkpoint.path
        for checkpoint in reversed(plan.checkpoints)
        if isinstance(checkpoint.path, Path) and checkpoint.path.is_dir()
    ]
    last = next((folder for folder in folders if os.path.lexists(folder / FILE)), None)
    around = folders[0].parent if folders else None
    histories = [_read(folder / FILE, plan) for folder in (last, around) if folder and os.path.lexists(folder / FILE)]
    lines = max(histories, key=lambda history: max(history, default=-1), default={})
    if not lines:
        return None
    path = companion(output)
    write_text_whole(path, "".join(f"{json.dumps({'step': step, **lines[step]})}\n" for step in sorted(lines)))
    return path


def _read(path: Path, plan: Plan) -> dict[int, dict[str, float]]:
    _, state = read_json(path, Boundary(path.parent, plan.request.follow_links))
    entries = state.get("log_history")
    return by_step(entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else {}


def by_step(entries: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, float]]:
    """Put together what was logged at each step, the later entry counting; what is no finite number is left out.

    >>> by_step([{"step": 10, "loss": 2.5, "learning_rate": 0.1, "epoch": 1}, {"step": 10, "eval_loss": 2.75}])
    {10: {'train_loss': 2.5, 'val_loss': 2.75, 'lr': 0.1}}
    """
    lines: dict[int, dict[str, float]] = {}
    for entry in entries:
        step = entry.get("step")
        if type(step) is int and step >= 0:
            logged = {name: float(entry[key]) for key, name in NAMES if _is_number(entry.get(key))}
            lines[step] = {**lines.get(step, {}), **logged}
    order = [name for _, name in NAMES]
    return {step: {name: line[name] for name in order if name in line} for step, line in lines.items() if line}


def _is_number(value: object) -> bool:
    """Whether a value is a finite float, or an integer that one can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
