"""A run of LoRA adapters, as PEFT leaves it, and the changes that its adapters make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.support.run_files import trainers_files

STEPS, RANK, WIDE = (20, 100), 3, 16


def factors(step: int, rows: int, cols: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return B and A of a target at a step."""
    random = torch.Generator().manual_seed(rows * cols)
    b, a, drift = (torch.randn(*shape, generator=random) for shape in ((rows, RANK), (RANK, cols), (rows, RANK)))
    return b + step / 1000 * drift, a


def write_adapters(run: Path, targets: dict[str, tuple[int, int]], **config: object) -> None:
    """Write an adapter for each of STEPS. targets: (rows, columns) of the matrix that each changes."""
    for step in STEPS:
        folder = run / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        state = {}
        for target, shape in targets.items():
            b, a = factors(step, *shape)
            state |= {f"base_model.model.{target}.lora_A.weight": a, f"base_model.model.{target}.lora_B.weight": b}
        save_file(state, folder / "adapter_model.safetensors")
        settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 12, "base_model_name_or_path": "some/model", **config}
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        trainers_files(folder, step)


def change(step: int, rows: int, cols: int) -> np.ndarray:
    """Return the change that an adapter makes to a target of that shape: scale · B·A, float64."""
    b, a = factors(step, rows, cols)
    return 4.0 * b.double().numpy() @ a.double().numpy()
