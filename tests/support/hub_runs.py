"""What tests of the Hub share: a command and token, what files take of the disk, and a run on which byte ranges pay."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from tests.support import runs

TOKEN = "hf_thisIsASecret"
COMMAND = (str(Path(sys.executable).with_name("spectra")),)


def bytes_on_disk(folder: Path) -> int:
    """Return what the files in a folder take of the disk, those left out that go meanwhile."""
    taken = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                facts = os.lstat(os.path.join(inside, name))
                taken += facts.st_blocks * 512 if stat.S_ISREG(facts.st_mode) else 0
    return taken


def write_wide_run(folder: Path, steps: tuple[int, ...], width: int = 256, layers: int = 2) -> Path:
    """Write GPT-NeoX checkpoints of about 3 MB a layer and width of 256, in fp16."""
    import torch

    config = {**runs.CONFIG, "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 4 * width}
    for step in steps:
        random = torch.Generator().manual_seed(step)

        def matrix(rows: int, cols: int, random: torch.Generator = random) -> torch.Tensor:
            return (torch.randn(rows, cols, generator=random) * 0.02).to(torch.float16)

        tensors = {"gpt_neox.embed_in.weight": matrix(512, width), "embed_out.weight": matrix(512, width)}
        for layer in range(layers):
            at = f"gpt_neox.layers.{layer}"
            tensors[f"{at}.attention.query_key_value.weight"] = matrix(3 * width, width)
            tensors[f"{at}.attention.dense.weight"] = matrix(width, width)
            tensors[f"{at}.mlp.dense_h_to_4h.weight"] = matrix(4 * width, width)
            tensors[f"{at}.mlp.dense_4h_to_h.weight"] = matrix(width, 4 * width)
        runs.write_checkpoint(folder / f"step{step}", tensors, config)
    return folder
