"""Runs with a known truth: rates with a planted peak and breakpoint, as a frame, a table or checkpoints; and a wave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from spectra_cli.records import Checkpoint, Matrix, MatrixRows
from spectra_cli.storage.table import to_arrow, write_table
from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.stability import METRICS, RATE, RunStability

PEAK, BREAKPOINT, END = 60.0, 1500.0, 60_000.0
HEIGHT = 3e-4
ATTENTION = Matrix("layers.0.attn.q", "q", "a", 8, 8, layer=0)
MLP = Matrix("layers.0.mlp.up", "up", "b", 8, 8, layer=0)
START = MatrixRows(Checkpoint("planted", "step0", Path(), 0), ATTENTION, {"alpha": 1.0})


@dataclass(frozen=True)
class Planted:
    """Rates over steps: exponents before the peak, from it to the breakpoint, and after it (equal: no second phase)."""

    name: str
    rise: float
    fall: float
    after: float

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the values without noise. steps: (n,) positive."""
        x = np.log(steps / PEAK)
        breakpoint_ = np.log(BREAKPOINT / PEAK)
        fallen = self.fall * np.clip(x, 0, breakpoint_) + self.after * np.maximum(x - breakpoint_, 0)
        return HEIGHT * np.exp(self.rise * np.minimum(x, 0) + fallen)


FLOOR = Planted("floor", 1.0, -1.2, 0.0)
DECLINE = Planted("slow decline", 1.0, -1.2, -0.25)
STRAIGHT = Planted("no second phase", 1.0, -0.9, -0.9)
SHAPES = (FLOOR, DECLINE, STRAIGHT)


def plant(planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Return a run of one matrix, its steps spread unevenly over ln step, a fifth of them before the peak."""
    random = np.random.default_rng(seed)
    before = checkpoints // 5
    middle = np.log(PEAK)
    x = np.append(
        np.linspace(0, middle, before, endpoint=False), np.linspace(middle, np.log(END), checkpoints - before)
    )
    gaps = np.diff(x)
    x[1:-1] += random.uniform(-0.3, 0.3, len(x) - 2) * np.minimum(gaps[:-1], gaps[1:])
    steps = np.unique(np.rint(np.exp(x)).astype(np.int64))
    rates = planted.rates(steps.astype(float)) * np.exp(noise * random.standard_normal(len(steps)))
    every = np.concatenate([[0], steps])
    count = len(every)
    numbers = pd.DataFrame(
        {
            "model": "planted", "revision": [f"step{step}" for step in every], "stage": "", "step": every,
            "tokens": None, "matrix": "m", "role": "other", "layer": np.nan, "expert": np.nan, "rows": 8, "cols": 8,
            "order": np.arange(count),
        }
    )  # fmt: skip
    for metric in METRICS:
        numbers[metric] = np.nan
    numbers.loc[1:, RATE] = rates
    return Run("planted", numbers, {})


SIZE = 16
SCALE = 1e-2  # of planted rates, so that the distribution stays a distribution over all of its walk


def plant_checkpoints(folder: Path, planted: Planted, *, checkpoints: int, noise: float, seed: int) -> Run:
    """Write checkpoints of one matrix whose singular distribution moves as `plant` says, SCALE times as far.

    The distribution goes to and fro along one direction that sums to zero, so that each distance is exact; the singular
    vectors turn slowly to their last place, so that weights arrive later than spectra. Returns the truth.
    """
    truth = plant(planted, checkpoints=checkpoints, noise=noise, seed=seed)
    steps = truth.numbers["step"].to_numpy()
    moves = truth.numbers[RATE].to_numpy()[1:] * np.diff(steps) * SCALE
    direction = np.linspace(1, -1, SIZE)
    direction /= np.linalg.norm(direction)
    random = np.random.default_rng(seed)
    left, right, turn = (np.linalg.qr(random.standard_normal((SIZE, SIZE)))[0] for _ in range(3))
    offset = 0.0
    for step, move in zip(steps, [0.0, *moves], strict=True):
        offset += move if offset <= 0 else -move
        shape = np.linspace(1.6, 0.4, SIZE) / SIZE + offset * direction
        share = 0.5 * (1 - np.log1p(step) / np.log1p(steps[-1]))
        turned = np.linalg.qr((1 - share) * left + share * turn)[0]
        saved = folder / f"step{step}"
        saved.mkdir(parents=True)
        save_file({"layers.0.weight": torch.from_numpy((turned * shape) @ right.T)}, saved / "model.safetensors")
    return truth


def within_one(found: RunStability) -> bool:
    """Whether the onset lies no further from the planted breakpoint than from one checkpoint to the next."""
    step = found.groups[0].onset.step
    if step is None:
        return False
    steps = np.log(found.steps[1:])
    index, truth = np.interp(np.log([step, BREAKPOINT]), steps, np.arange(len(steps)))
    return bool(abs(index - truth) <= 1)


def covers(found: RunStability) -> bool:
    """Whether the 90% interval holds the planted breakpoint."""
    interval = found.groups[0].onset.interval
    return interval is not None and interval[0] <= BREAKPOINT <= interval[1]


def plant_table(path: Path, *, lower: float = 1.0, seed: int = 1, checkpoints: int = 40) -> Path:
    """Write a table of two matrices with a planted series of rates, the MLP's at half of attention's height."""
    parts = [to_arrow([START])]  # as a scan with --metrics sd_variation_rate,alpha leaves it
    lines = plant(FLOOR, checkpoints=checkpoints, noise=0.05, seed=seed).numbers.iloc[1:]
    for step, rate in zip(lines["step"].tolist(), (lines["sd_variation_rate"] * lower).tolist(), strict=True):
        checkpoint = Checkpoint("planted", f"step{step}", Path(), step)
        rates = {ATTENTION: rate, MLP: rate / 2}
        parts.append(to_arrow([MatrixRows(checkpoint, matrix, {RATE: value}) for matrix, value in rates.items()]))
    write_table(path, parts, {})
    return path


def plant_wave(folder: Path, layers: int = 6) -> Path:
    """Write real checkpoints whose q, k, v and o lose their small singular values later the deeper the layer."""
    size = 24
    for step in (0, 100, 200, 300, 400, 600, 800, 1200):
        tensors = {}
        for layer in range(layers):
            half = 100 + 100 * layer
            for index, name in enumerate(("q_proj", "k_proj", "v_proj", "o_proj")):
                random = np.random.default_rng(100 * layer + index)
                left, right = (np.linalg.qr(random.standard_normal((size, size)))[0] for _ in range(2))
                kept = 1 - 0.8 / (1 + (half / max(step, 1)) ** 4)
                sigma = np.append(1.0, np.full(size - 1, kept))
                name_on_disk = f"model.layers.{layer}.self_attn.{name}.weight"
                tensors[name_on_disk] = torch.from_numpy(left * sigma @ right).float()
        saved = folder / f"step{step}"
        saved.mkdir(parents=True)
        save_file(tensors, saved / "model.safetensors")
        (saved / "config.json").write_text(
            json.dumps(
                {"model_type": "llama", "num_attention_heads": 4, "hidden_size": size, "num_hidden_layers": layers}
            )
        )
    return folder
