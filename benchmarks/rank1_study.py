"""Trains small models at a constant rate, with a decay and with Muon, and asks whether their checkpoints lie on a line.

Takes about five minutes of one processor, in pieces as benchmarks/pieces.py says:

    python benchmarks/rank1_study.py FOLDER [NAME-SEED…] [--report]

FOLDER then holds NAME-SEED/run, NAME-SEED.wW.parquet (of `spectra rank1 --window W`) and NAME-SEED.json: losses on
text that no run is trained on, of the last checkpoint, of means of the last W, and of steps further along. The report
is the tables of docs/studies/rank1.md, and its figure.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pieces import keep, run_study, time_line
from transformers import GPTNeoXForCausalLM

from spectra_cli.cli.app import main
from spectra_cli.gram import components, moving_average
from spectra_cli.jobs import demo
from spectra_cli.jobs.rank1 import rank1_checkpoints
from spectra_cli.studies.inputs.run_inputs import read_inputs
from spectra_cli.studies.rank1 import Rank1
from spectra_cli.studies.rank1.rows import rank1_of

LAYERS = 4
RECIPES = {
    "constant": demo.Recipe(layers=LAYERS, schedule="constant"),
    "cosine": demo.Recipe(layers=LAYERS, schedule="cosine"),
    "muon": demo.Recipe(layers=LAYERS, schedule="constant", optimizer="muon"),
}
SEEDS = (0, 1, 2)
STEPS, FIRST, EVERY = 240, 140, 5
WINDOWS = (5, 10)
PIECES, BATCH = 64, 32
LEADS = (0.0, 2.0)


def make(folder: Path, piece: str) -> None:
    """Train one model, study its last checkpoints, and keep the losses of what can be made of them."""
    name, _, seed = piece.partition("-")
    saved = tuple(range(FIRST, STEPS + 1, EVERY))
    run = folder / piece / "run"

    def work() -> dict[str, list[float]]:
        shutil.rmtree(run.parent, ignore_errors=True)
        recipe = replace(RECIPES[name], seed=int(seed))
        demo.train(run.parent, on_progress=lambda _: None, steps=STEPS, saved=saved, recipe=recipe)
        for window in WINDOWS:
            rank1_checkpoints(run, folder / f"{piece}.w{window}.parquet", window=window)
        return merged_losses([run / f"step{step}" for step in saved])

    keep(folder / f"{piece}.json", work)


def merged_losses(checkpoints: list[Path]) -> dict[str, list[float]]:
    """Return the loss on each held-out piece: of the last checkpoint, of each mean, and of steps further from it.

    A step further is M + c·d, with d the last difference of neighbouring means, or M's projection on the first
    component of the means; it is named by its lead over the last checkpoint, in savings.
    """
    model = GPTNeoXForCausalLM.from_pretrained(checkpoints[-1], dtype=torch.float32)
    states = [GPTNeoXForCausalLM.from_pretrained(path, dtype=torch.float32).state_dict() for path in checkpoints]
    names = [name for name, weight in states[0].items() if weight.is_floating_point()]
    points = torch.stack([torch.cat([state[name].flatten() for name in names]).double() for state in states])
    losses = {"last": piece_losses(model, names, points[-1])}
    for window in WINDOWS:
        means = torch.from_numpy(moving_average(len(points), window)) @ points
        moved = (means - means[0]).numpy()
        first = components(moved @ moved.T)
        along = torch.from_numpy(first.directions[:, 0]) @ means * first.coordinates[-1, 0]
        speed = (first.coordinates[-1, 0] - first.coordinates[-2, 0]) / first.coordinates[-1, 0]
        losses[f"mean of {window}"] = piece_losses(model, names, means[-1])
        for lead in LEADS:
            c = lead + (window - 1) / 2
            losses[f"secant of {window}, lead {lead:g}"] = piece_losses(
                model, names, means[-1] + c * (means[-1] - means[-2])
            )
            losses[f"component of {window}, lead {lead:g}"] = piece_losses(model, names, means[-1] + c * speed * along)
    return losses


@torch.no_grad()
def piece_losses(model: Any, names: list[str], weights: torch.Tensor) -> list[float]:
    """Return the mean loss of a byte on each held-out piece, with these weights put one after another."""
    state, start = model.state_dict(), 0
    for name in names:
        size = state[name].numel()
        state[name].copy_(weights[start : start + size].view(state[name].shape))
        start += size
    losses = []
    for pieces in torch.split(demo.held_out(PIECES), BATCH):
        scores = model(pieces, use_cache=False).logits[:, :-1].log_softmax(-1)
        losses += (-scores.gather(2, pieces[:, 1:, None])[..., 0].mean(1)).tolist()
    return losses


def seeds_of(folder: Path, name: str) -> list[int]:
    """Return the seeds of a recipe that are there."""
    return [seed for seed in SEEDS if (folder / f"{name}-{seed}.json").exists()]


def findings_of(folder: Path, name: str, window: int) -> list[Rank1]:
    """Return the findings of all seeds of a recipe."""
    tables = [folder / f"{name}-{seed}.w{window}.parquet" for seed in seeds_of(folder, name)]
    return [rank1_of(read_inputs([table], None)[0].run) for table in tables]


def mean_error(values: list[float], digits: int = 3) -> str:
    """Return mean and standard error over seeds."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def share_lines(folder: Path) -> list[str]:
    """Return the table of shares beside both nulls, a line a recipe and sequence."""
    lines = ["| | share | a walk | a persistent walk | neighbouring updates | verdicts |", "|---|---|---|---|---|---|"]
    for name in RECIPES:
        for window, kind in ((WINDOWS[0], "raw"), *((window, "merged") for window in WINDOWS)):
            sequences = [getattr(found.whole, kind) for found in findings_of(folder, name, window)]
            parts = [mean_error([part.shares[0] for part in sequences])]
            parts += [mean_error([getattr(part, f"null_{null}").share for part in sequences])
                      for null in ("walk", "persistent")]  # fmt: skip
            parts.append(mean_error([part.update_cosine for part in sequences], 2))
            lines_found = sum(part.verdict == "one-dimensional" for part in sequences)
            title = f"{name}, {'raw' if kind == 'raw' else f'means of {window}'}"
            lines.append(f"| {title} | {' | '.join(parts)} | {lines_found} of {len(sequences)} |")
    return lines


def step_lines(folder: Path) -> list[str]:
    """Return the table of what raw steps are made of, and of the halves' cosine, a line a recipe."""
    lines = ["| | forward | back and forth | across | halves' cosine | a persistent walk | directions |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in RECIPES:
        groups = [found.whole for found in findings_of(folder, name, WINDOWS[0])]
        parts = [mean_error([getattr(group.steps, part) for group in groups])
                 for part in ("progress", "back_and_forth", "across")]  # fmt: skip
        parts.append(mean_error([group.halves.cosine for group in groups], 2))
        parts.append(mean_error([group.halves.null_persistent.share for group in groups], 2))
        parts.append(mean_error([group.dimensions for group in groups], 0))
        lines.append(f"| {name} | {' | '.join(parts)} |")
    return lines


def loss_lines(folder: Path) -> list[str]:
    """Return losses less the last checkpoint's, over the held-out pieces of each seed; errors over seeds and pieces."""
    files = {name: [folder / f"{name}-{seed}.json" for seed in seeds_of(folder, name)] for name in RECIPES}
    losses = {name: [json.loads(path.read_text())["result"] for path in paths] for name, paths in files.items()}
    lines = [f"| | {' | '.join(RECIPES)} |", f"|---|{'---|' * len(RECIPES)}"]
    lasts = [mean_error([float(np.mean(one["last"])) for one in losses[name]]) for name in RECIPES]
    lines.append(f"| the last checkpoint | {' | '.join(lasts)} |")
    for choice in losses["constant"][0]:
        cells = []
        for name in RECIPES if choice != "last" else ():
            differences = [np.array(one[choice]) - np.array(one["last"]) for one in losses[name]]
            within = np.sqrt(np.mean([part.var(ddof=1) / len(part) for part in differences]))
            means = [float(part.mean()) for part in differences]
            cells.append(f"{mean_error(means, 4)} ({within:.4f})")
        lines += [f"| {choice} | {' | '.join(cells)} |"] if cells else []
    return lines


def report(folder: Path) -> list[str]:
    """Return all tables, and draw a run of a constant rate."""
    table = folder / f"constant-0.w{WINDOWS[0]}.parquet"
    main(["plot", str(table), "--kind", "rank1", "-o", str(folder / "rank1-constant.png")])
    parts = [part(folder) for part in (share_lines, step_lines, loss_lines)]
    times = time_line(folder / f"{name}-{seed}.json" for name in RECIPES for seed in seeds_of(folder, name))
    return [*(line for part in parts for line in (*part, "")), times]


if __name__ == "__main__":
    run_study([f"{name}-{seed}" for seed in SEEDS for name in RECIPES], make, report)
