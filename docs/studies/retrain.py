"""Trains the demo's model under seven recipes, one thing changed at a time, scans the runs, and compares them.

Takes under fifteen minutes on two cores:

    python docs/studies/retrain.py FOLDER

FOLDER then holds NAME/run, NAME.parquet and NAME.jsonl for each recipe. A run that is there already is kept.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from spectra_cli.cli.app import main
from spectra_cli.jobs import demo
from spectra_cli.jobs.scan import scan_checkpoints
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
SAVED = (0, 1, 2, 4, 8, 12, 16, 20, 24, 30, 36, 42, 48, 54, *range(60, demo.STEPS + 1, 12))


def make(folder: Path, name: str) -> Path:
    """Train and scan one recipe, and return its table."""
    table = folder / f"{name}.parquet"
    if not table.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        began = time.perf_counter()
        run = demo.train(folder / name, on_progress=lambda _: None, saved=SAVED, recipe=RECIPES[name])
        trained = time.perf_counter()
        shutil.copy(run / "loss.jsonl", folder / f"{name}.jsonl")
        scan_checkpoints(run, table, metrics=METRICS)
        print(
            f"{name}: {trained - began:.0f} s of training, {time.perf_counter() - trained:.0f} s of scanning",
            file=sys.stderr,
        )
    return table


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/studies/retrain.py FOLDER")
    target = Path(sys.argv[1])
    tables = [str(make(target, name)) for name in RECIPES]
    logs = [part for name in RECIPES for part in ("--loss", str(target / f"{name}.jsonl"))]
    sys.exit(main(["stability", *tables, *logs, "--label", ",".join(RECIPES)]))
