"""Trains small models from a trained one's spectra, from two controls of the same norms, and from the usual start.

Takes under twenty minutes on two idle cores:

    python benchmarks/warmup_study.py FOLDER [SEED-START…]

FOLDER then holds the reference, the starts and the runs, and SEED-START.json: losses on text that no run is trained on.
What is there already is kept. With names such as 0-trained only those are made; the tables of docs/studies/warmup.md
are printed otherwise.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import GPTNeoXForCausalLM

from spectra_cli.jobs import demo
from spectra_cli.jobs.warmup import WarmupOptions, warm_start

LAYERS, STEPS, REFERENCE_STEPS = 4, 120, 240
SAVED = (0, 30, 60, STEPS)
REFERENCE_SEED, SEEDS = 100, (0, 1, 2)
STARTS = ("default", "trained", "mp", "flat")
RECIPE = demo.Recipe(layers=LAYERS)
PIECES, BATCH = 128, 32


def train(folder: Path, seed: int, steps: int, start: Path | None = None) -> Path:
    """Train one model, or return the run that is there already."""
    if not (folder / "run" / f"step{steps}" / "config.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        recipe = replace(RECIPE, seed=seed)
        demo.train(folder, on_progress=lambda _: None, steps=steps, saved=SAVED, recipe=recipe, start=start)
    return folder / "run"


def make(folder: Path, seed: int, start: str) -> None:
    """Train from one start with one seed, and keep the losses on the way."""
    target = folder / f"{seed}-{start}.json"
    if target.exists():
        return
    first = None
    if start != "default":
        first = folder / f"start-{seed}-{start}"
        if not first.exists():
            reference = train(folder / "reference", REFERENCE_SEED, REFERENCE_STEPS) / f"step{REFERENCE_STEPS}"
            warm_start(reference, first, WarmupOptions(start, seed=seed))
    run = train(folder / f"{seed}-{start}", seed, STEPS, first)
    losses = {step: loss(run / f"step{step}") for step in SAVED}
    target.write_text(json.dumps(losses) + "\n")


def loss(checkpoint: Path) -> float:
    """Return the loss per byte on pieces of text that no run is trained on, always the same."""
    model = GPTNeoXForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model.train(False)
    pieces = demo.held_out(PIECES)
    with torch.no_grad():
        return float(np.mean([float(model(part, labels=part).loss) for part in torch.split(pieces, BATCH)]))


def tables(folder: Path) -> None:
    """Print losses, and differences paired by seed, with their standard errors over seeds."""
    losses = {
        start: np.array([list(json.loads((folder / f"{seed}-{start}.json").read_text()).values()) for seed in SEEDS])
        for start in STARTS
    }
    print("| start |", " | ".join(f"step {step}" for step in SAVED), "|")
    print("|---|" + "---|" * len(SAVED))
    for start in STARTS:
        print(f"| {start} |", " | ".join(_cell(losses[start][:, i]) for i in range(len(SAVED))), "|")
    for start, against in (("trained", "default"), ("trained", "mp"), ("trained", "flat"), ("mp", "default")):
        row = losses[start] - losses[against]
        print(f"| {start} − {against} |", " | ".join(_cell(row[:, i]) for i in range(len(SAVED))), "|")


def _cell(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ± {error:.3f}".replace("-", "−")


def main() -> None:
    folder, *names = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if names else 2)
    for name in names or [f"{seed}-{start}" for seed in SEEDS for start in STARTS]:
        seed, start = name.split("-")
        make(Path(folder), int(seed), start)
        print(name, file=sys.stderr, flush=True)
    if not names:
        tables(Path(folder))


if __name__ == "__main__":
    main()
