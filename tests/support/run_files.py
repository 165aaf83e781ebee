"""The single files that runs are made of, and those that a trainer saves beside the model."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import state_dict_saver

from tests.support.models import State

OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(5, 4), "exp_avg_sq": torch.ones(5, 4)}}, "param_groups": [{"lr": 0.1}]}


def save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def save_torch(content: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def trainers_files(folder: Path, step: int) -> None:
    """What transformers' Trainer saves beside the model."""
    save_torch(OPTIMIZER, folder / "optimizer.pt")
    save_torch({"last_epoch": step}, folder / "scheduler.pt")
    save_torch({"cpu": torch.zeros(16, dtype=torch.uint8)}, folder / "rng_state.pth")
    save_torch(argparse.Namespace(learning_rate=0.1), folder / "training_args.bin")
    save_json(folder / "tokenizer.json", {"version": "1.0"})
    history: list[dict[str, float]] = []
    for at in range(10, step + 1, 10):
        history.append({"epoch": at / 100, "grad_norm": 1.0, "learning_rate": 1e-3 / at, "loss": 10 / at, "step": at})
    history.append({"epoch": step / 100, "eval_loss": 11 / step, "eval_runtime": 0.5, "step": step})
    save_json(folder / "trainer_state.json", {"global_step": step, "log_history": history, "best_metric": None})


def save_distributed(content: State | dict[str, Any], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        state_dict_saver.save(content, checkpoint_id=folder, no_dist=True)
