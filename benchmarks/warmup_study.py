"""Trains small models from a trained one's spectra, from two controls of the same norms, and from the usual start.

Takes about four minutes of one processor, in pieces as benchmarks/pieces.py says:

    python benchmarks/warmup_study.py FOLDER [reference] [SEED-START…] [--report]

FOLDER then holds the reference, the starts and the runs, and SEED-START.json: losses on text that no run is trained on.
The report is the tables of docs/studies/warmup.md, and its figure.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pieces import keep, run_study, time_line
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
    """Train one model, or take the run that is there already; return its last checkpoint."""
    if not (folder / "run" / f"step{steps}" / "config.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        recipe = replace(RECIPE, seed=seed)
        demo.train(folder, on_progress=lambda _: None, steps=steps, saved=SAVED, recipe=recipe, start=start)
    return folder / "run" / f"step{steps}"


def make(folder: Path, piece: str) -> None:
    """Train the reference, or from one start with one seed, and keep the losses on the way."""
    if piece == "reference":
        keep(folder / "reference.json", lambda: loss(train(folder / piece, REFERENCE_SEED, REFERENCE_STEPS)))
        return
    make(folder, "reference")
    seed, start = piece.split("-")
    keep(folder / f"{piece}.json", lambda: losses_from(folder, int(seed), start))


def losses_from(folder: Path, seed: int, start: str) -> dict[str, float]:
    """Train from one start with one seed, and return the losses on the way, by step."""
    first = None
    if start != "default":
        first = folder / f"start-{seed}-{start}"
        if not first.exists():
            reference = folder / "reference" / "run" / f"step{REFERENCE_STEPS}"
            warm_start(reference, first, WarmupOptions(start, seed=seed))
    run = train(folder / f"{seed}-{start}", seed, STEPS, first).parent
    return {str(step): loss(run / f"step{step}") for step in SAVED}


def loss(checkpoint: Path) -> float:
    """Return the loss per byte on pieces of text that no run is trained on, always the same."""
    model = GPTNeoXForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model.train(False)
    pieces = demo.held_out(PIECES)
    with torch.no_grad():
        return float(np.mean([float(model(part, labels=part).loss) for part in torch.split(pieces, BATCH)]))


def curves(folder: Path) -> dict[str, np.ndarray]:
    """Return the losses of each start, (seeds, saved steps); of seeds whose four starts are all there."""
    seeds = [seed for seed in SEEDS if all((folder / f"{seed}-{start}.json").exists() for start in STARTS)]
    files = {start: [folder / f"{seed}-{start}.json" for seed in seeds] for start in STARTS}
    return {
        start: np.array([list(json.loads(path.read_text())["result"].values()) for path in paths])
        for start, paths in files.items()
    }


def report(folder: Path) -> list[str]:
    """Return losses, and differences paired by seed, with their standard errors over seeds; draw the differences."""
    losses = curves(folder)
    lines = [f"| start | {' | '.join(f'step {step}' for step in SAVED)} |", "|---|" + "---|" * len(SAVED)]
    lines += [f"| {start} | {' | '.join(map(_cell, losses[start].T))} |" for start in STARTS]
    for start, against in (*((start, "default") for start in STARTS[1:]), ("trained", "mp"), ("trained", "flat")):
        row = losses[start] - losses[against]
        lines.append(f"| {start} − {against} | {' | '.join(map(_cell, row.T))} |")
    draw(losses, folder / "warmup-differences.png")
    return [*lines, "", time_line(sorted(folder.glob("*.json")))]


def draw(losses: dict[str, np.ndarray], output: Path) -> None:
    """Draw each start's loss less the usual start's: a line a seed, and the mean."""
    import altair as alt
    import pandas as pd

    rows = [
        {"start": start, "seed": f"seed {seed}", "step": step, "difference": float(value)}
        for start in STARTS[1:]
        for seed, values in enumerate(losses[start] - losses["default"])
        for step, value in zip(SAVED[1:], values[1:], strict=True)
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("step:Q", scale=alt.Scale(domain=[SAVED[1], STEPS]), axis=alt.Axis(values=list(SAVED[1:]))),
        y=alt.Y("difference:Q", title="loss less the usual start's (nats a byte)"),
        color=alt.Color("start:N", sort=list(STARTS[1:]), title="spectrum"),
    )
    seeds = base.mark_line(opacity=0.35, point=True).encode(detail="seed:N")
    means = base.mark_line(strokeWidth=3).encode(y=alt.Y("mean(difference):Q"))
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(strokeDash=[4, 3]).encode(y="difference:Q")
    (zero + seeds + means).properties(width=420, height=260).save(output, scale_factor=2)


def _cell(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ± {error:.3f}".replace("-", "−")


if __name__ == "__main__":
    run_study(["reference", *(f"{seed}-{start}" for seed in SEEDS for start in STARTS)], make, report)
