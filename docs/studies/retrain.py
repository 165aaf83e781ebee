"""Trains the demo's model under seven recipes, one thing changed at a time, scans the runs, and compares them.

The first recipe is trained with three more seeds, and the four runs are told of together. Takes under half an hour on
two cores:

    python docs/studies/retrain.py FOLDER

FOLDER then holds NAME/run, NAME.parquet and NAME.jsonl for each run. A run that is there already is kept.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Collection
from pathlib import Path

from spectra_cli.cli.app import main
from spectra_cli.jobs import demo
from spectra_cli.jobs.scan import scan_checkpoints
from spectra_cli.studies.lifecycle import ENTROPY, RANK
from spectra_cli.studies.stability import METRICS

RECIPES = {
    "adamw": demo.Recipe(),
    "muon": demo.Recipe(optimizer="muon"),
    "no-decay": demo.Recipe(weight_decay=0.0),
    "strong-decay": demo.Recipe(weight_decay=0.5),
    "low-rate": demo.Recipe(peak_rate=demo.PEAK_RATE / 3),
    "wsd": demo.Recipe(schedule="wsd"),
    "step": demo.Recipe(schedule="step"),
}
SEEDS = {f"seed-{seed}": demo.Recipe(seed=seed) for seed in (1, 2, 3)}
SAVED = (0, 1, 2, 4, 8, 12, 16, 20, 24, 30, 36, 42, 48, 54, *range(60, demo.STEPS + 1, 12))


def make(folder: Path, name: str, recipe: demo.Recipe) -> None:
    """Train and scan one recipe, unless its table is there."""
    table = folder / f"{name}.parquet"
    if not table.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        began = time.perf_counter()
        run = demo.train(folder / name, on_progress=lambda _: None, saved=SAVED, recipe=recipe)
        trained = time.perf_counter()
        shutil.copy(run / "loss.jsonl", folder / f"{name}.jsonl")
        scan_checkpoints(run, table, metrics=(*METRICS, RANK, ENTROPY, "alpha"))
        print(
            f"{name}: {trained - began:.0f} s of training, {time.perf_counter() - trained:.0f} s of scanning",
            file=sys.stderr,
        )


def study(kind: str, folder: Path, names: Collection[str], *options: str) -> int:
    """Show what a study says of some runs and their losses, and return its exit code."""
    logs = [part for name in names for part in ("--loss", str(folder / f"{name}.jsonl"))]
    tables = [str(folder / f"{name}.parquet") for name in names]
    return main([kind, *tables, *logs, *options])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/studies/retrain.py FOLDER")
    target = Path(sys.argv[1])
    for name, recipe in (RECIPES | SEEDS).items():
        make(target, name, recipe)
    compared = study("stability", target, RECIPES, "--label", ",".join(RECIPES))
    alike = [next(iter(RECIPES)), *SEEDS]
    sys.exit(max(compared, *(study(kind, target, alike, "--seeds") for kind in ("stability", "lifecycle"))))
