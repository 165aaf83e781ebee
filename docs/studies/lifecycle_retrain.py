"""Trains the demo's model at five depths, all else alike, scans the runs, and removes each layer of the last models.

Takes under twenty minutes on two cores:

    python docs/studies/lifecycle_retrain.py FOLDER [LAYERS…]

For each number of layers L, FOLDER then holds depthL/run, depthL.parquet and depthL.jsonl (the loss of the whole model
and without each layer), and the findings of `spectra lifecycle` and `spectra scaling` are printed. A run that is there
already is kept; with LAYERS, only those are made and nothing is printed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import GPTNeoXForCausalLM

from spectra_cli.cli.app import main
from spectra_cli.jobs import demo
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.storage.table import read_rows
from spectra_cli.studies.ablate import rank_correlation
from spectra_cli.studies.lifecycle import ALPHAS, ENTROPY, RANK, correct

DEPTHS = (4, 6, 8, 12, 16)
STEPS = 900
SAVED = (0, 1, 2, 4, 6, 8, *range(10, 60, 5), *range(60, 180, 10), *range(180, STEPS + 1, 30))
METRICS = (RANK, ENTROPY, *ALPHAS, "alpha_tail_n")
PIECES = 16 * demo.BATCH


@torch.no_grad()
def losses_without(checkpoint: Path) -> dict[str, float | list[float]]:
    """Return the held-out loss of a model, and of what is left of it when each layer in turn is taken out."""
    model = GPTNeoXForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    pieces, layers = demo.held_out(PIECES), model.gpt_neox.layers

    def loss() -> float:
        return float(model(pieces, labels=pieces, use_cache=False).loss)

    whole, without = loss(), []
    for out in range(len(layers)):
        model.gpt_neox.layers = torch.nn.ModuleList(layer for index, layer in enumerate(layers) if index != out)
        without.append(loss())
    return {"whole": whole, "without": without}


def make(folder: Path, layers: int) -> Path:
    """Train and scan one depth, and return its table."""
    table = folder / f"depth{layers}.parquet"
    if not table.exists():
        shutil.rmtree(folder / f"depth{layers}", ignore_errors=True)
        began = time.perf_counter()
        run = demo.train(
            folder / f"depth{layers}",
            on_progress=lambda _: None,
            steps=STEPS,
            saved=SAVED,
            recipe=demo.Recipe(layers=layers),
        )
        trained = time.perf_counter()
        losses = losses_without(run / f"step{STEPS}")
        (folder / f"depth{layers}.jsonl").write_text(json.dumps(losses) + "\n")
        scan_checkpoints(run, table, metrics=METRICS)
        scanned = time.perf_counter() - trained
        print(f"{layers} layers: {trained - began:.0f} s of training, {scanned:.0f} s of scanning", file=sys.stderr)
    return table


def importance(folder: Path) -> list[str]:
    """Return how each exponent of a layer goes with the rise in loss when it is taken out; p-values corrected.

    Beside them stands the depth itself: an exponent that rises with depth goes with all that does.
    """
    lines, tests = [], []
    for layers in DEPTHS:
        losses = json.loads((folder / f"depth{layers}.jsonl").read_text())
        rises = [loss - losses["whole"] for loss in losses["without"]]
        lines.append(
            f"{layers} layers: loss {losses['whole']:.3f}, rises by {', '.join(f'{rise:.3f}' for rise in rises)}"
        )
        frame = read_rows(folder / f"depth{layers}.parquet", metrics=ALPHAS).to_pandas()
        frame = frame[(frame["step"] == STEPS) & frame["layer"].notna()]
        for name in ALPHAS:
            means = frame[frame["metric"] == name].groupby("layer")["value"].mean().sort_index()
            tests.append((layers, name, *rank_correlation(means.to_numpy(), np.array(rises))))
        tests.append((layers, "depth itself", *rank_correlation(np.arange(layers, dtype=float), np.array(rises))))
    judged = [p for *_, p in tests if p is not None]
    fair = iter(correct(judged))
    for layers, name, rho, p in tests:
        corrected = None if p is None else next(fair)
        shown = "none with so few layers" if p is None else f"{p:.3g}, of {len(judged)} tests {corrected:.3g}"
        lines.append(f"{layers} layers, {name}: Spearman's rho {rho:.2f}, p {shown}")
    return lines


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python docs/studies/lifecycle_retrain.py FOLDER [LAYERS...]")
    target, only = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
    tables = [str(make(target, layers)) for layers in only or DEPTHS]
    if not only:
        print("\n".join(importance(target)))
        runs = [main(["lifecycle", *tables, "--alpha", name]) for name in ALPHAS]
        sys.exit(max(*runs, *(main(["scaling", *tables, "--alpha", name]) for name in ALPHAS)))
