"""Trains the demo's model with 12 layers from two seeds, removes layers, and compares ways of choosing them.

Takes about six minutes of one processor, in pieces as benchmarks/pieces.py says:

    python benchmarks/pruning.py FOLDER [trainN] [seedN] [--report]

For each seed, FOLDER then holds seedN/run and seedN.json, what `spectra ablate` and `spectra prune --compare` found on
text that the run was not trained on, with their figures. The report is the findings over seeds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
from pieces import keep, run_study, time_line
from scipy import stats

from spectra_cli.jobs import demo
from spectra_cli.jobs.ablate import ablate_layers
from spectra_cli.jobs.evaluate import EvaluationOptions
from spectra_cli.jobs.prune import PruneOptions, prune_layers
from spectra_cli.views.console.ablate import ablation_json
from spectra_cli.views.console.prune import pruning_json
from spectra_cli.views.figures.ablate import draw_ablation
from spectra_cli.views.figures.prune import draw_pruning

SEEDS = (0, 1)
LAYERS, STEPS, REMOVED, MOST_SETS = 12, 400, 4, 30
BLOCKS, LENGTH = 32, 256
READING = EvaluationOptions(context=demo.CONTEXT, stride=demo.CONTEXT, blocks=BLOCKS)
DRAWS = 9999


def make(folder: Path, piece: str) -> None:
    """Train one model, or remove layers of it."""
    kind, seed = piece[:-1], int(piece[-1])
    with chdir(folder):  # figures are titled by the path of the model
        if kind == "train":
            keep(Path(f"{piece}.json"), lambda: train(seed))
        else:
            make(Path(), f"train{seed}")
            keep(Path(f"{piece}.json"), lambda: remove_layers(piece))


def train(seed: int) -> None:
    """Train one model."""
    folder = Path(f"seed{seed}")
    shutil.rmtree(folder, ignore_errors=True)
    recipe = demo.Recipe(layers=LAYERS, seed=seed)
    demo.train(folder, on_progress=lambda _: None, steps=STEPS, saved=(0, STEPS), recipe=recipe)


def remove_layers(name: str) -> dict[str, Any]:
    """Remove layers of one model, draw the figures, and return what was found."""
    model, text = Path(f"{name}/run/step{STEPS}"), Path("held-out.txt")
    text.write_bytes(demo.held_out_text(BLOCKS, LENGTH))
    ablation = ablate_layers(model, text, READING)
    wanted = PruneOptions(REMOVED, text=str(text), compare=True, most_sets=MOST_SETS)
    pruning = prune_layers(model, None, wanted, READING)
    draw_ablation(ablation, f"{name}-ablation.png")
    draw_pruning(pruning, f"{name}-pruning.png")
    losses = {"loss": ablation.loss.value, "stderr": ablation.loss.stderr}
    return losses | ablation_json(ablation) | pruning_json(pruning)


def ranks(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return how each metric ranks the core layers, over all seeds together.

    The p-value is that of the mean ρ, with the layers of every model permuted by themselves; beside the metrics stands
    depth itself, which ranks the layers without any spectrum.
    """
    lines = []
    for metric in ["depth", *dict.fromkeys(entry["metric"] for entry in results[0]["rho"])]:
        pairs = []
        for result in results:
            core = [layer for layer in result["layers"] if layer["core"]]
            values = [layer["layer"] if metric == "depth" else layer[metric] for layer in core]
            pairs.append([_standardised(values), _standardised([layer["loss_rise"] for layer in core])])
        rhos = [float(values @ rises) for values, rises in pairs]
        random = np.random.default_rng(0)
        permuted = np.mean(
            [random.permuted(np.tile(rises, (DRAWS, 1)), axis=1) @ values for values, rises in pairs], axis=0
        )
        p = (1 + int((np.abs(permuted) >= abs(np.mean(rhos)) - 1e-12).sum())) / (1 + DRAWS)
        shown = ", ".join(f"{rho:+.2f}" for rho in rhos)
        lines.append(f"{metric}: rho {shown}; mean {np.mean(rhos):+.2f}, p {p:.4f}")
    return lines


def _standardised(values: Sequence[float]) -> np.ndarray:
    centred = stats.rankdata(values) - (len(values) + 1) / 2
    return np.asarray(centred / np.linalg.norm(centred))


def rises(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the rise in loss by choice and number of layers: the mean over seeds, with its standard error."""
    lines = []
    for choice in dict.fromkeys(entry["choice"] for entry in results[0]["compare"]):
        cells = []
        for k in range(1, REMOVED + 1):
            values = [
                e["rise"] for result in results for e in result["compare"] if (e["choice"], e["k"]) == (choice, k)
            ]
            error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{error}" if values else "–")
        lines.append(f"{choice}: {' | '.join(cells)}")
    return lines


def report(folder: Path) -> list[str]:
    """Return the findings over the seeds that are there."""
    files = [path for seed in SEEDS if (path := folder / f"seed{seed}.json").exists()]
    found = [json.loads(path.read_text())["result"] for path in files]
    return [*ranks(found), "", *rises(found), "", time_line([*files, *sorted(folder.glob("train?.json"))])]


if __name__ == "__main__":
    run_study([f"{kind}{seed}" for seed in SEEDS for kind in ("train", "seed")], make, report)
